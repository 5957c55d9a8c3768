//! A tar whose members are read where they are, by their offsets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tree::codec::{Bounded, Format, decoder};
use tree::{EntryPath, Kind, tar};

use crate::{Error, Result};

/// The most members that an archive of images may have: every layer of 2000 has four at most.
const MEMBERS: u64 = 100_000;

/// The greatest length of a compressed archive when it is expanded, in bytes.
const EXPANDED: u64 = 256 << 30;

/// Contents longer than this are passed over by looking behind them, others by reading on. In bytes.
const PASS_OVER: u64 = 1 << 20;

/// How much is copied at a time, in bytes.
const BUFFER: usize = 256 * 1024;

/// Links to links to links are followed so far.
const LINKS: usize = 8;

/// The members of a tar by name.
#[derive(Debug)]
pub(super) struct TarFile {
    path: PathBuf,
    file: File,
    members: BTreeMap<EntryPath, Member>,
}

/// What stands under a name. Directories and what else there may be is of no interest.
#[derive(Debug)]
enum Member {
    File(Span),
    /// Another name of the archive. `docker save` writes links in place of layers that it has written before.
    Link(EntryPath),
}

/// Where contents are in the file, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    offset: u64,
    pub(super) size: u64,
}

impl TarFile {
    /// Reads the members' names. A compressed archive is expanded first, into a file in `scratch` that has no name.
    pub(super) fn open(path: &Path, scratch: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let mut start = [0; 6];
        let known = read_start(&mut file, &mut start).map_err(Error::io("read", path))?;
        let format = Format::sniff(&start[..known]);
        if format != Format::Plain {
            file = expand(file, format, scratch, path)?;
        }
        let members = members(&file).map_err(|source| Error::Archive { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, members })
    }

    /// The archive.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file `name` is, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<Span> {
        let mut path = EntryPath::parse(name.as_bytes()).ok()?;
        for _ in 0..LINKS {
            match self.members.get(&path)? {
                Member::File(span) => return Some(*span),
                Member::Link(target) => path = target.clone(),
            }
        }
        None
    }

    /// Contents to read.
    pub(super) fn read(&self, span: Span) -> Section<'_> {
        Section { file: &self.file, offset: span.offset, left: span.size }
    }

    /// The contents of a small file.
    pub(super) fn read_small(&self, name: &str, span: Span) -> Result<Vec<u8>> {
        let limit = crate::manifest::SIZE_LIMIT;
        if span.size > limit {
            let what = format!("`{name}` in {}", self.path.display());
            return Err(Error::TooLarge { what, size: span.size, limit });
        }
        let mut bytes = Vec::new();
        self.read(span).read_to_end(&mut bytes).map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }
}

/// A part of a file; reading it does not move anybody else's position.
#[derive(Debug)]
pub(super) struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// The first bytes of a file, as many as there are; the file is at its start again.
fn read_start(file: &mut File, start: &mut [u8]) -> io::Result<usize> {
    let mut known = 0;
    loop {
        let count = file.read(&mut start[known..])?;
        known += count;
        if count == 0 || known == start.len() {
            break;
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(known)
}

fn expand(file: File, format: Format, scratch: &Path, path: &Path) -> Result<File> {
    let mut expanded = tempfile::tempfile_in(scratch).map_err(Error::io("create a file in", scratch))?;
    let source = decoder(format, file).map_err(Error::io("read", path))?;
    let mut source = Bounded::new(source, EXPANDED);
    let mut buffer = vec![0; BUFFER];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(expanded),
            Ok(count) => expanded.write_all(&buffer[..count]).map_err(Error::io("write in", scratch))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("expand", path)(error)),
        }
    }
}

