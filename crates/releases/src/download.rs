//! One asset into the cache, under the digest that is published for it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use cache::{Cache, Claim, Digest, Hasher, Partial};
use http::{Failure, Sink};

use crate::github::Repository;
use crate::{Asset, Error, Event, Release, Result, checksums};

/// What is published about the bytes of `asset`: by the API, by lists beside it, or by both, which then must agree.
pub(crate) fn promised(repository: &Repository<'_>, release: &Release, asset: &Asset) -> Result<Digest> {
    let mut known = asset.digest.as_deref().and_then(of_api);
    for list in release.assets.iter().filter(|list| checksums::is_about(&list.name, &asset.name)) {
        let text = repository.text(list)?;
        if let Some(expected) = list.digest.as_deref().and_then(of_api) {
            let found = Digest::of(text.as_bytes());
            if found != expected {
                return Err(Error::WrongDigest { asset: list.name.clone(), expected, found });
            }
        }
        let Some(other) = checksums::find(&text, &asset.name) else { continue };
        match known.filter(|one| *one != other) {
            Some(one) => {
                return Err(Error::TwoDigests {
                    asset: asset.name.clone(),
                    tag: release.tag.clone(),
                    one,
                    other,
                    list: list.name.clone(),
                });
            }
            None => known = Some(other),
        }
    }
    known.ok_or_else(|| Error::NoDigest { asset: asset.name.clone(), tag: release.tag.clone() })
}

fn of_api(text: &str) -> Option<Digest> {
    text.strip_prefix("sha256:")?.parse().ok()
}

/// The asset with this digest, out of the cache or fetched into it; a download that was broken off goes on.
pub(crate) fn bring(
    repository: &Repository<'_>,
    asset: &Asset,
    digest: &Digest,
    cache: &Cache,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<File> {
    loop {
        let partial = match cache.partial(digest)? {
            Claim::Mine(partial) => partial,
            Claim::Present(file) => match intact(file, digest)? {
                Some(file) => return Ok(file),
                // Disks forget.
                None => {
                    cache.discard(digest)?;
                    continue;
                }
            },
        };
        let is_whole = partial.is_empty();
        tell(Event::Fetching { asset: &asset.name, size: asset.size });
        let mut sink = Resumable { asset, partial, tell };
        repository.download(asset, &mut sink)?;
        match sink.partial.commit() {
            Ok(file) => return Ok(file),
            // What an earlier run began may not fit: that is no fault of the server's.
            Err(cache::Error::Mismatch { .. }) if !is_whole => {}
            Err(cache::Error::Mismatch { expected, found }) => {
                return Err(Error::WrongDigest { asset: asset.name.clone(), expected, found });
            }
            Err(other) => return Err(other.into()),
        }
    }
}

/// The file from its beginning, if it still has its digest.
fn intact(mut file: File, digest: &Digest) -> Result<Option<File>> {
    let mut hasher = Hasher::new();
    let read = io::copy(&mut file, &mut hasher).and_then(|_| file.seek(SeekFrom::Start(0)));
    Ok((read.is_ok() && hasher.finish() == *digest).then_some(file))
}

struct Resumable<'a> {
    asset: &'a Asset,
    partial: Partial,
    tell: &'a (dyn Fn(Event<'_>) + Sync),
}

impl Sink for Resumable<'_> {
    fn held(&self) -> u64 {
        self.partial.len()
    }

    fn restart(&mut self) -> Result<(), cache::Error> {
        self.partial.restart()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), cache::Error> {
        self.partial.append(bytes)
    }

    fn retrying(&mut self, failure: &Failure) {
        (self.tell)(Event::Retrying { asset: &self.asset.name, failure: &failure.to_string() });
    }
}
