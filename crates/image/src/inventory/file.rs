//! One entry of a tree, as an inventory keeps it.

use std::collections::BTreeMap;
use std::fmt;

use cache::Digest;
use tree::EntryPath;

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub path: EntryPath,
    /// What it is.
    pub contents: Contents,
    /// Permission bits: `0..=0o7777`.
    pub mode: u32,
    /// The numeric owner.
    pub uid: u32,
    /// The numeric group.
    pub gid: u32,
    /// Time of last modification, in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The package it belongs to, by its place in [`super::Inventory::packages`]. Directories belong to nobody.
    pub owner: Option<usize>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// A directory.
    Directory,
    /// A file.
    Regular {
        /// Its length in bytes.
        size: u64,
        /// The digest of its bytes.
        sha256: Digest,
        /// The same as SPDX 2.3 demands it, when asked for.
        sha1: Option<Sha1>,
        /// The first name in path order, when this is another name of the same file.
        first: Option<EntryPath>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A SHA-1 digest, shown as 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha1(pub [u8; 20]);

impl fmt::Display for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl File {
    /// How many bytes its contents have; 0 for what is not a file.
    #[must_use]
    pub fn size(&self) -> u64 {
        if let Contents::Regular { size, .. } = self.contents { size } else { 0 }
    }

    /// The bytes that this name adds to a tree: further names of a file add nothing.
    #[must_use]
    pub fn own_size(&self) -> u64 {
        if let Contents::Regular { size, first: None, .. } = self.contents { size } else { 0 }
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.contents == Contents::Directory
    }
}

impl Contents {
    /// The kind as a word for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Regular { first: None, .. } => "file",
            Self::Regular { .. } => "hard link",
            Self::Symlink { .. } => "symbolic link",
            Self::CharDevice { .. } => "character device",
            Self::BlockDevice { .. } => "block device",
            Self::Fifo => "named pipe",
        }
    }
}
