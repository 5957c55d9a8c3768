//! What can go wrong between a mirror and the cache.

use std::path::PathBuf;
use std::sync::Arc;

use cache::Digest;

use crate::keyring::KeyringError;
use crate::mirror::MirrorError;
use crate::release::ReleaseProblem;
use crate::source::SourceError;
use http::Failure;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the archive client. Each says which file of which archive it is about, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line that describes a source cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is no place to take packages from.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A keyring cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A source names its keys in a way that only apt can resolve.
    #[error("{archive} is to be signed by a key named by fingerprint: give the file of a keyring instead")]
    KeyByName {
        /// The archive.
        archive: String,
    },
    /// The release file of an archive cannot be used.
    #[error("the release file `{url}` of {archive} cannot be used: {problem}")]
    Release {
        /// The archive.
        archive: String,
        /// Where the file is.
        url: String,
        /// Why.
        problem: Box<ReleaseProblem>,
    },
    /// A file cannot be fetched from anywhere.
    #[error("cannot fetch `{path}` of {archive} from {url}: {failure}{hint}")]
    Fetch {
        /// The file, relative to the archive.
        path: String,
        /// The archive.
        archive: String,
        /// The last address that was tried.
        url: String,
        /// Why that failed.
        failure: Box<Failure>,
        /// What to do next; begins with "; ", or is empty.
        hint: String,
    },
    /// The mirror has the file no longer.
    #[error(
        "{name} (`{path}`) is no longer at {}: the archive has replaced it; run again with `--update` for the present \
         version, or give `--snapshot` with the date of the lock to fetch the old one",
        urls.join(", ")
    )]
    Gone {
        /// The package, by name, version and architecture.
        name: String,
        /// The file, relative to the archive.
        path: String,
        /// The addresses that were tried.
        urls: Vec<String>,
    },
    /// A file is needed that the cache does not have, and the network may not be used.
    #[error(
        "`{path}` of {archive} is not in the cache, and `--offline` forbids fetching it: run once without `--offline`"
    )]
    Offline {
        /// The file, relative to the archive.
        path: String,
        /// The archive.
        archive: String,
    },
    /// A compressed index does not unpack to what the release file promised.
    #[error("the index `{path}` of {archive} does not unpack to what its release file promises: {detail}")]
    Index {
        /// The file, relative to the archive.
        path: String,
        /// The archive.
        archive: String,
        /// What is wrong.
        detail: String,
    },
    /// A local file of an archive cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The contents of the cache were damaged.
    #[error("the cached copy {digest} of `{path}` is damaged and was removed: run again")]
    Damaged {
        /// The file, relative to the archive.
        path: String,
        /// The cached contents.
        digest: Digest,
    },
    /// The cache cannot be used.
    #[error("{0}")]
    Cache(Arc<cache::Error>),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl From<cache::Error> for Error {
    fn from(error: cache::Error) -> Self {
        Self::Cache(Arc::new(error))
    }
}
