//! What a tree is made of.

use std::collections::BTreeMap;

use crate::EntryPath;

/// Everything about an entry that is neither its name nor its contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits including set-uid, set-gid and sticky: `0..=0o7777`.
    pub mode: u32,
    /// The numeric owner.
    pub uid: u32,
    /// The numeric group.
    pub gid: u32,
    /// Time of last modification in seconds since 1970, rounded down, negative before it.
    pub mtime: i64,
    /// Nanoseconds of the time of last modification beyond its second: `0..=999_999_999`.
    pub mtime_nanos: u32,
    /// Extended attributes by full name (`security.capability`), values as raw bytes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Metadata {
    /// Metadata of root's own entry: `mode` and `mtime`, owner and group 0, no extended attributes.
    #[must_use]
    pub fn new(mode: u32, mtime: i64) -> Metadata {
        Metadata { mode: mode & 0o7777, mtime, ..Metadata::default() }
    }

    /// Takes a time later than `latest` back to it, and every time to its whole second: what a build that gives the same
    /// bits again and again can vouch for.
    pub fn clamp_mtime(&mut self, latest: i64) {
        self.mtime = self.mtime.min(latest);
        self.mtime_nanos = 0;
    }
}

/// The type of an entry, with what belongs to it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Length of its contents in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points: free bytes, neither empty nor with a NUL, and never followed by this crate's reader.
        target: Vec<u8>,
    },
    /// One more name of a file of the same tree.
    HardLink {
        /// The file's first name.
        target: EntryPath,
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

impl Kind {
    /// The kind as a word for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Directory => "directory",
            Kind::File { .. } => "file",
            Kind::Symlink { .. } => "symbolic link",
            Kind::HardLink { .. } => "hard link",
            Kind::CharDevice { .. } => "character device",
            Kind::BlockDevice { .. } => "block device",
            Kind::Fifo => "named pipe",
        }
    }

    /// How many bytes of contents follow the entry: the size of a file, else 0.
    #[must_use]
    pub fn size(&self) -> u64 {
        if let Kind::File { size } = self { *size } else { 0 }
    }
}

/// One entry of a tree, without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub path: EntryPath,
    /// Its type.
    pub kind: Kind,
    /// Its owner, mode, time and extended attributes.
    pub metadata: Metadata,
}
