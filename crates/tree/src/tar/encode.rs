//! Headers of the one form that is written; [`super::Writer`] says what it promises.

use super::header::{self, Block, OCTAL_7, OCTAL_11};
use super::{BLOCK, Segment, extensions, pax, sparse};
use crate::{Entry, Error, Kind, Result};

/// An entry with the names it has in the archive.
#[derive(Debug)]
pub(crate) struct Spelled<'a> {
    pub(crate) entry: &'a Entry,
    /// Its name, without the slash at the end of a directory's.
    pub(crate) name: &'a [u8],
    /// The target of a hard link; of no meaning for other kinds.
    pub(crate) link: &'a [u8],
    /// The parts that have data, when it is to be a sparse file.
    pub(crate) segments: Option<&'a [Segment]>,
}

impl Spelled<'_> {
    /// An entry whose name is its path.
    pub(crate) fn plain(entry: &Entry) -> Spelled<'_> {
        let name = if entry.path.is_root() { b"." } else { entry.path.as_bytes() };
        let link = if let Kind::HardLink { target } = &entry.kind { target.as_bytes() } else { b"" };
        Spelled { entry, name, link, segments: None }
    }
}

/// Appends everything that comes before the contents: headers, and the map of a sparse file.
pub(crate) fn encode(spelled: &Spelled<'_>, out: &mut Vec<u8>) -> Result<()> {
    let entry = spelled.entry;
    let mut name = spelled.name.to_vec();
    let (flag, link): (u8, &[u8]) = match &entry.kind {
        Kind::File { .. } => (b'0', b""),
        Kind::HardLink { .. } => (b'1', spelled.link),
        Kind::Symlink { target } => (b'2', target),
        Kind::CharDevice { .. } => (b'3', b""),
        Kind::BlockDevice { .. } => (b'4', b""),
        Kind::Directory => (b'5', b""),
        Kind::Fifo => (b'6', b""),
    };
    if entry.kind == Kind::Directory {
        name.push(b'/');
    }
    let map = spelled.segments.map(|segments| Map::new(&mut name, segments, entry.kind.size()));
    let size = map.as_ref().map_or(entry.kind.size(), |map| map.stored);
    let records = pax_records(entry, &name, link, size, map.as_ref())?;
    if !records.is_empty() {
        let mut block = new_block(b'x', b"PaxHeaders/x", 0o644);
        put(&mut block, header::SIZE, records.len() as u64);
        header::seal(&mut block);
        out.extend_from_slice(&block);
        out.extend_from_slice(&records);
        pad(out);
    }
    let mut block = new_block(flag, &name, entry.metadata.mode);
    put_text(&mut block, header::LINK, link);
    put(&mut block, header::UID, u64::from(entry.metadata.uid).min(OCTAL_7));
    put(&mut block, header::GID, u64::from(entry.metadata.gid).min(OCTAL_7));
    put(&mut block, header::SIZE, size.min(OCTAL_11));
    put(&mut block, header::MTIME, u64::try_from(entry.metadata.mtime).unwrap_or(0).min(OCTAL_11));
    if let Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } = entry.kind {
        if u64::from(major.max(minor)) > OCTAL_7 {
            return Err(Error::DeviceNumber { path: entry.path.clone(), major, minor });
        }
        put(&mut block, header::MAJOR, u64::from(major));
        put(&mut block, header::MINOR, u64::from(minor));
    }
    header::seal(&mut block);
    out.extend_from_slice(&block);
    if let Some(map) = map {
        out.extend_from_slice(&map.text);
    }
    Ok(())
}

/// Fills up to a whole block with zeros.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// What the headers of a sparse file say.
struct Map {
    real_name: Vec<u8>,
    real_size: u64,
    text: Vec<u8>,
    /// Length of the map and the data.
    stored: u64,
}

impl Map {
    /// Puts a placeholder into `name`.
    fn new(name: &mut Vec<u8>, segments: &[Segment], real_size: u64) -> Map {
        let text = sparse::map_text(segments, real_size);
        let data: u64 = segments.iter().map(|segment| segment.length).sum();
        let placeholder = sparse::placeholder(name);
        let real_name = std::mem::replace(name, placeholder);
        Map { real_name, real_size, stored: text.len() as u64 + data, text }
    }
}

/// The records for what the header's fields cannot hold.
fn pax_records(entry: &Entry, name: &[u8], link: &[u8], size: u64, map: Option<&Map>) -> Result<Vec<u8>> {
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
    if size > OCTAL_11 {
        text("size", size.to_string().as_bytes());
    }
    let (mtime, nanos) = (metadata.mtime, metadata.mtime_nanos);
    if nanos != 0 || !u64::try_from(mtime).is_ok_and(|mtime| mtime <= OCTAL_11) {
        text("mtime", pax::time_text(mtime, nanos).as_bytes());
    }
    if let Some(map) = map {
        text("GNU.sparse.major", b"1");
        text("GNU.sparse.minor", b"0");
        text("GNU.sparse.name", &map.real_name);
        text("GNU.sparse.realsize", map.real_size.to_string().as_bytes());
    }
    for (key, value) in &metadata.xattrs {
        if key.is_empty() || key.contains(&0) {
            return Err(Error::XattrName { path: entry.path.clone(), name: key.clone() });
        }
        pax::push_record(&mut records, &[extensions::XATTR, &pax::escape(key)].concat(), value);
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
