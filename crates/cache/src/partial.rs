//! Downloads that survive interruption and are done once, however many processes want them.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::file_lock::{Patience, lock_file};
use crate::store::CHOOSE;
use crate::{Cache, Digest, Error, Hasher, Result};

/// What a claim to download some contents came to.
#[derive(Debug)]
pub enum Claim {
    /// The contents are here already, perhaps since a moment ago, by another process.
    Present(File),
    /// Ours to download.
    Mine(Partial),
}

/// Claims the contents `digest`; `None` when another owner is at it and `patience` is [`Patience::Now`].
pub(crate) fn claim(cache: &Cache, digest: &Digest, patience: Patience) -> Result<Option<Claim>> {
    if let Some(file) = cache.file(digest)? {
        return Ok(Some(Claim::Present(file)));
    }
    let path = cache.partial_path(digest);
    let Some(file) = lock_file(&path, patience)? else { return Ok(None) };
    // The previous owner may have finished between the two lines above.
    if let Some(present) = cache.file(digest)? {
        let _ = fs::remove_file(&path);
        return Ok(Some(Claim::Present(present)));
    }
    let mut partial =
        Partial { cache: cache.clone(), digest: *digest, file, path, hasher: Hasher::new(), length: 0 };
    partial.rehash()?;
    Ok(Some(Claim::Mine(partial)))
}

/// An unfinished download that this process alone may add to; dropped, the bytes stay for the next attempt.
#[derive(Debug)]
pub struct Partial {
    cache: Cache,
    digest: Digest,
    file: File,
    path: PathBuf,
    hasher: Hasher,
    length: u64,
}

impl Partial {
    /// How many bytes are here.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The digest that was promised.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(source) = self.file.write_all(bytes) {
            // A full disk may have taken a part: forget it, so that length and digest stay true.
            let _ = self.file.set_len(self.length);
            return Err(self.failed("write", source));
        }
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what is here.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|source| self.failed("truncate", source))?;
        self.hasher = Hasher::new();
        self.length = 0;
        Ok(())
    }

    /// Makes the contents visible under their digest, and opens them.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the bytes are not those that were promised; they are thrown away.
    /// [`Error::NoSpace`], [`Error::Io`].
    pub fn commit(mut self) -> Result<File> {
        let found = std::mem::take(&mut self.hasher).finish();
        if found != self.digest {
            let _ = fs::remove_file(&self.path);
            return Err(Error::Mismatch { expected: self.digest, found });
        }
        self.file.sync_data().map_err(|source| self.failed("sync", source))?;
        self.cache.adopt(&self.path, &self.digest)?;
        let path = self.cache.path(&self.digest);
        File::open(&path).map_err(|source| Error::io("open", &path, CHOOSE, source))
    }

    /// Brings digest and length up to what the file holds.
    fn rehash(&mut self) -> Result<()> {
        let mut buffer = vec![0; 128 << 10];
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.failed("read", source))?;
        loop {
            let count = self.file.read(&mut buffer).map_err(|source| self.failed("read", source))?;
            if count == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..count]);
            self.length += count as u64;
        }
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::io(action, &self.path, CHOOSE, source)
    }
}
