//! The few files of a tree that say what is installed, and what they say.

use tree::EntryPath;

use super::dpkg::Diversion;
use super::{Licence, OsRelease, Package, copyright, dpkg, npm, python};

/// A file that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    Status,
    List,
    Sums,
    Diversions,
    Copyright,
    Release,
    Metadata,
    Record,
    Npm,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    Packages(Vec<Package>),
    Paths(Vec<EntryPath>),
    Diversions(Vec<Diversion>),
    Licence(Licence),
    Release(OsRelease),
    /// The whole of a `RECORD`: what its paths mean depends on where it lies.
    Record(Vec<u8>),
}

impl Interest {
    /// What a file at `path` has to say.
    pub(super) fn of(path: &EntryPath) -> Option<Self> {
        let bytes = path.as_bytes();
        let name = path.file_name()?;
        if let Some(rest) = bytes.strip_prefix(b"var/lib/dpkg/") {
            return match rest {
                b"status" => Some(Self::Status),
                b"diversions" => Some(Self::Diversions),
                _ if rest.starts_with(b"info/") && rest.ends_with(b".list") => Some(Self::List),
                _ if !rest.starts_with(b"status.d/") => None,
                _ if rest.ends_with(b".md5sums") => Some(Self::Sums),
                _ => Some(Self::Status),
            };
        }
        if matches!(bytes, b"etc/os-release" | b"usr/lib/os-release") {
            return Some(Self::Release);
        }
        let folder = || path.parent();
        let in_folder = |ending: &[u8]| {
            folder().is_some_and(|folder| folder.file_name().is_some_and(|name| name.ends_with(ending)))
        };
        match name {
            b"copyright" => {
                let doc = folder().and_then(|folder| folder.parent());
                (doc?.as_bytes() == b"usr/share/doc").then_some(Self::Copyright)
            }
            b"METADATA" if in_folder(b".dist-info") => Some(Self::Metadata),
            b"RECORD" if in_folder(b".dist-info") => Some(Self::Record),
            b"PKG-INFO" if in_folder(b".egg-info") => Some(Self::Metadata),
            _ if name.ends_with(b".egg-info") => Some(Self::Metadata),
            b"package.json" if npm::is_package(path) => Some(Self::Npm),
            _ => None,
        }
    }

    /// How many bytes of it are read at most.
    pub(super) const fn limit(self) -> usize {
        match self {
            Self::Status => 64 << 20,
            Self::List | Self::Sums | Self::Record => 16 << 20,
            Self::Npm | Self::Copyright => 2 << 20,
            Self::Metadata | Self::Diversions => 1 << 20,
            Self::Release => 64 << 10,
        }
    }

    /// Whether its beginning is worth something.
    pub(super) const fn may_be_cut(self) -> bool {
        matches!(self, Self::Metadata | Self::Copyright)
    }
}

impl Fact {
    /// What a file says; nothing when it cannot be understood.
    pub(super) fn read(interest: Interest, bytes: &[u8], path: &EntryPath) -> Option<Self> {
        let text = || String::from_utf8_lossy(bytes);
        Some(match interest {
            Interest::Status => Self::Packages(dpkg::status(&text(), path)),
            Interest::List => Self::Paths(dpkg::list(bytes)),
            Interest::Sums => Self::Paths(dpkg::sums(bytes)),
            Interest::Diversions => Self::Diversions(dpkg::diversions(&text())),
            Interest::Copyright => Self::Licence(copyright::parse(&text())),
            Interest::Release => Self::Release(OsRelease::parse(&text())),
            Interest::Metadata => Self::Packages(vec![python::metadata(&text(), path)?]),
            Interest::Record => Self::Record(bytes.to_vec()),
            Interest::Npm => Self::Packages(vec![npm::parse(bytes, path)?]),
        })
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Packages(packages) => packages.len() * 1024,
            Self::Paths(paths) => paths.iter().map(|path| path.as_bytes().len() + 32).sum(),
            Self::Diversions(list) => list.len() * 256,
            Self::Licence(_) | Self::Release(_) => 512,
            Self::Record(bytes) => bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_say_something() {
        for (path, expected) in [
            ("var/lib/dpkg/status", Some(Interest::Status)),
            ("var/lib/dpkg/status-old", None),
            ("var/lib/dpkg/status.d/tzdata", Some(Interest::Status)),
            ("var/lib/dpkg/status.d/tzdata.md5sums", Some(Interest::Sums)),
            ("var/lib/dpkg/info/zsh.list", Some(Interest::List)),
            ("var/lib/dpkg/info/zsh.md5sums", None),
            ("var/lib/dpkg/diversions", Some(Interest::Diversions)),
            ("usr/share/doc/zsh/copyright", Some(Interest::Copyright)),
            ("usr/share/doc/zsh/examples/copyright", None),
            ("copyright", None),
            ("usr/lib/os-release", Some(Interest::Release)),
            ("opt/x-1.dist-info/METADATA", Some(Interest::Metadata)),
            ("opt/x-1.dist-info/RECORD", Some(Interest::Record)),
            ("opt/x.egg-info", Some(Interest::Metadata)),
            ("opt/x.egg-info/PKG-INFO", Some(Interest::Metadata)),
            ("opt/METADATA", None),
            ("a/node_modules/b/package.json", Some(Interest::Npm)),
            ("a/package.json", None),
        ] {
            assert_eq!(Interest::of(&path.parse().unwrap()), expected, "{path}");
        }
        assert_eq!(Interest::of(&EntryPath::ROOT), None);
    }
}
