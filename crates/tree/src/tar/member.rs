//! From a header block and its extensions to a member.

use super::extensions::Extensions;
use super::header::{self, Block};
use super::{Limits, Member, Names, Problem, sparse};
use crate::{Entry, EntryPath, Kind, Metadata};

/// A member as its header has it.
pub(super) struct Parsed {
    pub(super) member: Member,
    /// Bytes that follow, of a sparse file with the map of format 1.0.
    pub(super) stored: u64,
    /// Where the map of a sparse file is; its size is that of the entry.
    pub(super) sparse: Option<Map>,
}

/// The map of a sparse file.
pub(super) enum Map {
    /// These numbers.
    Known(Vec<u64>),
    /// These numbers and those in extension blocks that follow the header.
    Continued(Vec<u64>),
    /// Before the data.
    Stored,
}

/// The size field of a header.
pub(super) fn size_field(block: &Block) -> Result<u64, Problem> {
    unsigned(&block[header::SIZE], "size")
}

/// Reads a member.
pub(super) fn parse(
    block: &Block,
    mut ext: Extensions,
    limits: &Limits,
    names: &mut dyn Names,
) -> Result<Parsed, Problem> {
    let stored = match ext.size {
        Some(size) => size,
        None => size_field(block)?,
    };
    let sparse_name = ext.sparse.as_mut().and_then(|records| records.name.take());
    let name = match sparse_name.or(ext.path.take()) {
        Some(path) => path,
        None => header_name(block),
    };
    let (size, sparse) = match sparse_map(block, &mut ext, &name, limits)? {
        Some((size, map)) => (size, Some(map)),
        None => (stored, None),
    };
    let path = names.entry(&name)?;
    let mark = names.is_mark();
    let link = ext.link.unwrap_or_else(|| header::text(&block[header::LINK]).to_vec());
    let kind = kind(block, &name, &path, link, size, limits, names)?;
    if path.is_root() && kind != Kind::Directory && !mark {
        return Err(Problem::Root(name));
    }
    if sparse.is_some() && !matches!(kind, Kind::File { .. }) {
        return Err(Problem::SparseMap(name));
    }
    let contents = contents(&kind, name, if sparse.is_some() { stored } else { size })?;
    let (mtime, mtime_nanos) = match ext.mtime {
        Some(time) => time,
        None => (header::number(&block[header::MTIME], "mtime")?, 0),
    };
    let metadata = Metadata {
        mode: (unsigned(&block[header::MODE], "mode")? & 0o7777) as u32,
        uid: owner(ext.uid, &block[header::UID], "uid")?,
        gid: owner(ext.gid, &block[header::GID], "gid")?,
        mtime,
        mtime_nanos,
        xattrs: ext.xattrs,
    };
    let named = block[header::MAGIC].starts_with(b"ustar");
    let text = |range| if named { header::text(&block[range]).to_vec() } else { Vec::new() };
    let member = Member {
        entry: Entry { path, kind, metadata },
        user_name: ext.user_name.unwrap_or_else(|| text(header::USER)),
        group_name: ext.group_name.unwrap_or_else(|| text(header::GROUP)),
        segments: None,
    };
    Ok(Parsed { member, stored: contents, sparse })
}

/// The real size and the map of a sparse file; `None` for any other member.
fn sparse_map(
    block: &Block,
    ext: &mut Extensions,
    name: &[u8],
    limits: &Limits,
) -> Result<Option<(u64, Map)>, Problem> {
    let bad = || Problem::SparseMap(name.to_vec());
    let (size, map) = if block[header::TYPE] == b'S' {
        let mut numbers = Vec::new();
        sparse::old_pairs(block, header::SPARSE.start, 4, &mut numbers)?;
        let continued = block[header::SPARSE_CONTINUED] != 0;
        let map = if continued { Map::Continued(numbers) } else { Map::Known(numbers) };
        (unsigned(&block[header::REAL_SIZE], "real size")?, map)
    } else {
        let Some(records) = ext.sparse.take() else { return Ok(None) };
        let map = match records.major {
            Some(1) => Map::Stored,
            None | Some(0) => Map::Known(records.map),
            Some(_) => return Err(bad()),
        };
        (records.size.ok_or_else(bad)?, map)
    };
    if limits.sparse == 0 {
        return Err(Problem::Sparse(name.to_vec()));
    }
    if size > limits.sparse {
        return Err(Problem::Limit { what: "bytes in a sparse file", limit: limits.sparse });
    }
    Ok(Some((size, map)))
}

