//! A stream that may not go on for ever.

use std::io::{self, Read};

/// The error inside the [`io::Error`] of a [`Bounded`] stream that is longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expands to more than {limit} bytes")]
pub struct ExpansionLimit {
    /// The greatest length that was allowed, in bytes.
    pub limit: u64,
}

/// A reader that fails as soon as its source gives more than `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] holding an [`ExpansionLimit`].
#[derive(Debug)]
pub struct Bounded<R> {
    source: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Bounded<R> {
    /// Lets `limit` bytes of `source` through.
    pub fn new(source: R, limit: u64) -> Bounded<R> {
        Bounded { source, limit, left: limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more than is left is asked for, to tell an end at the limit from a stream that goes on.
        let room = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.source.read(&mut buffer[..room])?;
        if got as u64 > self.left {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, ExpansionLimit { limit: self.limit }));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_the_limit_through_and_not_a_byte_more() {
        let mut read = Vec::new();
        Bounded::new(&[1; 100][..], 100).read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), 100);
        let error = Bounded::new(&[1; 101][..], 100).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "expands to more than 100 bytes");
        assert!(Bounded::new(&[1][..], 0).read_to_end(&mut Vec::new()).is_err());
        assert!(Bounded::new(&[][..], 0).read_to_end(&mut Vec::new()).is_ok());
    }
}
