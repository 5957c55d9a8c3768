//! Contents by digest, wherever they are, and a reader that notices other bytes.

use std::io::{self, Read};

use cache::{Digest, Hasher};

use crate::manifest::SIZE_LIMIT;
use crate::{Descriptor, Error, Result};

/// Something that holds images.
pub trait Place {
    /// What messages call it.
    fn name(&self) -> String;
}

/// A place that contents are read from: a repository of a registry, an image layout, an archive.
pub trait Blobs: Place + Sync {
    /// Opens a content. Its bytes are checked while they are read, as by [`Verified`].
    ///
    /// # Errors
    /// When it is not there, or the place cannot be reached.
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>>;
}

/// Reads a manifest, an index or a configuration whole.
///
/// # Errors
/// [`Error::TooLarge`] beyond 8 MiB; those of [`Blobs::open`]; [`Error::Read`] when its bytes are not those promised.
pub fn read_small(blobs: &dyn Blobs, blob: &Descriptor) -> Result<Vec<u8>> {
    if blob.size > SIZE_LIMIT {
        let what = format!("{} of {}", blob.media_type, blobs.name());
        return Err(Error::TooLarge { what, size: blob.size, limit: SIZE_LIMIT });
    }
    let mut bytes = Vec::new();
    let read = |source| Error::Read { what: blob.digest_text(), place: blobs.name(), source };
    blobs.open(blob)?.read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

/// Passes bytes through and fails where they end if they are not those of a descriptor: too few, too many or others. Whoever
/// reads to the end cannot miss it; whoever does not has read nothing that is worth trust.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    hasher: Option<Hasher>,
    left: u64,
    size: u64,
    digest: Digest,
}

impl<R: Read> Verified<R> {
    /// Reads what `blob` describes from `inner`.
    pub fn new(inner: R, blob: &Descriptor) -> Self {
        Self { inner, hasher: Some(Hasher::new()), left: blob.size, size: blob.size, digest: blob.digest }
    }

    /// At the end of the bytes that were promised: there must be no more, and they must be the right ones.
    fn check_end(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        if self.inner.read(&mut [0])? != 0 {
            return Err(wrong(format!("there are more bytes than the {} that are promised", self.size)));
        }
        let found = hasher.finish();
        if found == self.digest {
            return Ok(());
        }
        let (found, digest) = (crate::digest::spell(&found), crate::digest::spell(&self.digest));
        Err(wrong(format!("its digest is {found}, but {digest} is promised: it was altered or damaged")))
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return self.check_end().map(|()| 0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            let held = self.size - self.left;
            return Err(wrong(format!("it ends after {held} of {} bytes", self.size)));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        self.left -= count as u64;
        // A reader that knows where to stop never asks for the end.
        if self.left == 0 {
            self.check_end()?;
        }
        Ok(count)
    }
}

fn wrong(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_promised_bytes_pass() {
        let promised = Descriptor::of("text/plain", b"hello");
        for (summary, bytes, expected) in [
            ("the right ones", &b"hello"[..], None),
            ("too few", b"hell", Some("ends after 4 of 5 bytes")),
            ("too many", b"hello!", Some("more bytes than the 5")),
            ("others", b"jello", Some("altered or damaged")),
            ("none", b"", Some("ends after 0 of 5")),
        ] {
            let mut found = Vec::new();
            let result = Verified::new(bytes, &promised).read_to_end(&mut found);
            match expected {
                None => assert_eq!(found, b"hello", "{summary}"),
                Some(word) => assert!(result.unwrap_err().to_string().contains(word), "{summary}"),
            }
        }
        let empty = Descriptor::of("text/plain", b"");
        assert!(Verified::new(&b"x"[..], &empty).read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn a_reader_that_stops_at_the_promised_size_is_told_too() {
        let promised = Descriptor::of("text/plain", b"hello");
        assert!(Verified::new(&b"jello"[..], &promised).read_exact(&mut [0; 5]).is_err());
    }
}
