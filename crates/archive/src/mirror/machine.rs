//! The mirrors that this machine's own apt sources name.
//!
//! A source serves a distribution if it says so by its key (a file whose name begins with `debian-archive-` or
//! `ubuntu-archive-`), or, when it names no key, by the last part of its address: `debian`, `debian-security`, `ubuntu`,
//! `ubuntu-ports`. A source that names another key is somebody else's archive, whatever its address. Which release the machine
//! runs does not matter: only addresses are taken.
//!
//! A file or line that cannot be read is passed over: it is the machine's business, not this build's.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Decided, Distribution, Mirrors, on_main_archive, security_beside};
use crate::source::{SignedBy, Source, parse_deb822, parse_one_line};

/// Larger files are no lists of sources.
const SIZE_LIMIT: u64 = 4 << 20;

/// The mirrors of a distribution that the sources in the folder `apt` name, if they name its main archive.
#[must_use]
pub fn mirrors(apt: &Path, distribution: Distribution, architecture: &str) -> Option<Mirrors> {
    let serving: Vec<Source> = sources(apt)
        .into_iter()
        .filter(|source| serves(source, distribution) && has_architecture(source, distribution, architecture))
        .collect();
    let main = serving.iter().find(|source| !is_security(source, distribution))?.uri.clone();
    let security = serving
        .iter()
        .find(|source| is_security(source, distribution))
        .map(|source| source.uri.clone())
        .or_else(|| security_beside(distribution, &main).ok())?;
    Some(Mirrors { main, security, decided: Decided::Machine })
}

/// All sources that can be read, `sources.list` first, then the files of `sources.list.d` by name.
#[must_use]
pub fn sources(apt: &Path) -> Vec<Source> {
    let mut files = vec![apt.join("sources.list")];
    let mut parts: Vec<PathBuf> = fs::read_dir(apt.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    parts.sort();
    files.extend(parts);
    files.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<Source> {
    let name = file.display().to_string();
    let small = fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() <= SIZE_LIMIT);
    let Some(text) = small.then(|| fs::read_to_string(file).ok()).flatten() else { return Vec::new() };
    match file.extension().and_then(|suffix| suffix.to_str()) {
        Some("list") => parse_one_line(&name, &text).flatten().collect(),
        Some("sources") => parse_deb822(&name, &text).into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}

fn serves(source: &Source, distribution: Distribution) -> bool {
    let key = match distribution {
        Distribution::Debian => "debian-archive-",
        Distribution::Ubuntu => "ubuntu-archive-",
    };
    match &source.signed_by {
        SignedBy::File(path) => path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(key)),
        SignedBy::Distribution => match distribution {
            Distribution::Debian => matches!(last_part(source), "debian" | "debian-security"),
            Distribution::Ubuntu => matches!(last_part(source), "ubuntu" | "ubuntu-ports"),
        },
        SignedBy::Inline(_) | SignedBy::Fingerprints(_) => false,
    }
}

/// Ubuntu's archives are split by architecture; every mirror of Debian has all.
fn has_architecture(source: &Source, distribution: Distribution, architecture: &str) -> bool {
    match distribution {
        Distribution::Debian => true,
        Distribution::Ubuntu => on_main_archive(architecture) != (last_part(source) == "ubuntu-ports"),
    }
}

fn is_security(source: &Source, distribution: Distribution) -> bool {
    let by_suite = source.suite.ends_with("-security");
    by_suite || (distribution == Distribution::Debian && last_part(source) == "debian-security")
}

fn last_part(source: &Source) -> &str {
    source.uri.rsplit('/').next().unwrap_or_default()
}
