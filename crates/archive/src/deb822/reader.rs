//! Reads stanzas one by one from a reader, for files that need not be held in memory whole.

use std::io::{self, BufRead, BufReader, Read};

use super::Stanza;

/// Why no further stanza can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The reader failed.
    #[error("cannot read")]
    Io(#[from] io::Error),
    /// A stanza grew beyond the limit.
    #[error("stanza {number} is larger than {limit} bytes")]
    TooLarge {
        /// Its number, from 1.
        number: usize,
        /// The limit that was set, in bytes.
        limit: usize,
    },
    /// A stanza is not UTF-8.
    #[error("stanza {number} is not UTF-8")]
    NotText {
        /// Its number, from 1.
        number: usize,
    },
}

/// Reads stanzas one by one, each at most `limit` bytes.
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<R>,
    limit: usize,
    number: usize,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads from `input`; `limit` is the most bytes that one stanza may have.
    pub fn new(input: R, limit: usize) -> Self {
        Self { input: BufReader::new(input), limit, number: 0, buffer: Vec::new() }
    }

    /// The next stanza, or `None` at the end.
    ///
    /// # Errors
    /// When the reader fails, and when the stanza is too large or not UTF-8.
    pub fn next_stanza(&mut self) -> Result<Option<Stanza<'_>>, ReaderError> {
        self.buffer.clear();
        self.number += 1;
        loop {
            let start = self.buffer.len();
            let room = self.limit - start + 1;
            let read = self.input.by_ref().take(room as u64).read_until(b'\n', &mut self.buffer)?;
            let blank = self.buffer[start..].trim_ascii().is_empty();
            if blank {
                self.buffer.truncate(start);
            }
            if self.buffer.len() > self.limit {
                return Err(ReaderError::TooLarge { number: self.number, limit: self.limit });
            }
            if read == 0 || (blank && start > 0) {
                break;
            }
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let text = str::from_utf8(&self.buffer).map_err(|_| ReaderError::NotText { number: self.number })?;
        Ok(Some(Stanza::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str, limit: usize) -> Result<Vec<String>, String> {
        let mut reader = Reader::new(text.as_bytes(), limit);
        let mut found = Vec::new();
        while let Some(stanza) = reader.next_stanza().map_err(|error| error.to_string())? {
            found.push(stanza.text().to_owned());
        }
        Ok(found)
    }

    #[test]
    fn stanzas_come_one_by_one() {
        for (summary, text, limit, expected) in [
            ("two", "\n\nA: b\nC: d\n\n \nE: f", 20, Ok(vec!["A: b\nC: d\n", "E: f"])),
            ("none", "\n\n", 20, Ok(vec![])),
            ("at the limit", "A: b\n", 5, Ok(vec!["A: b\n"])),
            ("beyond the limit", "A: b\n\nA: bcd\n", 5, Err("stanza 2 is larger than 5 bytes")),
            ("a line without end", &"x".repeat(99), 5, Err("stanza 1 is larger than 5 bytes")),
        ] {
            let expected =
                expected.map(|all| all.into_iter().map(str::to_owned).collect()).map_err(str::to_owned);
            assert_eq!(read_all(text, limit), expected, "{summary}");
        }
    }

    #[test]
    fn text_must_be_utf8() {
        let error = Reader::new(&b"A: \xff\n"[..], 9).next_stanza().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "stanza 1 is not UTF-8");
    }
}
