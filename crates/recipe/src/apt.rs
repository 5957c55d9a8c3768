//! What the root's own apt finds: its sources, and which packages were installed only because others need them.
//!
//! The sources come from the recipe, or from what is true of the distribution, and never from the mirror that a build
//! happened to use. For a distribution without a built-in address, the address is the one that the root's own apt package
//! gives in its example of a sources file.

use std::fmt::Write as _;
use std::path::Path;

use archive::mirror::{self, Wanted};
use archive::source::{Source, parse_deb822, parse_one_line};
use rootfs::Normalise;
use tree::{EntryPath, Metadata, Root};

use crate::Error;
use crate::lock::Package;
use crate::plan::{Archive, ArchiveKind, Plan};

/// Where Debian's and Ubuntu's apt package keeps an example, newest form first.
const EXAMPLES: [&str; 3] = [
    "usr/share/doc/apt/examples/debian.sources",
    "usr/share/doc/apt/examples/ubuntu.sources",
    "usr/share/doc/apt/examples/sources.list",
];

/// The size in bytes above which an example is not read.
const MAX_EXAMPLE: u64 = 1 << 20;

/// The size in bytes above which a key is not copied into the root.
const MAX_KEY: u64 = 4 << 20;

/// Writes the sources and the marks into a root of `architecture`.
pub(crate) fn write(
    plan: &Plan,
    root: &Root,
    epoch: i64,
    architecture: &str,
    packages: &[&Package],
) -> Result<(), Error> {
    let failed = |source| Error::Rootfs { architecture: architecture.to_owned(), source };
    let (own, extra): (Vec<&Archive>, Vec<&Archive>) =
        plan.archives.iter().partition(|archive| archive.kind != ArchiveKind::Extra);
    let files = Normalise { root, epoch };
    let mut text = String::new();
    for archive in own {
        let uri = address_inside(root, archive, architecture)?;
        stanza(&mut text, archive, &uri, plan.distro.facts().keyring);
    }
    files.write(&format!("etc/apt/sources.list.d/{}.sources", plan.distro), &text).map_err(failed)?;
    for archive in extra {
        let key = format!("usr/share/keyrings/{}.{}", archive.name, key_extension(archive));
        copy_key(root, archive, &key)?;
        let mut text = String::new();
        stanza(&mut text, archive, archive.recipe_address.as_deref().unwrap_or_default(), &format!("/{key}"));
        files.write(&format!("etc/apt/sources.list.d/{}.sources", archive.name), &text).map_err(failed)?;
    }
    files.write("var/lib/apt/extended_states", &automatic(architecture, packages)).map_err(failed)
}

fn stanza(text: &mut String, archive: &Archive, uri: &str, signed_by: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    let (suites, components) = (archive.suites.join(" "), archive.components.join(" "));
    let _ = write!(
        text,
        "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: {components}\nSigned-By: {signed_by}\n"
    );
}

/// apt's record of packages that it may remove again when nothing needs them (apt-mark(8)).
fn automatic(architecture: &str, packages: &[&Package]) -> String {
    let mut names: Vec<&str> = packages
        .iter()
        .filter(|package| !package.essential && !package.requested)
        .map(|package| package.name.as_str())
        .collect();
    names.sort_unstable();
    names
        .iter()
        .map(|name| format!("Package: {name}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n"))
        .collect()
}

fn address_inside(root: &Root, archive: &Archive, architecture: &str) -> Result<String, Error> {
    if let Some(address) = &archive.recipe_address {
        return Ok(address.clone());
    }
    let security = archive.kind == ArchiveKind::Security;
    let wanted = Wanted {
        distribution: archive.distro.distribution(),
        architecture,
        mirror: None,
        security_mirror: None,
        snapshot: None,
        // No folder of apt sources: this machine's have no place in the root.
        apt: Path::new("/nonexistent"),
    };
    match mirror::choose(&wanted) {
        Ok(built_in) => Ok(if security { built_in.security } else { built_in.main }),
        Err(_) => example(root, security),
    }
}

/// The address that the root's apt gives in its example.
fn example(root: &Root, security: bool) -> Result<String, Error> {
    for path in EXAMPLES {
        let entry = EntryPath::parse(path.as_bytes()).map_err(tree::Error::from)?;
        let Some(bytes) = root.read(&entry, MAX_EXAMPLE)? else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let sources: Vec<Source> = if path.ends_with(".sources") {
            parse_deb822(path, &text).into_iter().flatten().collect()
        } else {
            parse_one_line(path, &text).flatten().collect()
        };
        if let Some(source) = sources.iter().find(|source| is_security(source) == security) {
            return Ok(source.uri.clone());
        }
    }
    Err(Error::AptSources {
        message:
            "neither the recipe nor the root's apt package says where its archive is: set `mirror` (and \
                  `security-mirror`) for the distribution in the recipe"
                .into(),
    })
}

fn is_security(source: &Source) -> bool {
    source.suite.ends_with("-security") || source.suite.contains("/updates")
}

fn key_extension(archive: &Archive) -> &'static str {
    let armoured =
        archive.signed_by.as_deref().and_then(Path::extension).is_some_and(|extension| extension == "asc");
    if armoured { "asc" } else { "gpg" }
}

fn copy_key(root: &Root, archive: &Archive, key: &str) -> Result<(), Error> {
    let Some(source) = &archive.signed_by else { return Ok(()) };
    let size = std::fs::metadata(source).map_err(Error::io("read", source))?.len();
    if size > MAX_KEY {
        return Err(Error::AptSources { message: format!("{} is too large to be a key", source.display()) });
    }
    let bytes = std::fs::read(source).map_err(Error::io("read", source))?;
    let path = EntryPath::parse(key.as_bytes()).map_err(tree::Error::from)?;
    root.make_parents(&path, &Metadata::new(0o755, 0))?;
    Ok(root.replace(&path, &Metadata::new(0o644, 0), &bytes)?)
}