fn members(file: &File) -> tree::Result<BTreeMap<EntryPath, Member>> {
    let length = file.metadata().map_err(tree::Error::Read)?.len();
    let mut members = BTreeMap::new();
    let mut begin = 0;
    let mut entries = MEMBERS;
    loop {
        let limits = tar::Limits { entries, ..tar::Limits::default() };
        let section = Section { file, offset: begin, left: length.saturating_sub(begin) };
        let mut reader = tar::Reader::with_limits(section, limits);
        loop {
            let Some(member) = reader.next()? else { return Ok(members) };
            entries -= 1;
            let path = member.entry.path;
            let offset = begin + reader.position();
            let size = member.entry.kind.size();
            let found = match member.entry.kind {
                Kind::File { .. } => Some(Member::File(Span { offset, size })),
                Kind::HardLink { target } => Some(Member::Link(target)),
                Kind::Symlink { target } => within(&path, &target).map(Member::Link),
                _ => None,
            };
            if let Some(found) = found
                && members.insert(path.clone(), found).is_some()
            {
                // Programs that take the first one and programs that take the last one would see two images.
                return Err(tree::Error::Twice { path });
            }
            if size > PASS_OVER {
                begin = offset.saturating_add(size).saturating_add(size.wrapping_neg() % tar::BLOCK as u64);
                if begin > length {
                    return Err(tree::Error::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                break;
            }
        }
    }
}

/// Where a symbolic link leads, if that is a place in the archive.
fn within(link: &EntryPath, target: &[u8]) -> Option<EntryPath> {
    let mut path = link.parent()?;
    for part in target.split(|&byte| byte == b'/') {
        path = match part {
            b".." => path.parent()?,
            b"" | b"." => path,
            name => path.join(name).ok()?,
        };
    }
    (!target.starts_with(b"/")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tree::{Entry, Metadata};

    fn archive(entries: &[(&str, Kind, usize)]) -> Vec<u8> {
        let mut writer = tar::Writer::new(Vec::new());
        for (name, kind, size) in entries {
            let kind = if *size > 0 { Kind::File { size: *size as u64 } } else { kind.clone() };
            let entry = Entry { path: name.parse().unwrap(), kind, metadata: Metadata::new(0o644, 0) };
            writer.append(&entry, &mut &vec![b'x'; *size][..]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<TarFile> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        std::fs::write(&path, bytes).unwrap();
        TarFile::open(&path, folder.path())
    }

    #[test]
    fn members_are_found_also_behind_large_ones_and_through_links() {
        let link = Kind::Symlink { target: b"../one/layer.tar".to_vec() };
        let outside = Kind::Symlink { target: b"../../etc/passwd".to_vec() };
        let file = Kind::File { size: 0 };
        let bytes = archive(&[
            ("one/layer.tar", file.clone(), 3 << 20),
            ("small", file.clone(), 7),
            ("two/layer.tar", link, 0),
            ("out", outside, 0),
            ("last", file, 1),
        ]);
        let archive = open(&bytes).unwrap();
        for (name, size) in
            [("one/layer.tar", 3 << 20), ("./small", 7), ("two/layer.tar", 3 << 20), ("last", 1)]
        {
            let span = archive.find(name).unwrap();
            assert_eq!(span.size, size, "{name}");
            let mut contents = Vec::new();
            archive.read(span).read_to_end(&mut contents).unwrap();
            assert!(contents.iter().all(|&byte| byte == b'x') && contents.len() as u64 == size, "{name}");
        }
        assert!(archive.find("out").is_none() && archive.find("../small").is_none());
    }

    #[test]
    fn what_is_cut_off_or_there_twice_is_refused() {
        let file = Kind::File { size: 0 };
        let bytes = archive(&[("one", file.clone(), 3 << 20), ("two", file.clone(), 7)]);
        assert!(open(&bytes[..2 << 20]).is_err());
        assert!(open(&bytes[..(3 << 20) + 1024 + 100]).is_err());
        let twice = archive(&[("one", file.clone(), 5), ("one", file, 7)]);
        let error = open(&twice).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("`one` stands in the archive twice"), "{cause}");
    }
}
