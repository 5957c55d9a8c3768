//! Contents into a repository: taken over from another one, in one piece, or in chunks that go on after a break
//! (distribution specification, "Pushing Blobs", "Pushing a blob in chunks", "Mounting a blob from another repository").

use std::io::Read;
use std::sync::PoisonError;

use bytes::Bytes;
use http::{Answer, Call, Failure, Method};

use super::fields::held;
use super::{RegistryError, Repository};
use crate::events::Event;
use crate::{Descriptor, Error, Place, Reference, Result, Verified};

/// The kind of cache records that say in which repository of a registry a content was last seen.
const RECORD: &str = "registry-blob";

/// The largest chunk that a registry may ask for, in bytes: it is held in memory.
const CHUNK_LIMIT: usize = 128 << 20;

/// How many repositories are asked for a content.
const SOURCES: usize = 2;

/// What is sent, whatever it is.
const BYTES: &str = "application/octet-stream";

/// An upload that the registry has begun.
#[derive(Debug)]
pub(super) struct Session {
    /// Where it goes on.
    url: String,
    /// The least that the registry takes at a time, but for the end.
    least: usize,
}

impl Repository {
    /// Lets the registry take a content over from another of its repositories; whether it did.
    pub(super) fn mount_blob(&self, blob: &Descriptor) -> Result<bool, RegistryError> {
        let action = self.doing(&format!("mount {} in", blob.digest_text()));
        let mut sources = self.mount_sources.clone();
        sources.extend(self.recorded(blob));
        sources.dedup();
        for source in sources.iter().filter(|source| **source != self.name).take(SOURCES) {
            let url = self.url(&format!("blobs/uploads/?mount={}&from={source}", blob.digest_text()))?;
            let call = Call { repeatable: true, ..Call::new(Method::Post, &url) };
            let answer = match self.ask_with(&action, &call, &[source]) {
                Ok(answer) => answer,
                // We may not read there; that is no reason not to write here.
                Err(RegistryError::Denied { .. }) => continue,
                Err(other) => return Err(other),
            };
            if answer.status == 201 {
                self.record(blob);
                return Ok(true);
            }
            if answer.status == 202 {
                // It cannot, and has begun an upload instead.
                let session = session(&action, &answer)?;
                let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.insert(blob.digest, session);
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Sends a content, which is checked on the way: the registry gets no end of one that is not what it should be.
    pub(super) fn upload(&self, blob: &Descriptor, contents: &mut (dyn Read + Send)) -> Result<()> {
        let action = self.doing(&format!("push {} to", blob.digest_text()));
        let begun = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob.digest);
        let session = match begun {
            Some(session) => session,
            None => self.begin(&action)?,
        };
        let chunk = self.registry.options.chunk.max(session.least).max(1);
        let mut upload = Upload { repository: self, blob, action: &action, url: session.url, offset: 0 };
        let sent = upload.send_all(&mut Verified::new(contents, blob), chunk);
        match &sent {
            Ok(()) => self.record(blob),
            // Registries throw unfinished uploads away after some days; sooner is politer.
            Err(Error::Read { .. }) => upload.cancel(),
            Err(_) => {}
        }
        sent
    }

    fn begin(&self, action: &str) -> Result<Session, RegistryError> {
        let url = self.url("blobs/uploads/")?;
        let answer = self.ask(action, &Call { repeatable: true, ..Call::new(Method::Post, &url) })?;
        match answer.status {
            202 => session(action, &answer),
            404 => Err(self.no_repository()),
            _ => Err(RegistryError::refused(action, &answer)),
        }
    }

    fn record_key(&self, blob: &Descriptor) -> String {
        format!("{} {}", self.registry.name, blob.digest_text())
    }

    /// Remembers that a content is here. It is of use, not needed: what fails is forgotten.
    fn record(&self, blob: &Descriptor) {
        let cache = &self.registry.options.cache;
        let _ = cache.put_record(RECORD, &self.record_key(blob), self.name.as_bytes());
    }

    /// The repository that was last seen to have a content.
    fn recorded(&self, blob: &Descriptor) -> Option<String> {
        let bytes = self.registry.options.cache.record(RECORD, &self.record_key(blob)).ok()??;
        let name = String::from_utf8(bytes).ok()?;
        let whole: Reference = format!("{}/{name}", self.registry.name).parse().ok()?;
        (whole.repository == name).then_some(name)
    }
}

fn session(action: &str, answer: &Answer) -> Result<Session, RegistryError> {
    let url = location(action, answer)?
        .ok_or_else(|| RegistryError::nonsense(action, "it begins an upload and does not say where"))?;
    let least = answer.header("oci-chunk-min-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    if least > CHUNK_LIMIT {
        return Err(RegistryError::nonsense(action, format!("it wants chunks of at least {least} bytes")));
    }
    Ok(Session { url, least })
}

/// Where an upload goes on, if the answer says so.
fn location(action: &str, answer: &Answer) -> Result<Option<String>, RegistryError> {
    let follow = |place| answer.follow(place).map_err(|failure| RegistryError::transfer(action, failure));
    answer.header("location").map(follow).transpose()
}

/// A content on its way.
struct Upload<'a> {
    repository: &'a Repository,
    blob: &'a Descriptor,
    action: &'a str,
    /// Where it goes on.
    url: String,
    /// How many bytes the registry has.
    offset: u64,
}

impl Upload<'_> {
    /// Sends everything, in one piece if it fits into a chunk.
    fn send_all(&mut self, contents: &mut impl Read, length: usize) -> Result<()> {
        let mut chunk = self.read_chunk(contents, length)?;
        if chunk.len() as u64 == self.blob.size {
            return Ok(self.finish(&chunk)?);
        }
        while !chunk.is_empty() {
            self.send(&chunk)?;
            chunk = self.read_chunk(contents, length)?;
        }
        Ok(self.finish(&Bytes::new())?)
    }

