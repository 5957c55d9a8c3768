//! Storing contents whose digest is known only at the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file_lock::{Patience, lock_file};
use crate::store::CHOOSE;
use crate::{Cache, Digest, Error, Hasher, Result};

/// Contents on their way into the cache; dropped without [`Writer::commit`], nothing remains.
#[derive(Debug)]
pub struct Writer {
    cache: Cache,
    file: File,
    /// The temporary name; empty once the file has its final one.
    path: Option<PathBuf>,
    hasher: Hasher,
}

impl Writer {
    pub(crate) fn begin(cache: &Cache) -> Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = cache.temporary().join(format!("{}-{number}", std::process::id()));
            // Process numbers repeat between containers that share a cache: a taken name is simply passed over.
            let Some(file) = lock_file(&path, Patience::Now)? else { continue };
            file.set_len(0).map_err(|source| Error::io("write", &path, CHOOSE, source))?;
            return Ok(Self { cache: cache.clone(), file, path: Some(path), hasher: Hasher::new() });
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| self.failed("write", source))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Makes the contents visible under their digest, which must be `expected` if that is given.
    ///
    /// # Errors
    /// [`Error::Mismatch`] (nothing is stored), [`Error::NoSpace`], [`Error::Io`].
    pub fn commit(mut self, expected: Option<Digest>) -> Result<Digest> {
        let found = std::mem::take(&mut self.hasher).finish();
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Error::Mismatch { expected, found });
        }
        self.file.sync_data().map_err(|source| self.failed("sync", source))?;
        if let Some(path) = &self.path {
            self.cache.adopt(path, &found)?;
        }
        self.path = None;
        Ok(found)
    }

    /// Makes the contents visible under a name of the caller.
    pub(crate) fn place(mut self, target: &Path) -> Result<()> {
        self.file.sync_data().map_err(|source| self.failed("sync", source))?;
        if let Some(path) = &self.path {
            fs::rename(path, target).map_err(|source| Error::io("store", target, CHOOSE, source))?;
        }
        self.path = None;
        Ok(())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::io(action, self.path.as_deref().unwrap_or_else(|| self.cache.root()), CHOOSE, source)
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(Error::into_io)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed now is reclaimed when the cache is next opened.
            let _ = fs::remove_file(path);
        }
    }
}
