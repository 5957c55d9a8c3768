//! What can go wrong with trees.

use std::io;

use crate::path::Escaped;
use crate::{EntryPath, PathError, tar};

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the value it went wrong for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is no [`EntryPath`].
    #[error(transparent)]
    Path(#[from] PathError),

    /// A system call on an entry beneath a [`crate::Root`] failed.
    #[error("cannot {operation} `{path}`")]
    Entry {
        /// What was being done: a verb, such as `create`.
        operation: &'static str,
        /// The entry, relative to the root.
        path: EntryPath,
        /// What the system said.
        source: io::Error,
    },

    /// The directory that becomes a [`crate::Root`] cannot be opened.
    #[error("cannot open directory `{}`", .path.display())]
    Open {
        /// The directory as it was given.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The contents for an entry cannot be read from where they come from.
    #[error("cannot read the contents of `{path}`")]
    Contents {
        /// The entry that was being written.
        path: EntryPath,
        /// What reading said.
        source: io::Error,
    },

    /// An entry is not what the operation needs.
    #[error("`{path}` is a {found}, not a {wanted}")]
    WrongKind {
        /// The entry.
        path: EntryPath,
        /// What it is.
        found: &'static str,
        /// What was needed.
        wanted: &'static str,
    },

    /// A file is larger than the caller is ready to hold in memory.
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: EntryPath,
        /// The greatest size that is accepted.
        limit: u64,
    },

    /// A file's contents have another length than its entry says.
    #[error("`{path}` has {found} bytes, but its entry says {expected}")]
    SizeMismatch {
        /// The file.
        path: EntryPath,
        /// The size of the entry.
        expected: u64,
        /// How many bytes came before the end, or one more than `expected` when there is no end by then.
        found: u64,
    },

    /// An extended attribute cannot be written to a tar: its name holds NUL, or is empty.
    #[error("extended attribute `{}` of `{path}` has no spelling in a tar", Escaped(.name))]
    XattrName {
        /// The entry.
        path: EntryPath,
        /// The attribute.
        name: Vec<u8>,
    },

    /// A device's numbers cannot be written to a tar: Linux has none above 4095 and 1048575.
    #[error("device numbers {major}, {minor} of `{path}` have no spelling in a tar")]
    DeviceNumber {
        /// The entry.
        path: EntryPath,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },

    /// An entry of a layer uses a feature of overlayfs that ties it to the layers it was made on.
    #[error(
        "`{path}` is {feature}, which means nothing outside the mount it was made in; copy the merged tree instead"
    )]
    OverlayFeature {
        /// The entry.
        path: EntryPath,
        /// What it is, as the end of a sentence.
        feature: &'static str,
    },

    /// A name that begins with `.wh.` has no spelling in an OCI layer, where it would be a whiteout.
    #[error("`{path}` has no spelling in an OCI layer, where names that begin with `.wh.` are whiteouts")]
    WhiteoutName {
        /// The entry.
        path: EntryPath,
    },

    /// An entry stands in an archive twice.
    #[error("`{path}` stands in the archive twice")]
    Twice {
        /// The entry.
        path: EntryPath,
    },

    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),

    /// The bytes of a tar archive are not acceptable.
    #[error(transparent)]
    Tar(#[from] tar::TarError),

    /// The stream under a tar cannot be read (includes a damaged compressed stream and exceeded expansion limits).
    #[error("cannot read the archive")]
    Read(#[source] io::Error),

    /// The stream under a tar cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
}

impl Error {
    /// The system's error behind this one, such as [`io::ErrorKind::AlreadyExists`].
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::Entry { source, .. } | Error::Open { source, .. } | Error::Contents { source, .. } => {
                Some(source.kind())
            }
            Error::Read(source) | Error::Write(source) => Some(source.kind()),
            _ => None,
        }
    }
}