    /// As many bytes as there are, up to `length`.
    fn read_chunk(&self, contents: &mut impl Read, length: usize) -> Result<Bytes> {
        let mut chunk = Vec::new();
        contents.take(length as u64).read_to_end(&mut chunk).map_err(|source| Error::Read {
            what: self.blob.digest_text(),
            place: "where it is pushed from".to_owned(),
            source,
        })?;
        Ok(chunk.into())
    }

    /// Sends the bytes that come next.
    fn send(&mut self, chunk: &Bytes) -> Result<(), RegistryError> {
        let start = self.offset;
        let end = start + chunk.len() as u64;
        let mut attempt = 0;
        while self.offset < end {
            let before = self.offset;
            let rest = chunk.slice(offset_in(chunk, start, before)..);
            let failure = match self.patch(rest, start, end) {
                Ok(()) => None,
                Err(RegistryError::Transfer { failure, .. }) if failure.may_pass() => Some(failure),
                Err(other) => return Err(other),
            };
            attempt = if self.offset > before { 0 } else { attempt + 1 };
            if let Some(failure) = failure {
                self.again(attempt, failure)?;
                self.ask_offset(start, end)?;
            } else if attempt > self.patience() {
                return Err(self.lost("it takes no more of it"));
            }
        }
        Ok(())
    }

    fn patch(&mut self, bytes: Bytes, start: u64, end: u64) -> Result<(), RegistryError> {
        let range = format!("{}-{}", self.offset, end - 1);
        let call = Call { body: bytes.into(), ..Call::new(Method::Patch, &self.url) }
            .header("content-type", BYTES)
            .header("content-range", range);
        let answer = self.repository.ask(self.action, &call)?;
        match answer.status {
            200..=204 => {
                self.go_on(&answer)?;
                match answer.header("range") {
                    None => self.offset = end,
                    Some(range) => self.offset = self.believe(held(range), start, end)?,
                }
                Ok(())
            }
            416 => self.ask_offset(start, end),
            400 | 404 => Err(self.lost(&format!("it answers {}", answer.status))),
            _ => Err(RegistryError::refused(self.action, &answer)),
        }
    }

    /// Asks how much of the upload is there: it goes on where the registry is.
    fn ask_offset(&mut self, start: u64, end: u64) -> Result<(), RegistryError> {
        let url = self.url.clone();
        let answer = self.repository.ask(self.action, &Call::new(Method::Get, &url))?;
        if !matches!(answer.status, 200..=204) {
            return Err(self.lost(&format!("it answers {}", answer.status)));
        }
        self.go_on(&answer)?;
        self.offset = self.believe(answer.header("range").and_then(held), start, end)?;
        Ok(())
    }

