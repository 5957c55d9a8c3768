//! Release files: fetched with one conditional request each, verified, remembered.

use cache::Digest;

use super::{Archive, Client, Event, failed};
use crate::keyring::Signed;
use crate::release::{Expected, Release, ReleaseProblem};
use crate::source::Source;
use crate::{Error, Result};
use http::{Failure, Fetched, Request, Sink, Size, Validators, parallel, without_password};

/// Debian's sid has 200 kB.
const SIZE_LIMIT: u64 = 16 << 20;

/// The kind of cache records that hold the newest release file seen at an address.
const RECORD: &str = "inrelease";

/// A release file as the cache remembers it: two lines of validators (empty when the server sent none), then the file.
struct Remembered {
    validators: Validators,
    message: Vec<u8>,
}

impl Client {
    /// The verified release files of all sources, in their order; one request for each that changed or may have.
    ///
    /// # Errors
    /// [`Error::Release`], [`Error::Fetch`], [`Error::Offline`], [`Error::Keyring`], [`Error::KeyByName`],
    /// [`Error::Cache`], [`Error::Cancelled`].
    pub fn releases(&self, sources: &[Source]) -> Result<Vec<Archive>> {
        parallel::map(self.options.jobs, sources, |source| self.release(source))
    }

    fn release(&self, source: &Source) -> Result<Archive> {
        self.check_cancelled()?;
        let url = format!("{}InRelease", source.release_folder());
        let remembered = self.remembered(&url)?;
        let name = format!("{} InRelease", source.suite);
        if self.options.offline {
            let Some(remembered) = remembered else {
                return Err(Error::Offline { path: "InRelease".to_owned(), archive: source.describe() });
            };
            self.options.events.event(&Event::Cached { name: &name });
            return self.verify(source, &url, &remembered.message, None);
        }
        let (fetched, message) = self.fetch_release(source, &url, &name, remembered.as_ref())?;
        match (fetched, remembered) {
            (Fetched::Complete(validators), remembered) => {
                let archive = self.verify(source, &url, &message, remembered.as_ref())?;
                self.remember(&url, &Remembered { validators, message })?;
                Ok(archive)
            }
            (Fetched::NotModified, Some(remembered)) => self.verify(source, &url, &remembered.message, None),
            (Fetched::NotModified, None) => {
                let failure =
                    Failure::Protocol("304 (not modified), though nothing was there before".to_owned());
                Err(failed("InRelease", &source.describe(), &url, failure))
            }
        }
    }

    fn fetch_release(
        &self,
        source: &Source,
        url: &str,
        name: &str,
        remembered: Option<&Remembered>,
    ) -> Result<(Fetched, Vec<u8>)> {
        let http = self.http("InRelease", &source.describe())?;
        self.options.events.event(&Event::Planned { files: 1, bytes: 0 });
        self.options.events.event(&Event::Begun { name, size: None });
        let mut sink = Memory { client: self, name, bytes: Vec::new() };
        let validators =
            remembered.map(|remembered| &remembered.validators).filter(|known| !known.is_empty());
        let request =
            Request { url, size: Size::AtMost(SIZE_LIMIT), validators, authorization: None, accept: None };
        let fetched = http
            .get(&request, &mut sink)
            .map_err(|failure| failed("InRelease", &source.describe(), url, failure))?;
        self.options.events.event(&Event::Finished { name });
        Ok((fetched, sink.bytes))
    }

    /// Everything that must hold before a release file is used. `earlier` is the newest one seen before.
    fn verify(
        &self,
        source: &Source,
        url: &str,
        message: &[u8],
        earlier: Option<&Remembered>,
    ) -> Result<Archive> {
        let refuse = |problem: ReleaseProblem| Error::Release {
            archive: source.describe(),
            url: without_password(url),
            problem: Box::new(problem),
        };
        let signed = self.signed(source, message)?.map_err(|problem| refuse(problem.into()))?;
        let release = Release::parse(&signed.text).map_err(refuse)?;
        let expected = Expected {
            suite: &source.suite,
            components: &source.components,
            moment: self.moment(),
            pinned: self.options.snapshot.is_some(),
        };
        release.check(&expected).map_err(refuse)?;
        let earlier = earlier.filter(|earlier| earlier.message != message);
        if let Some(seen) = self.newer(source, earlier, &release)? {
            return Err(refuse(ReleaseProblem::Replayed { date: release.date, seen }));
        }
        Ok(Archive { source: source.clone(), release, digest: Digest::of(message), signer: signed.signer })
    }

    fn signed(
        &self,
        source: &Source,
        message: &[u8],
    ) -> Result<Result<Signed, crate::keyring::SignatureProblem>> {
        let own = source.keyring()?;
        Ok(match &own {
            Some(keyring) => crate::keyring::Verifier::verify(keyring, message, self.moment()),
            None => self.options.keyring.verify(message, self.moment()),
        })
    }

    /// The date of the file seen before, if it is newer than this one; never under a snapshot, whose point is the past.
    ///
    /// What is remembered was verified when it came, but perhaps with other keys: only one that still verifies counts.
    fn newer(
        &self,
        source: &Source,
        earlier: Option<&Remembered>,
        release: &Release,
    ) -> Result<Option<jiff::Timestamp>> {
        let Some(earlier) = earlier.filter(|_| self.options.snapshot.is_none()) else { return Ok(None) };
        let Ok(signed) = self.signed(source, &earlier.message)? else { return Ok(None) };
        let seen = Release::parse(&signed.text).map(|seen| seen.date).ok();
        Ok(seen.filter(|seen| *seen > release.date))
    }

    fn remembered(&self, url: &str) -> Result<Option<Remembered>> {
        let Some(bytes) = self.options.cache.record(RECORD, url)? else { return Ok(None) };
        let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
        let (Some(etag), Some(modified), Some(message)) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(None);
        };
        let text =
            |line: &[u8]| std::str::from_utf8(line).ok().filter(|line| !line.is_empty()).map(str::to_owned);
        let validators = Validators { etag: text(etag), last_modified: text(modified) };
        Ok(Some(Remembered { validators, message: message.to_vec() }))
    }

    fn remember(&self, url: &str, what: &Remembered) -> Result<()> {
        let line = |text: &Option<String>| format!("{}\n", text.as_deref().unwrap_or_default());
        let mut bytes = line(&what.validators.etag) + &line(&what.validators.last_modified);
        // Header values hold no line ends, so these are two lines.
        debug_assert_eq!(bytes.matches('\n').count(), 2);
        let mut whole = std::mem::take(&mut bytes).into_bytes();
        whole.extend_from_slice(&what.message);
        Ok(self.options.cache.put_record(RECORD, url, &whole)?)
    }
}

/// A release file is small, and is judged before it is kept.
struct Memory<'a> {
    client: &'a Client,
    name: &'a str,
    bytes: Vec<u8>,
}

impl Sink for Memory<'_> {
    fn held(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn restart(&mut self) -> Result<(), cache::Error> {
        self.bytes.clear();
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), cache::Error> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn retrying(&mut self, failure: &Failure) {
        self.client.options.events.event(&Event::Retrying { name: self.name, failure });
    }
}
