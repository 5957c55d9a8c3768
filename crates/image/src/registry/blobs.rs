//! Contents of a repository, into the cache and out of it (distribution specification, "Pulling blobs").

use std::fs::File;
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use cache::{Cache, Claim, Digest, Partial};
use http::{Call, Failure, Method, Request, Sink, Size, Status};

use super::{RegistryError, Repository};
use crate::events::Event;
use crate::{Descriptor, Place, Result, Verified};

/// How often to look whether another process has finished the content that both want.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often a content is fetched whole before it is believed to be wrong.
const ATTEMPTS: u32 = 2;

impl Repository {
    /// Opens a content, fetching it into the cache first if it is not there.
    pub(super) fn open_blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let cache = &self.registry.options.cache;
        if let Some(file) = cache.file(&blob.digest)? {
            return Ok(Box::new(Kept::new(file, blob, cache)));
        }
        if self.registry.options.offline {
            return Err(RegistryError::Offline { what: blob.digest_text(), place: self.name() }.into());
        }
        let file = self.fetch(blob)?;
        Ok(Box::new(Kept::new(file, blob, cache)))
    }

    /// Whether a content is there.
    pub(super) fn has_blob(&self, blob: &Descriptor) -> Result<bool, RegistryError> {
        let action = self.doing(&format!("look for {} in", blob.digest_text()));
        let url = self.blob_url(blob)?;
        let answer = self.ask(&action, &Call::new(Method::Head, &url))?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(RegistryError::refused(&action, &answer)),
        }
    }

    fn blob_url(&self, blob: &Descriptor) -> Result<String, RegistryError> {
        self.url(&format!("blobs/{}", blob.digest_text()))
    }

    fn fetch(&self, blob: &Descriptor) -> Result<File> {
        let mut whole = 0;
        loop {
            let partial = match self.claim(&blob.digest)? {
                Claim::Present(file) => return Ok(file),
                Claim::Mine(partial) => partial,
            };
            // What an earlier run began may not fit: that is no fault of the registry's.
            whole += u32::from(partial.is_empty());
            self.received(partial.len(), false);
            let partial = self.transfer(blob, partial)?;
            match partial.commit() {
                Ok(file) => return Ok(file),
                Err(cache::Error::Mismatch { expected, found }) => {
                    self.received(blob.size, true);
                    if whole >= ATTEMPTS {
                        let what = "a content".to_owned();
                        let wrong = RegistryError::WrongDigest { what, place: self.name(), expected, found };
                        return Err(wrong.into());
                    }
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Brings all bytes into `partial`, whatever they are.
    fn transfer(&self, blob: &Descriptor, partial: Partial) -> Result<Partial> {
        let action = self.doing(&format!("fetch {} from", blob.digest_text()));
        let url = self.blob_url(blob)?;
        let what = blob.digest_text();
        let mut sink = Resumable { repository: self, what: &what, partial };
        // A registry that wants to know who we are is asked a question whose answer can be looked at.
        for first in [true, false] {
            let authorization = self.held();
            let size = Size::Exact(blob.size);
            let request = Request {
                url: &url,
                size,
                validators: None,
                authorization: authorization.as_ref(),
                accept: None,
            };
            let failure = match self.registry.http.get(&request, &mut sink) {
                Ok(_) => break,
                Err(failure) => failure,
            };
            match failure {
                Failure::Status(Status::Unauthorized) if first => {
                    if !self.has_blob(blob)? {
                        return Err(self.no_blob(blob));
                    }
                }
                failure if failure.is_absence() => return Err(self.no_blob(blob)),
                Failure::Cache(error) => return Err(kept(&error)),
                failure => {
                    self.received(sink.partial.len(), true);
                    return Err(RegistryError::transfer(&action, failure).into());
                }
            }
        }
        Ok(sink.partial)
    }

    fn no_blob(&self, blob: &Descriptor) -> crate::Error {
        RegistryError::NoBlob { place: self.name(), digest: blob.digest_text() }.into()
    }

    /// The right to fetch a content, or the content.
    fn claim(&self, digest: &Digest) -> Result<Claim> {
        loop {
            if self.registry.options.cancel.is_cancelled() {
                return Err(RegistryError::Cancelled.into());
            }
            match self.registry.options.cache.try_partial(digest)? {
                Some(claim) => return Ok(claim),
                // Locks tell nobody when they end, and waiting in the kernel would not hear a wish to stop.
                None => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// Tells that so many bytes came, or turned out to be `useless`.
    fn received(&self, bytes: u64, useless: bool) {
        let bytes = signed(bytes);
        let bytes = if useless { -bytes } else { bytes };
        self.registry.options.events.event(&Event::Received { bytes });
    }
}

/// Contents have fewer than 2^63 bytes.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The sink's error comes back shared; its message says what to do.
fn kept(error: &std::sync::Arc<cache::Error>) -> crate::Error {
    let source = io::Error::other(std::sync::Arc::clone(error));
    crate::Error::Read {
        what: "a content".to_owned(),
        place: "the registry into the cache".to_owned(),
        source,
    }
}

struct Resumable<'a> {
    repository: &'a Repository,
    what: &'a str,
    partial: Partial,
}

impl Sink for Resumable<'_> {
    fn held(&self) -> u64 {
        self.partial.len()
    }

    fn restart(&mut self) -> Result<(), cache::Error> {
        self.repository.received(self.partial.len(), true);
        self.partial.restart()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), cache::Error> {
        self.partial.append(bytes)?;
        self.repository.received(bytes.len() as u64, false);
        Ok(())
    }

    fn retrying(&mut self, failure: &Failure) {
        let failure = failure.to_string();
        let event = Event::Retrying { what: self.what, failure: &failure };
        self.repository.registry.options.events.event(&event);
    }
}

/// A content in the cache, read once more under suspicion: disks forget. A damaged one is thrown away, so that the next
/// attempt fetches it again.
struct Kept<'a> {
    inner: Verified<File>,
    digest: Digest,
    cache: &'a Cache,
}

impl<'a> Kept<'a> {
    fn new(file: File, blob: &Descriptor, cache: &'a Cache) -> Self {
        Self { inner: Verified::new(file, blob), digest: blob.digest, cache }
    }
}

impl Read for Kept<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData {
                let _ = self.cache.discard(&self.digest);
            }
        })
    }
}
