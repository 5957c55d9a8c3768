//! One package that is installed in a tree.

use std::fmt;

use serde::{Serialize, Serializer};
use tree::EntryPath;

use super::Licence;

/// Whose package it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecosystem {
    /// dpkg's, of Debian and what is made of it.
    Debian,
    /// Python's, as pip and others install them.
    Python,
    /// Node.js's.
    Npm,
}

impl Ecosystem {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Debian, Self::Python, Self::Npm];

    /// The word for it, which is the type of its package URLs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debian => "deb",
            Self::Python => "pypi",
            Self::Npm => "npm",
        }
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Ecosystem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a binary package was built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Name of the source package.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An installed package. Their order is that of the fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Whose it is.
    pub ecosystem: Ecosystem,
    /// Its name, as its own metadata spell it; npm's with their scope.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Debian's word for the machines it is for.
    pub architecture: Option<String>,
    /// The file that says it is there.
    pub location: EntryPath,
    /// What it was built from.
    pub source: Option<Source>,
    /// Who looks after it: `NAME <ADDRESS>`.
    pub maintainer: Option<String>,
    /// Where its project lives.
    pub homepage: Option<String>,
    /// What it says about its size, in bytes.
    pub installed_size: Option<u64>,
    /// What it says about its licence.
    pub licence: Licence,
    /// How many files of the tree are its own, directories not counted.
    pub files: u64,
    /// Their bytes; a file with several names counts once.
    pub size: u64,
    /// The package that brought it, by its place in [`super::Inventory::packages`]: Debian's packages bring Python's.
    pub part_of: Option<usize>,
}

impl Package {
    /// A package of which only this is known so far.
    pub(crate) fn new(ecosystem: Ecosystem, name: String, version: String, location: EntryPath) -> Self {
        Self {
            ecosystem,
            name,
            version,
            architecture: None,
            location,
            source: None,
            maintainer: None,
            homepage: None,
            installed_size: None,
            licence: Licence::default(),
            files: 0,
            size: 0,
            part_of: None,
        }
    }
}
