//! A working file without a name that contents are put into one after the other, and read from in any order.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tree::EntryPath;

use super::files::Files;
use super::stack::Store;
use crate::Error;
use crate::error::LayerProblem;

/// How much is gathered before it is written, in bytes. When all of it is zeros, it becomes a hole.
const BUFFER: usize = 1 << 20;

/// How much is read at once when contents are read in the order in which they lie, in bytes.
const WINDOW: usize = 256 * 1024;

/// Contents that are being gathered.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    folder: PathBuf,
    buffer: Vec<u8>,
    filled: usize,
    /// Where the buffer belongs in the file.
    start: u64,
}

/// What can go wrong with contents on their way into the file.
#[derive(Debug)]
pub(super) enum Failed {
    Read(io::Error),
    Write { folder: PathBuf, source: io::Error },
}

impl Spool {
    /// A new file in `folder`.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self { file, folder: folder.to_owned(), buffer: vec![0; BUFFER], filled: 0, start: 0 })
    }

    /// Takes `size` bytes; says where they are.
    fn gather(&mut self, contents: &mut dyn Read, size: u64) -> Result<u64, Failed> {
        let offset = self.start + self.filled as u64;
        let mut left = size;
        while left > 0 {
            if self.filled == BUFFER {
                self.flush()?;
            }
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER - self.filled);
            match contents.read(&mut self.buffer[self.filled..self.filled + room]) {
                Ok(0) => return Err(Failed::Read(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.filled += count;
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failed::Read(error)),
            }
        }
        Ok(offset)
    }

    /// The contents, to be read.
    pub(super) fn window(&mut self) -> Result<Window<'_>, Failed> {
        self.flush()?;
        let length = self.start;
        self.file.set_len(length).map_err(|source| Failed::Write { folder: self.folder.clone(), source })?;
        Ok(Window { file: &self.file, buffer: vec![0; WINDOW], start: 0, end: 0, expected: 0 })
    }

    fn flush(&mut self) -> Result<(), Failed> {
        let bytes = &self.buffer[..self.filled];
        if bytes.iter().any(|&byte| byte != 0) {
            self.file
                .write_all_at(bytes, self.start)
                .map_err(|source| Failed::Write { folder: self.folder.clone(), source })?;
        }
        self.start += self.filled as u64;
        self.filled = 0;
        Ok(())
    }
}

impl Store for Spool {
    fn store(
        &mut self,
        _files: &Files,
        _path: &EntryPath,
        contents: &mut dyn Read,
        size: u64,
    ) -> Result<u64, LayerProblem> {
        Ok(self.gather(contents, size)?)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Read(source) => Self::Tree(tree::Error::Read(source)),
            Failed::Write { folder, source } => Self::Io { operation: "write in", path: folder, source },
        }
    }
}

impl From<Failed> for LayerProblem {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Read(source) => Self::Read(source),
            Failed::Write { folder, source } => Self::Spool { folder, source },
        }
    }
}

/// Reads contents. Small ones that follow one another take one call of the system together.
#[derive(Debug)]
pub(super) struct Window<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    /// What the buffer holds of the file.
    start: u64,
    end: u64,
    /// Where the next contents are when they lie in the order in which they are read.
    expected: u64,
}

impl Window<'_> {
    /// The `size` bytes at `offset`.
    pub(super) fn contents(&mut self, offset: u64, size: u64) -> Contents<'_> {
        let held = offset >= self.start && offset + size <= self.end;
        // What is skipped was replaced by a higher layer, or is left out.
        let in_order = offset.checked_sub(self.expected).is_some_and(|gap| gap <= WINDOW as u64);
        self.expected = offset + size;
        if !held && in_order && size <= WINDOW as u64 {
            // A failure comes again, and is told, when the contents are read.
            let got = self.file.read_at(&mut self.buffer, offset).unwrap_or(0);
            (self.start, self.end) = (offset, offset + got as u64);
        }
        let ready = match (offset.checked_sub(self.start), offset + size <= self.end) {
            (Some(begin), true) => &self.buffer[begin as usize..(begin + size) as usize],
            _ => &[],
        };
        let left = size - ready.len() as u64;
        Contents { ready, file: self.file, offset: offset + ready.len() as u64, left }
    }
}

/// One file's contents.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    ready: &'a [u8],
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Contents<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ready.is_empty() {
            return self.ready.read(buffer);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_back_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).unwrap();
        let sizes = [0, 1, 5, 70_000, WINDOW, BUFFER, 3 * BUFFER + 7, 100, 0, 9];
        let contents: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, &size)| vec![n as u8; size]).collect();
        let mut store = |bytes: &Vec<u8>| spool.gather(&mut &bytes[..], bytes.len() as u64).unwrap();
        let offsets: Vec<u64> = contents.iter().map(&mut store).collect();
        let mut window = spool.window().unwrap();
        let forwards: Vec<usize> = (0..sizes.len()).collect();
        let backwards: Vec<usize> = (0..sizes.len()).rev().collect();
        for number in [forwards, backwards].concat() {
            let mut read = Vec::new();
            window.contents(offsets[number], sizes[number] as u64).read_to_end(&mut read).unwrap();
            assert!(read == contents[number], "{number}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn zeros_take_no_room() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).unwrap();
        spool.gather(&mut io::repeat(0).take(64 << 20), 64 << 20).unwrap();
        let offset = spool.gather(&mut &b"end"[..], 3).unwrap();
        let mut read = Vec::new();
        spool.window().unwrap().contents(offset, 3).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"end");
        assert!(spool.file.metadata().unwrap().blocks() * 512 < 4 << 20);
    }

    #[test]
    fn contents_that_end_early_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).unwrap();
        assert!(matches!(spool.gather(&mut &b"abc"[..], 4), Err(Failed::Read(_))));
    }
}