/// The name in the block; POSIX archives put the beginning of long ones into a field of its own, where old GNU ones
/// (magic `ustar` and two spaces) keep times.
fn header_name(block: &Block) -> Vec<u8> {
    let name = header::text(&block[header::NAME]);
    let prefix = header::text(&block[header::PREFIX]);
    if block[header::MAGIC].starts_with(b"ustar\0") && !prefix.is_empty() {
        [prefix, b"/", name].concat()
    } else {
        name.to_vec()
    }
}

fn kind(
    block: &Block,
    name: &[u8],
    path: &EntryPath,
    link: Vec<u8>,
    size: u64,
    limits: &Limits,
    names: &mut dyn Names,
) -> Result<Kind, Problem> {
    Ok(match block[header::TYPE] {
        // Before POSIX a directory was a file whose name ends in a slash; every reader still takes it so.
        b'0' | b'\0' | b'7' if name.ends_with(b"/") => Kind::Directory,
        b'0' | b'\0' | b'7' | b'S' => Kind::File { size },
        b'1' => hard_link(name, path, &link, names)?,
        b'2' => symlink(name, link, limits)?,
        b'3' => {
            let (major, minor) = device(block)?;
            Kind::CharDevice { major, minor }
        }
        b'4' => {
            let (major, minor) = device(block)?;
            Kind::BlockDevice { major, minor }
        }
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        flag => return Err(Problem::UnknownType { name: name.to_vec(), flag }),
    })
}

fn hard_link(name: &[u8], path: &EntryPath, link: &[u8], names: &mut dyn Names) -> Result<Kind, Problem> {
    let target = names.link(link).map_err(|problem| Problem::LinkTarget { name: name.to_vec(), problem })?;
    if target.is_root() || target == *path {
        return Err(Problem::LinkLoop(name.to_vec()));
    }
    Ok(Kind::HardLink { target })
}

fn symlink(name: &[u8], target: Vec<u8>, limits: &Limits) -> Result<Kind, Problem> {
    if target.is_empty() || target.contains(&0) {
        return Err(Problem::SymlinkTarget(name.to_vec()));
    }
    if target.len() > limits.symlink {
        return Err(Problem::Limit {
            what: "bytes in the target of a symbolic link",
            limit: limits.symlink as u64,
        });
    }
    Ok(Kind::Symlink { target })
}

/// Numbers of a device; Linux has 12 bits of major and 20 of minor numbers, so what our writer cannot write is none.
fn device(block: &Block) -> Result<(u32, u32), Problem> {
    let number = |range: std::ops::Range<usize>, field| match unsigned(&block[range.clone()], field)? {
        value @ ..=header::OCTAL_7 => Ok(value as u32),
        _ => Err(Problem::Number { field, value: block[range].to_vec() }),
    };
    Ok((number(header::MAJOR, "devmajor")?, number(header::MINOR, "devminor")?))
}

/// How many bytes of contents follow. Readers disagree about sizes on what has no contents, which would let one archive
/// mean two things, so that is refused; only for hard links all agree that the size counts for nothing.
fn contents(kind: &Kind, name: Vec<u8>, size: u64) -> Result<u64, Problem> {
    match kind {
        Kind::File { .. } => Ok(size),
        Kind::HardLink { .. } => Ok(0),
        _ if size == 0 => Ok(0),
        _ => Err(Problem::UnexpectedContents { name, kind: kind.name(), size }),
    }
}

fn owner(extension: Option<u64>, field: &[u8], name: &'static str) -> Result<u32, Problem> {
    let value = match extension {
        Some(value) => value,
        None => unsigned(field, name)?,
    };
    // The greatest number means "unchanged" to chown(2) and so belongs to nobody.
    match u32::try_from(value) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(Problem::Number { field: name, value: value.to_string().into_bytes() }),
    }
}

fn unsigned(field: &[u8], name: &'static str) -> Result<u64, Problem> {
    let value = header::number(field, name)?;
    u64::try_from(value).map_err(|_| Problem::Number { field: name, value: field.to_vec() })
}
