//! The rows of the compact tables that a [`Universe`](super::Universe) is made of.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::dependency::Relation;

/// The number of a name, real or virtual, in apt's order of first mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(u32);

impl NameId {
    pub(super) fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a package, which is one version of a name, in the order of the indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackageId(NonZeroU32);

impl PackageId {
    pub(super) fn from_index(index: usize) -> Self {
        // Counting from one leaves zero free, so that an `Option` of it needs no room.
        Self(u32::try_from(index + 1).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX))
    }

    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A stretch of an index's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    length: u16,
}

impl Span {
    /// The place of `part`, which must be a part of `text`; `None` when it is too far in or too long to be noted.
    pub(super) fn locate(text: &str, part: &str) -> Option<Self> {
        let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        Some(Self { start: u32::try_from(start).ok()?, length: u16::try_from(part.len()).ok()? })
    }

    pub(super) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.length)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The highest version.
    pub(super) versions: Option<PackageId>,
    /// The provider that was met last.
    pub(super) provides: Option<u32>,
    /// The name with the architecture after a colon, when some relation uses it.
    pub(super) by_architecture: Option<NameId>,
    pub(super) essential: bool,
    pub(super) important: bool,
}

/// What the solver needs of a package.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: NameId,
    /// The next lower version of the same name.
    pub(super) next: Option<PackageId>,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) version: Span,
    pub(super) first_link: u32,
    pub(super) last_link: u32,
    pub(super) origin: u16,
    /// The highest pin priority among all origins that list it.
    pub(super) pin: i32,
    pub(super) priority: u8,
    pub(super) multi_arch: super::MultiArch,
    pub(super) architecture_all: bool,
}

/// The kind of a relation, in the order in which apt keeps the relations of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    PreDepends,
    Depends,
    Conflicts,
    Breaks,
    Recommends,
    Suggests,
    Replaces,
    Enhances,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::PreDepends,
        Self::Depends,
        Self::Conflicts,
        Self::Breaks,
        Self::Recommends,
        Self::Suggests,
        Self::Replaces,
        Self::Enhances,
    ];

    /// `Conflicts` or `Breaks`.
    pub(crate) fn is_negative(self) -> bool {
        matches!(self, Self::Conflicts | Self::Breaks)
    }

    /// Whether a package cannot be installed without it: all but recommendations and the like.
    pub(crate) fn is_critical(self) -> bool {
        self <= Self::Breaks
    }
}

/// One alternative of a relation of a package.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) target: NameId,
    pub(crate) version: Span,
    pub(crate) relation: Option<Relation>,
    pub(crate) kind: Kind,
    /// Whether the next link belongs to the same group of alternatives.
    pub(crate) or_next: bool,
}

/// That a package provides a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provide {
    pub(crate) owner: PackageId,
    pub(crate) version: Span,
    /// Whether it comes of Multi-Arch (`name:any`, `name:amd64`) and was not written in `Provides`.
    pub(crate) implicit: bool,
    pub(super) next: Option<u32>,
}
