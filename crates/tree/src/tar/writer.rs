//! Writing a tar of one exact form.

use std::io::{self, Read, Write};

use super::header::{self, Block, OCTAL_7, OCTAL_11};
use super::{BLOCK, RECORD, extensions, pax};
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
///   `gid`, `size`, `mtime`, attributes by name; its own header is called `PaxHeaders/x`, mode 0644, owner and time 0.
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
        self.append_header(entry)?;
        if let Kind::File { size } = entry.kind {
            self.append_contents(entry, size, contents)?;
        }
        Ok(())
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

    fn append_header(&mut self, entry: &Entry) -> Result<()> {
        let name = spelling(entry);
        let (flag, link): (u8, &[u8]) = match &entry.kind {
            Kind::File { .. } => (b'0', b""),
            Kind::HardLink { target } => (b'1', target.as_bytes()),
            Kind::Symlink { target } => (b'2', target),
            Kind::CharDevice { .. } => (b'3', b""),
            Kind::BlockDevice { .. } => (b'4', b""),
            Kind::Directory => (b'5', b""),
            Kind::Fifo => (b'6', b""),
        };
        let records = pax_records(entry, &name, link)?;
        if !records.is_empty() {
            let size = records.len() as u64;
            let mut block = new_block(b'x', b"PaxHeaders/x", 0o644);
            put(&mut block, header::SIZE, size);
            header::seal(&mut block);
            self.put(&block)?;
            self.put(&records)?;
            self.put_zeros(size.next_multiple_of(BLOCK as u64) - size)?;
        }
        let mut block = new_block(flag, &name, entry.metadata.mode);
        put_text(&mut block, header::LINK, link);
        put(&mut block, header::UID, u64::from(entry.metadata.uid).min(OCTAL_7));
        put(&mut block, header::GID, u64::from(entry.metadata.gid).min(OCTAL_7));
        put(&mut block, header::SIZE, entry.kind.size().min(OCTAL_11));
        put(&mut block, header::MTIME, u64::try_from(entry.metadata.mtime).unwrap_or(0).min(OCTAL_11));
        if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = entry.kind {
            if u64::from(major.max(minor)) > OCTAL_7 {
                return Err(Error::DeviceNumber { path: entry.path.clone(), major, minor });
            }
            put(&mut block, header::MAJOR, u64::from(major));
            put(&mut block, header::MINOR, u64::from(minor));
        }
        header::seal(&mut block);
        self.put(&block)
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

/// The name as it stands in the archive.
fn spelling(entry: &Entry) -> Vec<u8> {
    let mut name = if entry.path.is_root() { b".".to_vec() } else { entry.path.as_bytes().to_vec() };
    if entry.kind == Kind::Directory {
        name.push(b'/');
    }
    name
}

/// The records for what the header's fields cannot hold.
fn pax_records(entry: &Entry, name: &[u8], link: &[u8]) -> Result<Vec<u8>> {
    let mut records = Vec::new();
    let mut text = |key: &str, value: &[u8]| pax::push_record(&mut records, key.as_bytes(), value);
    let metadata = &entry.metadata;
    if name.len() > header::NAME.len() {
        text("path", name);
    }
    if link.len() > header::LINK.len() {
        text("linkpath", link);
    }
    if u64::from(metadata.uid) > OCTAL_7 {
        text("uid", metadata.uid.to_string().as_bytes());
    }
    if u64::from(metadata.gid) > OCTAL_7 {
        text("gid", metadata.gid.to_string().as_bytes());
    }
    if entry.kind.size() > OCTAL_11 {
        text("size", entry.kind.size().to_string().as_bytes());
    }
    let (mtime, nanos) = (metadata.mtime, metadata.mtime_nanos);
    if nanos != 0 || !u64::try_from(mtime).is_ok_and(|mtime| mtime <= OCTAL_11) {
        text("mtime", pax::time_text(mtime, nanos).as_bytes());
    }
    for (key, value) in &metadata.xattrs {
        // `=` ends the key of a record; there is no escape for it.
        if key.is_empty() || key.iter().any(|byte| matches!(byte, b'=' | 0)) {
            return Err(Error::XattrName { path: entry.path.clone(), name: key.clone() });
        }
        pax::push_record(&mut records, &[extensions::XATTR, key].concat(), value);
    }
    Ok(records)
}

/// A header with a name, a mode and nothing else.
fn new_block(flag: u8, name: &[u8], mode: u32) -> Block {
    let mut block = [0; BLOCK];
    put_text(&mut block, header::NAME, name);
    put(&mut block, header::MODE, u64::from(mode & 0o7777));
    for field in [header::UID, header::GID, header::SIZE, header::MTIME, header::MAJOR, header::MINOR] {
        put(&mut block, field, 0);
    }
    block[header::TYPE] = flag;
    block[header::MAGIC].copy_from_slice(header::POSIX_MAGIC);
    block
}

/// Text in a field, as much as fits; what does not is in a PAX record.
fn put_text(block: &mut Block, field: std::ops::Range<usize>, text: &[u8]) {
    let length = text.len().min(field.len());
    block[field.start..field.start + length].copy_from_slice(&text[..length]);
}

/// A number that fits its field.
fn put(block: &mut Block, field: std::ops::Range<usize>, number: u64) {
    header::put_octal(&mut block[field], number);
}

fn read(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
