//! Reading a tar, member by member.

use std::io::{self, Read};

use super::extensions::Extensions;
use super::header::{self, Block};
use super::input::Input;
use super::member::{self, Map, Parsed};
use super::{BLOCK, Limits, Problem, Segment, TarError, sparse};
use crate::{Entry, EntryPath, Error, PathError, Result};

/// A member of a tar: its entry, and the names of owner and group as the archive has them (both may be empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The entry.
    pub entry: Entry,
    /// Name of the owner.
    pub user_name: Vec<u8>,
    /// Name of the group.
    pub group_name: Vec<u8>,
    /// The parts with data when the archive holds the file as a sparse one; the rest of it are holes.
    pub segments: Option<Vec<Segment>>,
}

/// What names in an archive mean, for archives whose names are more than paths.
pub trait Names {
    /// The path of a member.
    ///
    /// # Errors
    /// When the name is not acceptable, which ends the reading.
    fn entry(&mut self, name: &[u8]) -> Result<EntryPath, PathError>;

    /// The path that a hard link points to.
    ///
    /// # Errors
    /// As [`Names::entry`].
    fn link(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        self.entry(name)
    }

    /// Whether the name that was read last is a mark on its path rather than an entry there. A mark on the root need not
    /// be a directory.
    fn is_mark(&self) -> bool {
        false
    }
}

/// Names are paths.
struct Plain;

impl Names for Plain {
    fn entry(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        EntryPath::parse(name)
    }
}

/// Is shown every byte of an archive, in order, in pieces as large as they come.
pub type Tap = Box<dyn FnMut(&[u8]) + Send>;

/// A streaming reader of tar archives that trusts nothing in them.
///
/// Memory is bounded by [`Limits`], whatever the archive says. Each byte of the source is read once, in order. After the
/// last member the rest of the source is read to its end, so that a decoder under it can check its own checksums.
#[derive(Debug)]
pub struct Reader<R> {
    input: Input<R>,
    limits: Limits,
    /// Members returned so far.
    entries: u64,
    /// Where the header of the current member stands.
    header_offset: u64,
    /// Bytes of the current member's contents that are not read yet.
    remaining: u64,
    /// Bytes between the end of the contents and the next block.
    padding: u64,
    /// Where the parts of the current member's contents belong, when it is a sparse file.
    sparse: Option<Expansion>,
    /// What global headers say.
    globals: Extensions,
    finished: bool,
}

impl<R: Read> Reader<R> {
    /// Reads from `source` with the default [`Limits`].
    pub fn new(source: R) -> Reader<R> {
        Reader::with_limits(source, Limits::default())
    }

    /// Reads from `source`, refusing what exceeds `limits`.
    pub fn with_limits(source: R, limits: Limits) -> Reader<R> {
        Reader {
            input: Input::new(source, limits.total),
            limits,
            entries: 0,
            header_offset: 0,
            remaining: 0,
            padding: 0,
            sparse: None,
            globals: Extensions::default(),
            finished: false,
        }
    }

