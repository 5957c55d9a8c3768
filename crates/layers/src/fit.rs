//! Whether a layer fits the root filesystem: what was recorded in it when it was made, beside what is installed in the root.
//!
//! Packages of Python lie in a folder that only one version of Python looks into, and native ones are for one version of the
//! binary interfaces of Python, Node.js and glibc. `ovmlayer-rootfs` records in a layer what it was made for
//! (`docs/layers-of-packages.md`). What the root has is asked of dpkg's database there; of what came to it another way, all that
//! can be said is whether it is there.

use std::path::Path;

use serde::Deserialize;
use tree::{EntryPath, Links, Root};

use crate::{Engine, Error, LayerName, Result};

/// The folder of layers' records, in a layer.
const RECORDS: &str = "usr/share/ovmlayer/layers";

/// How many records of a layer are looked at.
const MAX_RECORDS: usize = 16;

/// The size in bytes above which none is read.
const MAX_RECORD: u64 = 64 << 10;

/// The size in bytes above which dpkg's database is not read.
const MAX_STATUS: u64 = 64 << 20;

/// What packages of Python and Node.js run with, by the packages of Debian that bring it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interpreters {
    /// Python's version, such as `3.13`.
    pub python: Option<String>,
    /// glibc's version, such as `2.41`.
    pub glibc: Option<String>,
    /// Node.js' version.
    pub node: Option<String>,
    /// The version of its binary interface, `process.versions.modules`.
    pub node_abi: Option<u32>,
}

impl Interpreters {
    /// Those that are among `packages`, each with its version.
    pub fn of_packages<'p>(packages: impl Iterator<Item = (&'p str, &'p str)>) -> Self {
        let mut found = Self::default();
        for (package, version) in packages {
            let version = upstream(version);
            match package {
                "python3" => found.python = minor(version),
                "libc6" => found.glibc = minor(version),
                "nodejs" => found.node = Some(version.to_owned()),
                // Debian names the library for the interface.
                _ => {
                    if let Some(Ok(abi)) = package.strip_prefix("libnode").map(str::parse) {
                        found.node_abi = Some(abi);
                    }
                }
            }
        }
        found
    }
}

/// The packages that are installed by dpkg's database `status`, each with its version.
pub fn installed(status: &str) -> impl Iterator<Item = (&str, &str)> {
    paragraphs(status).map(|paragraph| (paragraph.name, paragraph.version))
}

/// An installed package.
struct Paragraph<'s> {
    name: &'s str,
    version: &'s str,
    architecture: &'s str,
}

fn paragraphs(status: &str) -> impl Iterator<Item = Paragraph<'_>> {
    status.split("\n\n").filter_map(|paragraph| {
        let field = |name: &str| {
            paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        field("Status").filter(|status| status.ends_with(" installed"))?;
        let architecture = field("Architecture").unwrap_or_default();
        Some(Paragraph { name: field("Package")?, version: field("Version")?, architecture })
    })
}

/// A package's version as those upstream know it: without epoch, revision and `+dfsg`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['-', '+', '~']).next().unwrap_or(version)
}

/// The first two numbers.
fn minor(version: &str) -> Option<String> {
    let mut numbers = version.split('.');
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

/// What a layer says it was made for. Words that are not known are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Record {
    architecture: Option<String>,
    python: Option<String>,
    glibc: Option<String>,
    node_abi: Option<u32>,
}

/// What the root filesystem is known to have.
struct Base<'r> {
    root: &'r Path,
    /// By the package of dpkg itself.
    architecture: Option<String>,
    interpreters: Interpreters,
}

impl Engine {
    /// What is known not to fit between a layer and the root filesystem, as ends of sentences about the layer. Nothing is said
    /// of a layer without a record, and of a root without dpkg's database. For an ordinary user to be called after
    /// [`Engine::enter`].
    ///
    /// # Errors
    /// [`Error::UnknownLayer`], [`Error::NoRootfs`]; when the layer or the root cannot be read.
    pub fn misfits(&self, name: &LayerName) -> Result<Vec<String>> {
        let layer = self.locate(name)?;
        if layer.archived {
            return Ok(Vec::new());
        }
        let records = records(&layer.path).map_err(Error::tree("read", &layer.path))?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let rootfs = self.rootfs()?;
        let status = status(rootfs).map_err(Error::tree("read", rootfs))?;
        let Some(status) = status else { return Ok(Vec::new()) };
        let base = Base::new(rootfs, &status);
        Ok(records.iter().flat_map(|record| base.misfits(record)).collect())
    }
}

/// The records in the layer at `path`. What is none is passed over: a record is only a hint.
fn records(path: &Path) -> tree::Result<Vec<Record>> {
    let root = Root::open(path, Links::Refuse)?;
    let folder = EntryPath::parse(RECORDS.as_bytes())?;
    if root.lstat(&folder)?.is_none_or(|entry| entry.kind != tree::Kind::Directory) {
        return Ok(Vec::new());
    }
    let mut records = Vec::new();
    for name in root.list(&folder)?.iter().filter(|name| name.ends_with(b".json")).take(MAX_RECORDS) {
        // A file that is too long, or none, is no record either.
        let Ok(Some(text)) = root.read(&folder.join(name)?, MAX_RECORD) else { continue };
        records.extend(serde_json::from_slice::<Record>(&text));
    }
    Ok(records)
}

