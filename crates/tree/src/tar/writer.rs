//! Writing a tar of one exact form.

use std::io::{self, Read, Write};

use super::{BLOCK, RECORD, Spelled, encode};
use crate::{Entry, Error, Kind, Result};

/// How much is gathered before it is written, in bytes. Contents are read straight into the same buffer.
const BUFFER: usize = 256 * 1024;

/// Writes PAX archives whose bytes depend on the entries and their contents alone.
///
/// The form, of which every detail is a promise (changing one changes the digest of everything built):
/// * POSIX ustar headers. Names have no leading `./`, directories end in `/`, the root is `./`.
/// * A PAX header (`x`) comes before an entry only for what its fields cannot hold: names and link targets beyond 100
///   bytes (the `prefix` field is not used), owners of 2097152 and more, sizes of 8 GiB and more, times before 1970, after
///   2242 or with a fraction of a second, and extended attributes (`SCHILY.xattr.NAME`). Its records are in the order `path`, `linkpath`, `uid`,
///   `gid`, `size`, `mtime`, `GNU.sparse.…`, attributes by name; its own header is called `PaxHeaders/x`, mode 0644, owner and time 0.
/// * The fraction of a time has no zeros at its end. User and group names are empty. Device numbers are written for devices alone, as octal.
/// * Two blocks of zeros end the archive, which is filled up to whole records of 10240 bytes as GNU tar does.
///
/// The order of the entries is the caller's; path order ([`crate::EntryPath`]) is what trees are written in.
#[derive(Debug)]
pub struct Writer<W: Write> {
    sink: W,
    buffer: Box<[u8]>,
    filled: usize,
    /// Bytes of the archive so far.
    length: u64,
}

impl<W: Write> Writer<W> {
    /// Writes to `sink`, which needs no buffer of its own.
    pub fn new(sink: W) -> Writer<W> {
        Writer { sink, buffer: vec![0; BUFFER].into_boxed_slice(), filled: 0, length: 0 }
    }

    /// Appends an entry; `contents` must give exactly the bytes that a [`Kind::File`]'s size says, and is not read for
    /// other kinds.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when `contents` is shorter or longer, [`Error::Contents`] when it fails, [`Error::Write`]
    /// when the sink fails, [`Error::XattrName`] and [`Error::DeviceNumber`] for what has no spelling. After an error the archive cannot be completed.
    pub fn append(&mut self, entry: &Entry, contents: &mut dyn Read) -> Result<()> {
        let mut header = Vec::new();
        encode(&Spelled::plain(entry), &mut header)?;
        self.put(&header)?;
        if let Kind::File { size } = entry.kind {
            self.append_contents(entry, size, contents)?;
        }
        Ok(())
    }

    /// Appends a file whose contents say something about everything that is in the sink before them, its own header
    /// included. `contents` is given the sink.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn append_late(&mut self, entry: &Entry, contents: impl FnOnce(&mut W) -> Vec<u8>) -> Result<()> {
        let mut header = Vec::new();
        encode(&Spelled::plain(entry), &mut header)?;
        self.put(&header)?;
        self.flush_buffer()?;
        let contents = contents(&mut self.sink);
        self.append_contents(entry, entry.kind.size(), &mut &contents[..])
    }

    /// Ends the archive and gives the sink back.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(mut self) -> Result<W> {
        let end = (self.length + 2 * BLOCK as u64).next_multiple_of(RECORD as u64);
        self.put_zeros(end - self.length)?;
        self.flush_buffer()?;
        self.sink.flush().map_err(Error::Write)?;
        Ok(self.sink)
    }

    /// Writes everything that has been appended to the sink, in the middle of the archive.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn flush(&mut self) -> Result<()> {
        self.flush_buffer()
    }

    /// Appends headers and contents that are whole blocks already.
    pub(crate) fn append_blocks(&mut self, blocks: &[u8]) -> Result<()> {
        self.flush_buffer()?;
        self.length += blocks.len() as u64;
        self.sink.write_all(blocks).map_err(Error::Write)
    }

    fn append_contents(&mut self, entry: &Entry, size: u64, contents: &mut dyn Read) -> Result<()> {
        let fail = |source: io::Error| Error::Contents { path: entry.path.clone(), source };
        let mismatch = |found: u64| Error::SizeMismatch { path: entry.path.clone(), expected: size, found };
        let mut left = size;
        while left > 0 {
            if self.filled == BUFFER {
                self.flush_buffer()?;
            }
            let room = (BUFFER - self.filled).min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = read(contents, &mut self.buffer[self.filled..self.filled + room]).map_err(fail)?;
            if got == 0 {
                return Err(mismatch(size - left));
            }
            self.filled += got;
            self.length += got as u64;
            left -= got as u64;
        }
        if read(contents, &mut [0]).map_err(fail)? != 0 {
            return Err(mismatch(size.saturating_add(1)));
        }
        self.put_zeros(size.next_multiple_of(BLOCK as u64) - size)
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.filled == BUFFER {
                self.flush_buffer()?;
            }
            let step = bytes.len().min(BUFFER - self.filled);
            self.buffer[self.filled..self.filled + step].copy_from_slice(&bytes[..step]);
            self.filled += step;
            bytes = &bytes[step..];
        }
        Ok(())
    }

    fn put_zeros(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let step = count.min(BLOCK as u64);
            self.put(&[0; BLOCK][..step as usize])?;
            count -= step;
        }
        Ok(())
    }

    fn flush_buffer(&mut self) -> Result<()> {
        self.sink.write_all(&self.buffer[..self.filled]).map_err(Error::Write)?;
        self.filled = 0;
        Ok(())
    }
}

fn read(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