    /// The next member, or `None` at the end of the archive. What is left of the previous member's contents is skipped.
    ///
    /// # Errors
    /// [`Error::Tar`] for what is wrong with the archive, [`Error::Read`] when the source fails. After an error the
    /// reader must not be used any more.
    #[expect(
        clippy::should_implement_trait,
        reason = "the member's contents borrow the reader, as no iterator can"
    )]
    pub fn next(&mut self) -> Result<Option<Member>> {
        self.next_named(&mut Plain)
    }

    /// As [`Reader::next`], for names that are not simply paths.
    ///
    /// # Errors
    /// As [`Reader::next`]; what `names` refuses comes back in an [`Error::Tar`].
    pub fn next_named(&mut self, names: &mut dyn Names) -> Result<Option<Member>> {
        if self.finished {
            return Ok(None);
        }
        self.skip_contents()?;
        let mut extensions = self.globals.clone();
        let mut extended = false;
        self.header_offset = self.input.offset;
        loop {
            let Some(block) = self.header()? else {
                if extended {
                    return Err(self.fail(Problem::LoneExtension));
                }
                self.finished = true;
                return self.drain().map(|()| None);
            };
            match block[header::TYPE] {
                b'x' => {
                    let bytes = self.extension(&block, extensions.length())?;
                    extensions.add_pax(&bytes).map_err(|problem| self.fail(problem))?;
                    extended = true;
                }
                b'g' => {
                    let bytes = self.extension(&block, self.globals.length())?;
                    self.globals.add_global(&bytes).map_err(|problem| self.fail(problem))?;
                    if !extended {
                        extensions = self.globals.clone();
                    }
                }
                b'L' => {
                    extensions.set_gnu_path(&self.extension(&block, extensions.length())?);
                    extended = true;
                }
                b'K' => {
                    extensions.set_gnu_link(&self.extension(&block, extensions.length())?);
                    extended = true;
                }
                _ => return self.member(&block, extensions, names).map(Some),
            }
        }
    }

    /// The contents of the member that [`Reader::next`] returned last; nothing for what is not a file.
    pub fn data(&mut self) -> Data<'_, R> {
        Data { reader: self }
    }

    /// The contents as the archive holds them: of a sparse file its segments, one after the other.
    pub fn stored(&mut self) -> Stored<'_, R> {
        Stored { reader: self }
    }

    /// Shows the archive to `tap` from here on. Call [`Reader::flush_tap`] before relying on what it has seen.
    pub fn set_tap(&mut self, tap: Tap) {
        self.input.set_tap(tap);
    }

    /// Shows the tap everything up to [`Reader::position`], and nothing beyond: after [`Reader::next`] that is the end of
    /// the member's header.
    pub fn flush_tap(&mut self) {
        self.input.flush_tap();
    }

    /// How many bytes of the archive have been used so far.
    pub fn position(&self) -> u64 {
        self.input.offset
    }

    /// The source; a part of what follows may have been read from it already.
    pub fn into_inner(self) -> R {
        self.input.source
    }

    /// The next header block, its checksum verified; `None` at the end of the archive, which is a block of zeros (usually
    /// two of them) or, as GNU tar and dpkg accept it too, the end of the source.
    fn header(&mut self) -> Result<Option<Block>> {
        let mut block = [0; BLOCK];
        let got = self.input.fill(&mut block).map_err(Error::Read)?;
        self.check_total()?;
        if got == 0 {
            return Ok(None);
        }
        if got < BLOCK {
            return Err(self.fail(Problem::Truncated("a header")));
        }
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if !header::checksum_is_right(&block) {
            return Err(self.fail(Problem::Checksum));
        }
        Ok(Some(block))
    }

    /// The contents of an extension header, when `used` bytes of the limit are gone already.
    fn extension(&mut self, block: &Block, used: u64) -> Result<Vec<u8>> {
        let size = member::size_field(block).map_err(|problem| self.fail(problem))?;
        if size > self.limits.extensions.saturating_sub(used) {
            let limit = self.limits.extensions;
            return Err(self.fail(Problem::Limit { what: "bytes of extension headers", limit }));
        }
        // Bounded by the limit, but grow with what is really there: a header costs its sender nothing.
        let mut bytes = Vec::new();
        self.remaining = size;
        self.padding = padding(size);
        self.stored().read_to_end(&mut bytes).map_err(Error::Read)?;
        self.skip_contents()?;
        Ok(bytes)
    }

    fn member(&mut self, block: &Block, extensions: Extensions, names: &mut dyn Names) -> Result<Member> {
        if self.entries >= self.limits.entries {
            return Err(self.fail(Problem::Limit { what: "members", limit: self.limits.entries }));
        }
        let Parsed { mut member, stored, sparse } =
            member::parse(block, extensions, &self.limits, names).map_err(|problem| self.fail(problem))?;
        self.remaining = stored;
        self.padding = padding(stored);
        if let Some(map) = sparse {
            let numbers = self.sparse_numbers(map)?;
            let size = member.entry.kind.size();
            let Some(segments) = numbers.and_then(|map| sparse::segments(&map, size, self.remaining)) else {
                return Err(self.fail(Problem::SparseMap(member.entry.path.as_bytes().to_vec())));
            };
            self.sparse = Some(Expansion { segments: segments.clone(), next: 0, position: 0, size });
            member.segments = Some(segments);
        }
        self.entries += 1;
        Ok(member)
    }

    /// The whole map of a sparse file; `None` when it is none.
    fn sparse_numbers(&mut self, map: Map) -> Result<Option<Vec<u64>>> {
        match map {
            Map::Known(numbers) => Ok(Some(numbers)),
            Map::Continued(mut numbers) => {
                let mut continued = true;
                while continued {
                    let block = self.block("a sparse file's map")?;
                    sparse::old_pairs(&block, 0, 21, &mut numbers).map_err(|problem| self.fail(problem))?;
                    continued = block[504] != 0;
                    if numbers.len() as u64 > self.limits.segments * 2 {
                        return Ok(None);
                    }
                }
                Ok(Some(numbers))
            }
            Map::Stored => {
                let mut map = sparse::MapReader::default();
                loop {
                    if self.remaining < BLOCK as u64 {
                        return Ok(None);
                    }
                    let block = self.block("a sparse file's map")?;
                    self.remaining -= BLOCK as u64;
                    match map.take(&block, &self.limits) {
                        Some(false) => {}
                        Some(true) => return Ok(Some(map.numbers())),
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    /// One block that must be there.
    fn block(&mut self, what: &'static str) -> Result<Block> {
        let mut block = [0; BLOCK];
        let got = self.input.fill(&mut block).map_err(Error::Read)?;
        self.check_total()?;
        if got < BLOCK {
            return Err(self.fail(Problem::Truncated(what)));
        }
        Ok(block)
    }

    fn skip_contents(&mut self) -> Result<()> {
        let length = self.remaining.saturating_add(std::mem::take(&mut self.padding));
        let whole = self.input.skip(length).map_err(Error::Read)?;
        self.check_total()?;
        if !whole {
            return Err(self.fail(Problem::Truncated("a member's contents")));
        }
        self.remaining = 0;
        self.sparse = None;
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        self.input.skip(u64::MAX).map_err(Error::Read)?;
        self.check_total()
    }

    fn check_total(&self) -> Result<()> {
        if self.input.exhausted {
            return Err(self.fail(Problem::Limit { what: "bytes", limit: self.limits.total }));
        }
        Ok(())
    }

    fn fail(&self, problem: Problem) -> Error {
        Error::Tar(self.tar_error(problem))
    }

    fn tar_error(&self, problem: Problem) -> TarError {
        TarError { number: self.entries + 1, offset: self.header_offset, problem }
    }
}

/// How the contents of a sparse file are laid out.
#[derive(Debug)]
struct Expansion {
    segments: Vec<Segment>,
    /// The first segment that is not behind `position`.
    next: usize,
    position: u64,
    size: u64,
}

/// The contents of one member; holes of a sparse file are zeros.
///
/// # Errors
/// Reading fails with [`io::ErrorKind::UnexpectedEof`] when the archive ends before the contents do, and with
/// [`io::ErrorKind::FileTooLarge`] beyond [`Limits::total`]; both hold a [`TarError`].
#[derive(Debug)]
pub struct Data<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R> Data<'_, R> {
    /// How many bytes are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        match &self.reader.sparse {
            Some(sparse) => sparse.size - sparse.position,
            None => self.reader.remaining,
        }
    }
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(sparse) = &self.reader.sparse else { return self.reader.stored().read(buffer) };
        let position = sparse.position;
        let segment = sparse.segments.get(sparse.next).copied();
        let hole_end = segment.map_or(sparse.size, |segment| segment.offset);
        let fit = |length: u64| usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
        let (got, behind) = if position < hole_end {
            let zeros = fit(hole_end - position);
            buffer[..zeros].fill(0);
            (zeros, false)
        } else if let Some(segment) = segment {
            let left = segment.offset + segment.length - position;
            let room = fit(left);
            let got = self.reader.stored().read(&mut buffer[..room])?;
            (got, got as u64 == left)
        } else {
            (0, false)
        };
        if let Some(sparse) = &mut self.reader.sparse {
            sparse.position += got as u64;
            sparse.next += usize::from(behind);
        }
        Ok(got)
    }
}

/// The contents of one member as the archive holds them.
///
/// # Errors
/// As for [`Data`].
#[derive(Debug)]
pub struct Stored<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: Read> Read for Stored<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.reader;
        let wanted = usize::try_from(reader.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let got = reader.input.read(&mut buffer[..wanted])?;
        if got == 0 {
            let (kind, problem) = if reader.input.exhausted {
                let limit = reader.limits.total;
                (io::ErrorKind::FileTooLarge, Problem::Limit { what: "bytes", limit })
            } else {
                (io::ErrorKind::UnexpectedEof, Problem::Truncated("a member's contents"))
            };
            // The member has been counted already.
            let mut error = reader.tar_error(problem);
            error.number = error.number.saturating_sub(1).max(1);
            return Err(io::Error::new(kind, error));
        }
        reader.remaining -= got as u64;
        Ok(got)
    }
}

/// How many bytes fill contents of `size` bytes up to whole blocks.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