fn status(rootfs: &Path) -> tree::Result<Option<String>> {
    let path = EntryPath::parse(b"var/lib/dpkg/status")?;
    let bytes = Root::open(rootfs, Links::WithinRoot)?.read(&path, MAX_STATUS)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

impl<'r> Base<'r> {
    fn new(root: &'r Path, status: &str) -> Self {
        let dpkg = paragraphs(status).find(|paragraph| paragraph.name == "dpkg");
        Self {
            root,
            architecture: dpkg.map(|dpkg| dpkg.architecture.to_owned()),
            interpreters: Interpreters::of_packages(installed(status)),
        }
    }

    fn has(&self, program: &str) -> bool {
        let places = ["usr/bin", "usr/local/bin"].map(|folder| self.root.join(folder).join(program));
        places.iter().any(|place| place.symlink_metadata().is_ok())
    }

    /// What does not fit of a record, all of which somebody else has written: only numbers and plain words of it are repeated.
    fn misfits(&self, record: &Record) -> Vec<String> {
        let mut misfits = Vec::new();
        let here = &self.interpreters;
        let is_word = |word: &&String| word.chars().all(|c| c.is_ascii_alphanumeric()) && word.len() < 20;
        if let (Some(made), Some(has)) = (record.architecture.as_ref().filter(is_word), &self.architecture)
            && made != has
        {
            misfits.push(format!("is for {made}, and the root filesystem is for {has}"));
        }
        if let Some(made) = record.python.as_ref().filter(|version| numbers(version).is_some())
            && here.python.as_ref() != Some(made)
            && !self.has(&format!("python{made}"))
        {
            let has = here.python.as_ref().map_or("none".to_owned(), |version| format!("Python {version}"));
            misfits.push(format!("is for Python {made}, and the root filesystem has {has}"));
        }
        if let Some(made) = record.node_abi {
            match here.node_abi {
                Some(has) if has != made => misfits.push(format!(
                    "is for Node.js with version {made} of its binary interface, and the root filesystem has one with {has}"
                )),
                None if here.node.is_none() && !self.has("node") => {
                    misfits.push("is for Node.js, and the root filesystem has none".to_owned());
                }
                _ => {}
            }
        }
        let glibc = |version: &Option<String>| version.as_deref().and_then(numbers);
        if let (Some(made), Some(has)) = (glibc(&record.glibc), glibc(&here.glibc))
            && has < made
        {
            let versions = [made, has].map(|(major, minor)| format!("{major}.{minor}"));
            misfits
                .push(format!("may need glibc {}, and the root filesystem has {}", versions[0], versions[1]));
        }
        misfits
    }
}

/// The numbers of a version that has two.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: python3\nStatus: install ok installed\nVersion: 3.13.5-1\n\n\
        Package: libc6\nStatus: install ok installed\nVersion: 2.41-12+deb13u1\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22\n\n\
        Package: libnode115\nStatus: install ok installed\nVersion: 20.19.2+dfsg-1\n\n\
        Package: nodejs\nStatus: install ok installed\nVersion: 1:20.19.2+dfsg-1\n";

    #[test]
    fn interpreters_are_read_from_the_packages() {
        assert_eq!(installed(STATUS).count(), 5);
        let found = Interpreters::of_packages(installed(STATUS));
        assert_eq!((found.python.as_deref(), found.glibc.as_deref()), (Some("3.13"), Some("2.41")));
        assert_eq!((found.node.as_deref(), found.node_abi), (Some("20.19.2"), Some(115)));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("usr/local/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("python3.9"), "").unwrap();
        let bare = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
        let cases = [
            (
                "all of it",
                STATUS,
                r#"{"architecture":"amd64","python":"3.13","glibc":"2.36","node-abi":115}"#,
                "",
            ),
            (
                "an older Python",
                STATUS,
                r#"{"python":"3.12"}"#,
                "is for Python 3.12, and the root filesystem has Python 3.13",
            ),
            ("one from elsewhere", STATUS, r#"{"python":"3.9"}"#, ""),
            ("no Python", bare, r#"{"python":"3.13"}"#, "has none"),
            ("another interface", STATUS, r#"{"node-abi":127}"#, "version 127"),
            ("no Node.js", bare, r#"{"node-abi":115}"#, "has none"),
            (
                "an older glibc",
                STATUS,
                r#"{"glibc":"2.42"}"#,
                "may need glibc 2.42, and the root filesystem has 2.41",
            ),
            ("another machine", STATUS, r#"{"architecture":"arm64"}"#, "is for arm64"),
            ("nothing", STATUS, "{}", ""),
            ("words to deceive", STATUS, r#"{"architecture":"\u001b[2J","python":"../3.1"}"#, ""),
        ];
        for (summary, status, record, expected) in cases {
            let record = serde_json::from_str(record).unwrap();
            let misfits = Base::new(folder.path(), status).misfits(&record);
            assert_eq!(misfits.len(), usize::from(!expected.is_empty()), "{summary}: {misfits:?}");
            assert!(misfits.concat().contains(expected), "{summary}: {misfits:?}");
        }
    }
}
