//! The digests of an archive: BLAKE3 of every byte before them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tree::tar;

/// A digest in the making, which a tar reader feeds.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum(Arc<Mutex<blake3::Hasher>>);

impl Sum {
    /// What shows the reader's bytes to this digest.
    pub(super) fn tap(&self) -> tar::Tap {
        let hasher = Arc::clone(&self.0);
        Box::new(move |bytes| {
            hasher.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        })
    }

    /// The contents of a member with the digest of everything so far.
    pub(super) fn line(&self) -> Vec<u8> {
        line(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The length of such contents: the digest in hexadecimal digits and a line feed.
pub(super) const LENGTH: u64 = 65;

fn line(hasher: &blake3::Hasher) -> Vec<u8> {
    format!("{}\n", hasher.finalize().to_hex()).into_bytes()
}

/// Digests what is written through it.
#[derive(Debug)]
pub(super) struct Summing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Summing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new() }
    }

    /// The contents of a member with the digest of everything so far.
    pub(super) fn line(&self) -> Vec<u8> {
        line(&self.hasher)
    }

    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