    /// What the registry says that it has can only lie within the chunk that is still at hand.
    fn believe(&self, held: Option<u64>, start: u64, end: u64) -> Result<u64, RegistryError> {
        match held {
            // `0-0` is how many say that they have nothing.
            Some(1) if start == 0 && end != 1 => Ok(0),
            Some(held) if (start..=end).contains(&held) => Ok(held),
            Some(held) => Err(self.lost(&format!("it has {held} bytes, and not from {start} to {end}"))),
            // So do others that have nothing.
            None if start == 0 => Ok(0),
            None => Err(self.lost("it does not say how much it has")),
        }
    }

    /// Sends the last bytes and gives the content its name. What was sent before is there already.
    fn finish(&mut self, last: &Bytes) -> Result<(), RegistryError> {
        let start = self.offset;
        let end = start + last.len() as u64;
        let mut attempt = 0;
        loop {
            let mark = if self.url.contains('?') { '&' } else { '?' };
            let url = format!("{}{mark}digest={}", self.url, self.blob.digest_text());
            let body = last.slice(offset_in(last, start, self.offset)..);
            let call =
                Call { body: body.into(), ..Call::new(Method::Put, &url) }.header("content-type", BYTES);
            match self.repository.ask(self.action, &call) {
                Ok(answer) if matches!(answer.status, 200..=204) => return self.check_name(&answer),
                Ok(answer) if matches!(answer.status, 400 | 404 | 416) => {
                    // An earlier attempt may have arrived though its answer did not.
                    if attempt > 0 && self.repository.has_blob(self.blob)? {
                        return Ok(());
                    }
                    let detail = super::error::detail(&answer.body);
                    return Err(self.lost(&format!("it answers {}{detail}", answer.status)));
                }
                Ok(answer) => return Err(RegistryError::refused(self.action, &answer)),
                Err(RegistryError::Transfer { failure, .. }) if failure.may_pass() => {
                    attempt += 1;
                    self.again(attempt, failure)?;
                    if self.repository.has_blob(self.blob)? {
                        return Ok(());
                    }
                    self.ask_offset(start, end)?;
                }
                Err(other) => return Err(other),
            }
        }
    }

    fn check_name(&self, answer: &Answer) -> Result<(), RegistryError> {
        let stored = answer.header("docker-content-digest").and_then(|text| crate::digest::parse(text).ok());
        match stored.filter(|found| *found != self.blob.digest) {
            None => Ok(()),
            Some(found) => {
                let (place, expected) = (self.repository.name(), self.blob.digest);
                Err(RegistryError::WrongDigest { what: "what was pushed".to_owned(), place, expected, found })
            }
        }
    }

    /// Waits before another attempt, or gives up.
    fn again(&self, attempt: u32, failure: Failure) -> Result<(), RegistryError> {
        if attempt > self.patience() {
            return Err(RegistryError::transfer(self.action, failure));
        }
        let registry = &self.repository.registry;
        let (what, failure) = (self.blob.digest_text(), failure.to_string());
        registry.options.events.event(&Event::Retrying { what: &what, failure: &failure });
        let paused = registry.http.pause_before(attempt.max(1));
        paused.map_err(|failure| RegistryError::transfer(self.action, failure))
    }

    fn patience(&self) -> u32 {
        self.repository.registry.options.http.retries
    }

    fn go_on(&mut self, answer: &Answer) -> Result<(), RegistryError> {
        if let Some(url) = location(self.action, answer)? {
            self.url = url;
        }
        Ok(())
    }

    fn lost(&self, why: &str) -> RegistryError {
        RegistryError::UploadLost { action: self.action.to_owned(), why: why.to_owned() }
    }

    fn cancel(&self) {
        let _ = self.repository.ask(self.action, &Call::new(Method::Delete, &self.url));
    }
}

/// Where `offset` lies in a chunk that begins at `start`.
fn offset_in(chunk: &Bytes, start: u64, offset: u64) -> usize {
    usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX).min(chunk.len())
}
