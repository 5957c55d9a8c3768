//! A view of one package of a universe.

use super::{Origin, PackageId, Universe};
use crate::deb822::Stanza;
use crate::dependency::{Alternatives, alternatives};

/// One package: one version of a name.
#[derive(Clone, Copy)]
pub struct Package<'u> {
    universe: &'u Universe,
    id: PackageId,
}

/// How a package may be used by packages of other architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiArch {
    /// Not at all.
    No,
    /// Several architectures of it may be installed together.
    Same,
    /// It serves packages of any architecture.
    Foreign,
    /// It serves packages of any architecture that ask for `name:any`.
    Allowed,
}

impl MultiArch {
    pub(super) fn parse(value: &str, architecture_all: bool) -> Self {
        match value {
            "same" if !architecture_all => Self::Same,
            "foreign" => Self::Foreign,
            "allowed" => Self::Allowed,
            _ => Self::No,
        }
    }
}

/// How important the distribution thinks a package is (Debian Policy 2.5), most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Needed for the system to work; part of a minimal system.
    Required = 1,
    /// Expected on any Unix-like system.
    Important,
    /// A small but not too limited system.
    Standard,
    /// Everything else.
    Optional,
    /// As optional; no longer in use.
    Extra,
}

impl Priority {
    /// Reads the value of the field; anything unknown counts as extra, as in apt, and nothing as no priority.
    pub(super) fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "" => return None,
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "optional" => Self::Optional,
            _ => Self::Extra,
        })
    }
}

/// The source package that a package was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'u> {
    /// The name of the source package.
    pub name: &'u str,
    /// Its version, which differs from the package's own after a rebuild without change.
    pub version: &'u str,
}

impl<'u> Package<'u> {
    pub(super) fn new(universe: &'u Universe, id: PackageId) -> Self {
        Self { universe, id }
    }

    pub(crate) fn id(self) -> PackageId {
        self.id
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'u str {
        self.universe.name_of(self.universe.owner_name(self.id))
    }

    /// The version.
    #[must_use]
    pub fn version(self) -> &'u str {
        self.universe.version_of(self.id)
    }

    /// The architecture: that of the universe, or `all`.
    #[must_use]
    pub fn architecture(self) -> &'u str {
        if self.universe.entry(self.id).architecture_all { "all" } else { self.universe.architecture() }
    }

    /// The value of `Multi-Arch`.
    #[must_use]
    pub fn multi_arch(self) -> MultiArch {
        self.universe.entry(self.id).multi_arch
    }

    /// Whether no system may be without it.
    #[must_use]
    pub fn is_essential(self) -> bool {
        self.field("Essential") == Some("yes")
    }

    /// Whether it must not be removed lightly: `Protected`, or apt's older `Important`.
    #[must_use]
    pub fn is_protected(self) -> bool {
        ["Protected", "Important"].iter().any(|name| self.field(name) == Some("yes"))
    }

    /// The priority, when there is one.
    #[must_use]
    pub fn priority(self) -> Option<Priority> {
        Some(match self.universe.entry(self.id).priority {
            1 => Priority::Required,
            2 => Priority::Important,
            3 => Priority::Standard,
            4 => Priority::Optional,
            5 => Priority::Extra,
            _ => return None,
        })
    }

    /// The section, for example `shells` or `contrib/net`.
    #[must_use]
    pub fn section(self) -> Option<&'u str> {
        self.field("Section")
    }

    /// The source package; by default it has the name and the version of the package.
    #[must_use]
    pub fn source(self) -> Source<'u> {
        let Some(value) = self.field("Source") else {
            return Source { name: self.name(), version: self.version() };
        };
        match value.split_once('(') {
            Some((name, rest)) => {
                let version = rest.split_once(')').map_or(rest, |(version, _)| version);
                Source { name: name.trim_ascii_end(), version: version.trim_ascii() }
            }
            None => Source { name: value, version: self.version() },
        }
    }

    /// Where the archive has the file, relative to its base, as written in the index.
    #[must_use]
    pub fn filename(self) -> Option<&'u str> {
        self.field("Filename")
    }

    /// The size of the file in bytes.
    #[must_use]
    pub fn size(self) -> Option<u64> {
        self.field("Size")?.parse().ok()
    }

    /// The SHA-256 of the file.
    #[must_use]
    pub fn sha256(self) -> Option<[u8; 32]> {
        let text = self.field("SHA256")?.as_bytes();
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(digest)
    }

    /// The size when installed, in KiB, as estimated by those who built it.
    #[must_use]
    pub fn installed_size(self) -> Option<u64> {
        self.field("Installed-Size")?.parse().ok()
    }

    /// The alternatives of a relation field such as `Depends`; none when there is no such field.
    #[must_use]
    pub fn relations(self, field: &str) -> Alternatives<'u> {
        alternatives(self.field(field).unwrap_or(""))
    }

    /// Where it comes from; when several indices list it, the first.
    #[must_use]
    pub fn origin(self) -> &'u Origin {
        &self.universe.origins[usize::from(self.universe.entry(self.id).origin)]
    }

    /// The whole stanza.
    #[must_use]
    pub fn stanza(self) -> Stanza<'u> {
        let entry = self.universe.entry(self.id);
        let text = &self.universe.texts[usize::from(entry.origin)];
        Stanza::new(&text[entry.start as usize..entry.end as usize])
    }

    /// The value of any field of the stanza.
    #[must_use]
    pub fn field(self, name: &str) -> Option<&'u str> {
        self.stanza().get(name)
    }
}

impl PartialEq for Package<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.universe, other.universe) && self.id == other.id
    }
}

impl Eq for Package<'_> {}

impl std::fmt::Debug for Package<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}:{}", self.name(), self.version(), self.architecture())
    }
}

impl std::fmt::Display for Package<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.version())
    }
}
