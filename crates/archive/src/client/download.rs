//! Files with a promised digest, side by side, into the cache.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use cache::{Claim, Digest, Partial};

use super::{Client, Event, failed};
use crate::{Error, Result};
use http::{Failure, Request, Sink, Size, parallel, without_password};

/// How often to look whether another process has finished the file that both want.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A file that an archive vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// What messages call it: for a package its name, version and architecture.
    pub name: String,
    /// Its path, relative to the archive.
    pub path: String,
    /// What messages call the archive.
    pub archive: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// Where it may be, in the order to be tried.
    pub urls: Vec<String>,
}

/// What [`Client::download`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Downloaded {
    /// How many files were fetched.
    pub fetched: usize,
    /// How many bytes these have.
    pub bytes: u64,
    /// How many files were in the cache.
    pub cached: usize,
}

impl Client {
    /// Fetches what the cache does not have. Afterwards all files are there, under their digests.
    ///
    /// # Errors
    /// [`Error::Gone`] when a package is nowhere any more, [`Error::Fetch`], [`Error::Offline`], [`Error::Cache`],
    /// [`Error::Cancelled`]; the error of the first file in the list that could not be had. What was fetched stays.
    pub fn download(&self, files: &[Download]) -> Result<Downloaded> {
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        let mut summary = Downloaded::default();
        for file in files.iter().filter(|file| seen.insert(file.sha256)) {
            if self.options.cache.contains(&file.sha256)? {
                self.options.events.event(&Event::Cached { name: &file.name });
                summary.cached += 1;
            } else {
                missing.push(file);
            }
        }
        let bytes = missing.iter().map(|file| file.size).sum();
        if !missing.is_empty() {
            self.options.events.event(&Event::Planned { files: missing.len(), bytes });
        }
        parallel::map(self.options.jobs, &missing, |file| self.download_one(file))?;
        Ok(Downloaded { fetched: missing.len(), bytes, ..summary })
    }

    /// Brings one file into the cache, by this process or by another one that is at it.
    pub(super) fn download_one(&self, file: &Download) -> Result<()> {
        self.http(&file.path, &file.archive)?;
        self.options.events.event(&Event::Begun { name: &file.name, size: Some(file.size) });
        let mut failures: Vec<(String, Failure)> = Vec::new();
        for url in &file.urls {
            match self.fetch_verified(file, url)? {
                Ok(()) => {
                    self.options.events.event(&Event::Finished { name: &file.name });
                    return Ok(());
                }
                Err(failure @ (Failure::Cancelled | Failure::Cache(_))) => {
                    return Err(unfit(file, url, failure));
                }
                Err(failure) => failures.push((url.clone(), failure)),
            }
        }
        Err(conclude(file, failures))
    }

    /// Fetches from one address; the inner error is about that address alone.
    fn fetch_verified(&self, file: &Download, url: &str) -> Result<Result<(), Failure>> {
        // A part that another mirror, or an earlier run, began may not fit what comes from here: then once more, whole.
        for _ in 0..2 {
            let Some(partial) = self.claim(file)? else { return Ok(Ok(())) };
            let begun_earlier = !partial.is_empty();
            match self.fetch_into(partial, file, url)? {
                Err(Failure::WrongDigest { .. }) if begun_earlier => {}
                other => return Ok(other),
            }
        }
        let Some(partial) = self.claim(file)? else { return Ok(Ok(())) };
        self.fetch_into(partial, file, url)
    }

    fn fetch_into(&self, partial: Partial, file: &Download, url: &str) -> Result<Result<(), Failure>> {
        let http = self.http(&file.path, &file.archive)?;
        let held = partial.len();
        if held > 0 {
            self.options.events.event(&Event::Adjusted { bytes: signed(held) });
        }
        let mut sink = Resumable { client: self, name: &file.name, partial };
        let request = Request {
            url,
            size: Size::Exact(file.size),
            validators: None,
            authorization: None,
            accept: None,
        };
        if let Err(failure) = http.get(&request, &mut sink) {
            self.options.events.event(&Event::Adjusted { bytes: -signed(sink.partial.len()) });
            return Ok(Err(failure));
        }
        match sink.partial.commit() {
            Ok(_) => Ok(Ok(())),
            Err(cache::Error::Mismatch { expected, found }) => {
                self.options.events.event(&Event::Adjusted { bytes: -signed(file.size) });
                Ok(Err(Failure::WrongDigest { expected, found }))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// The right to fetch a file; `None` when it is in the cache by now.
    fn claim(&self, file: &Download) -> Result<Option<Partial>> {
        loop {
            self.check_cancelled()?;
            match self.options.cache.try_partial(&file.sha256)? {
                Some(Claim::Mine(partial)) => return Ok(Some(partial)),
                Some(Claim::Present(_)) => {
                    self.options.events.event(&Event::Adjusted { bytes: signed(file.size) });
                    return Ok(None);
                }
                // Locks tell nobody when they end, and waiting in the kernel would not hear a wish to stop.
                None => thread::sleep(LOOK_AGAIN),
            }
        }
    }
}

/// The error for a file that no address could give. One address that merely failed is worth more than another that says
/// "not found": only when all say so is the file gone.
fn conclude(file: &Download, failures: Vec<(String, Failure)>) -> Error {
    let all_absent = failures.iter().all(|(_, failure)| failure.is_absence());
    if all_absent && !failures.is_empty() {
        return Error::Gone {
            name: file.name.clone(),
            path: file.path.clone(),
            urls: failures.iter().map(|(url, _)| without_password(url)).collect(),
        };
    }
    match failures.into_iter().rev().find(|(_, failure)| !failure.is_absence()) {
        Some((url, failure)) => unfit(file, &url, failure),
        None => unfit(file, "nowhere", Failure::Address("no address is known".to_owned())),
    }
}

fn unfit(file: &Download, url: &str, failure: Failure) -> Error {
    failed(&file.path, &file.archive, url, failure)
}

/// Files have fewer than 2^63 bytes.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

struct Resumable<'a> {
    client: &'a Client,
    name: &'a str,
    partial: Partial,
}

impl Sink for Resumable<'_> {
    fn held(&self) -> u64 {
        self.partial.len()
    }

    fn restart(&mut self) -> Result<(), cache::Error> {
        self.client.options.events.event(&Event::Adjusted { bytes: -signed(self.partial.len()) });
        self.partial.restart()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), cache::Error> {
        self.partial.append(bytes)?;
        self.client.options.events.event(&Event::Received { bytes: bytes.len() as u64 });
        Ok(())
    }

    fn retrying(&mut self, failure: &Failure) {
        self.client.options.events.event(&Event::Retrying { name: self.name, failure });
    }
}
