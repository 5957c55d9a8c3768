//! The source of a reader: buffered, counted, bounded.

use std::fmt;
use std::io::{self, Read};

use super::reader::Tap;

/// How much is read from the source at once, in bytes. Contents larger than what is buffered go straight into the
/// caller's buffer, so this only has to be large against a header block.
const BUFFER: usize = 256 * 1024;

/// A source with a buffer, a position and an end it may not go beyond.
pub(super) struct Input<R> {
    pub(super) source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes handed out so far.
    pub(super) offset: u64,
    /// Bytes that may still be taken from the source.
    allowed: u64,
    /// The source had more than was allowed.
    pub(super) exhausted: bool,
    tap: Option<Tap>,
    /// How much of the buffer the tap has been shown.
    tapped: usize,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R, allowed: u64) -> Input<R> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Input { source, buffer, start: 0, end: 0, offset: 0, allowed, exhausted: false, tap: None, tapped: 0 }
    }

    /// Shows everything from here on to `tap`.
    pub(super) fn set_tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
        self.tapped = self.start;
    }

    /// Shows the tap what has been used of the buffer. Large pieces suit a digest better than many small ones, so this
    /// happens only when the buffer is used up or somebody asks.
    pub(super) fn flush_tap(&mut self) {
        if let Some(tap) = &mut self.tap
            && self.tapped < self.start
        {
            tap(&self.buffer[self.tapped..self.start]);
        }
        self.tapped = self.start;
    }

    /// Some bytes, or none at the end or when the source has given as much as is allowed.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            if buffer.len() >= BUFFER {
                let got = self.take(buffer)?;
                self.flush_tap();
                if let Some(tap) = &mut self.tap {
                    tap(&buffer[..got]);
                }
                self.offset += got as u64;
                return Ok(got);
            }
            self.refill()?;
        }
        let got = buffer.len().min(self.end - self.start);
        buffer[..got].copy_from_slice(&self.buffer[self.start..self.start + got]);
        self.start += got;
        self.offset += got as u64;
        Ok(got)
    }

    /// Fills `buffer` as far as there is input; says how far.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                got => filled += got,
            }
        }
        Ok(filled)
    }

    /// Passes over `length` bytes; `false` when the input ends before.
    pub(super) fn skip(&mut self, mut length: u64) -> io::Result<bool> {
        while length > 0 {
            if self.start == self.end {
                self.refill()?;
                if self.start == self.end {
                    return Ok(false);
                }
            }
            let step = length.min((self.end - self.start) as u64);
            self.start += step as usize;
            self.offset += step;
            length -= step;
        }
        Ok(true)
    }

    fn refill(&mut self) -> io::Result<()> {
        self.flush_tap();
        let mut buffer = std::mem::take(&mut self.buffer);
        let got = self.take(&mut buffer);
        self.buffer = buffer;
        self.start = 0;
        self.tapped = 0;
        self.end = *got.as_ref().unwrap_or(&0);
        got.map(|_| ())
    }

    fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more than is allowed is asked for, so that a source that ends right at the limit is told from one that
        // goes on.
        let room = usize::try_from(self.allowed.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        loop {
            match self.source.read(&mut buffer[..room]) {
                Ok(got) if got as u64 > self.allowed => {
                    self.exhausted = true;
                    let got = self.allowed as usize;
                    self.allowed = 0;
                    return Ok(got);
                }
                Ok(got) => {
                    self.allowed -= got as u64;
                    return Ok(got);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R> fmt::Debug for Input<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Input").field("offset", &self.offset).finish_non_exhaustive()
    }
}
