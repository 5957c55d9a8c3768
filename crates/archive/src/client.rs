//! The client: from sources to verified release files, indices and packages in the cache.
//!
//! What enters: [`Options`] and [`Source`]s. What leaves: [`Archive`]s whose release file was verified, [`Index`]es whose
//! digests were checked on both sides of decompression, and packages in the cache under the digest that was promised.
//! All of it streams: beside the text of an index that a caller asks for, memory stays at some megabytes.

mod download;
mod events;
mod indices;
mod inrelease;

use std::sync::Arc;

use cache::Cache;

use crate::keyring::Verifier;
use crate::mirror::Snapshot;
use crate::release::Release;
use crate::source::Source;
use crate::{Cancel, Clock, Error, Result};
use http::{Failure, Http};

pub use download::{Download, Downloaded};
pub use events::{Event, Events, Silent};
pub use indices::Index;

/// How a client works.
pub struct Options {
    /// Where everything is kept.
    pub cache: Cache,
    /// Whether the cache alone must do.
    pub offline: bool,
    /// How many files are fetched at the same time; at least 1.
    pub jobs: usize,
    /// The keys of sources that name none themselves, and of all if `--keyring` was given.
    pub keyring: Arc<dyn Verifier>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// The date to which the archives are pinned: their release files must be valid then, and not newer.
    pub snapshot: Option<Snapshot>,
    /// How patient to be, and which proxies to use.
    pub http: http::Options,
    /// Who is told what happens.
    pub events: Arc<dyn Events>,
    /// The wish to stop.
    pub cancel: Cancel,
}

impl Options {
    /// Eight connections, this machine's clock, no proxies, nobody told.
    ///
    /// `keyring` is that of the distribution, [`Keyring::of`](crate::keyring::Keyring::of), or the user's own.
    #[must_use]
    pub fn new(cache: Cache, keyring: Arc<dyn Verifier>) -> Self {
        Self {
            cache,
            offline: false,
            jobs: 8,
            keyring,
            clock: Clock::System,
            snapshot: None,
            http: http::Options::default(),
            events: Arc::new(Silent),
            cancel: Cancel::default(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .field("jobs", &self.jobs)
            .field("clock", &self.clock)
            .field("snapshot", &self.snapshot)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

/// A suite of an archive whose release file was verified.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Where it is.
    pub source: Source,
    /// What its release file says.
    pub release: Release,
    /// The digest of the release file as it came, for the lock.
    pub digest: cache::Digest,
    /// The fingerprint of a primary key that signed it.
    pub signer: String,
}

/// Fetches from archives. Shared between threads by reference.
///
/// It runs a thread of its own for the network: drop it before the process enters new namespaces.
#[derive(Debug)]
pub struct Client {
    options: Options,
    /// `None` when offline.
    http: Option<Http>,
}

impl Client {
    /// Makes a client; nothing is fetched yet.
    ///
    /// # Errors
    /// [`Error::Fetch`] when the system gives no thread.
    pub fn new(options: Options) -> Result<Self> {
        let http = if options.offline {
            None
        } else {
            let made = Http::new(options.http.clone(), options.cancel.clone());
            Some(made.map_err(|failure| failed("anything", "any archive", "any address", failure))?)
        };
        Ok(Self { options, http })
    }

    /// The cache in which everything is kept.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.options.cache
    }

    /// The moment at which everything must be valid.
    fn moment(&self) -> jiff::Timestamp {
        self.options.snapshot.map_or_else(|| self.options.clock.now(), Snapshot::moment)
    }

    fn http(&self, path: &str, archive: &str) -> Result<&Http> {
        self.http
            .as_ref()
            .ok_or_else(|| Error::Offline { path: path.to_owned(), archive: archive.to_owned() })
    }

    fn check_cancelled(&self) -> Result<()> {
        if self.options.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// The error for a transfer that failed, with what to do about it.
fn failed(path: &str, archive: &str, url: &str, failure: Failure) -> Error {
    let hint = match &failure {
        Failure::Cancelled => return Error::Cancelled,
        // The address has no part in it, and the message of the cache says what to do.
        Failure::Cache(error) => return Error::Cache(Arc::clone(error)),
        Failure::Connect(_) | Failure::ConnectTimeout(_) => {
            "; check the network and the proxy settings (http_proxy, apt's Acquire::http::Proxy), or use another `--mirror`"
        }
        Failure::Stalled(_) | Failure::TooSlow { .. } | Failure::Broken(_) | Failure::Truncated { .. } => {
            "; run again to go on from where it stopped, or use another `--mirror`"
        }
        Failure::Status(status) if failure.is_absence() || matches!(status, http::Status::Forbidden) => {
            "; check the address, suite and components, or use another `--mirror`"
        }
        Failure::WrongDigest { .. } | Failure::WrongSize { .. } | Failure::TooLarge { .. } => {
            "; run again in some minutes, or use another `--mirror`"
        }
        Failure::Redirects { .. } | Failure::BadRedirect(_) | Failure::Status(_) | Failure::Protocol(_) => {
            "; use another `--mirror`"
        }
        _ => "",
    };
    Error::Fetch {
        path: path.to_owned(),
        archive: archive.to_owned(),
        url: http::without_password(url),
        failure: Box::new(failure),
        hint: hint.to_owned(),
    }
}
