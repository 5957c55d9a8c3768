//! The apt sources inside a root.
//!
//! They come from the recipe, or from what is true of the distribution, and never from the mirror that a build happened
//! to use. For a distribution without a built-in address, the address is the one that the root's own apt package gives in
//! its example of a sources file.

use std::fmt::Write as _;

use archive::source::SourceEntry;
use tree::{EntryPath, Root};

use crate::Error;
use crate::plan::{Archive, ArchiveKind};

/// Where Debian's and Ubuntu's apt package keeps an example, newest form first.
const EXAMPLES: [&str; 3] = [
    "usr/share/doc/apt/examples/debian.sources",
    "usr/share/doc/apt/examples/ubuntu.sources",
    "usr/share/doc/apt/examples/sources.list",
];

/// The size in bytes above which an example is not read.
const MAX_EXAMPLE: u64 = 1 << 20;

/// The text of a sources file for `archives`, which share one keyring, in a root of `architecture`.
pub(crate) fn text(root: &Root, archives: &[&Archive], architecture: &str, signed_by: &str) -> Result<String, Error> {
    let mut text = String::new();
    for archive in archives {
        let uri = match archive.address_inside(architecture) {
            Some(uri) => uri,
            None => example(root, archive)?,
        };
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = write!(
            text,
            "Types: deb\nURIs: {uri}\nSuites: {}\nComponents: {}\nSigned-By: {signed_by}\n",
            archive.suites.join(" "),
            archive.components.join(" "),
        );
    }
    Ok(text)
}

/// The address that the root's apt gives for `archive`.
fn example(root: &Root, archive: &Archive) -> Result<String, Error> {
    for path in EXAMPLES {
        let entry = EntryPath::parse(path.as_bytes()).map_err(tree::Error::from)?;
        let Some(bytes) = root.read(&entry, MAX_EXAMPLE)? else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let Ok(entries) = archive::source::parse(&text, std::path::Path::new(path)) else { continue };
        if let Some(uri) = entries.iter().find(|entry| serves(entry, archive)).and_then(|entry| entry.uris.first()) {
            return Ok(uri.clone());
        }
    }
    Err(Error::AptSources {
        message: "neither the recipe nor the root's apt package says where its archive is: set `mirror` (and \
                  `security-mirror`) for the distribution in the recipe"
            .into(),
    })
}

fn serves(entry: &SourceEntry, archive: &Archive) -> bool {
    let security = entry.suites.iter().any(|suite| suite.ends_with("-security") || suite.contains("/updates"));
    security == (archive.kind == ArchiveKind::Security)
}
