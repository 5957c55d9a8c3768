//! What can go wrong with a cache or a working folder.

use std::io;
use std::path::{Path, PathBuf};

use crate::Digest;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the cache; each says which path it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system is full, or a quota is used up.
    #[error("no space left on the file system of `{}`: free some, or choose another folder with {choose}", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// The setting that moves it elsewhere.
        choose: &'static str,
    },
    /// Any other failure of the operating system.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done, a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The bytes are not those that were promised; nothing was stored.
    #[error("the contents have SHA-256 {found}, but {expected} was promised")]
    Mismatch {
        /// The digest that was promised.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The folder was made by another version of the program.
    #[error(
        "the cache `{}` has format `{found}`, this program knows format {known}: remove the folder, or choose another with `--cache-dir`",
        path.display()
    )]
    Format {
        /// The cache.
        path: PathBuf,
        /// What its `version` file says, cut to 40 characters.
        found: String,
        /// The format of this program.
        known: u32,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is an absolute path.
    #[error("no place for the cache: set HOME or XDG_CACHE_HOME to an absolute path")]
    NoPlace,
    /// A working folder holds a mount, and removing it would remove what is mounted.
    #[error("`{}` is on another file system than its parent, something is mounted there: unmount it", path.display())]
    Mounted {
        /// The mount point.
        path: PathBuf,
    },
}

impl Error {
    /// An [`Error`] for a failed system call; a full disk becomes [`Error::NoSpace`].
    ///
    /// `choose` names the setting that moves `path` elsewhere.
    pub fn io(action: &'static str, path: &Path, choose: &'static str, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path: path.to_owned(), choose }
            }
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }

    /// The same as an [`io::Error`], for the `Write` trait.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::NoSpace { .. } => io::ErrorKind::StorageFull,
            Self::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }
}
