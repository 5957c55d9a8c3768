//! Reading a tar, member by member.

use std::io::{self, Read};

use super::extensions::Extensions;
use super::header::{self, Block};
use super::member;
use super::{BLOCK, Limits, Problem, TarError};
use crate::{Entry, Error, Result};

/// How much is read from the source at once, in bytes. Contents larger than what is buffered go straight into the
/// caller's buffer, so this only has to be large against a header block.
const BUFFER: usize = 64 * 1024;

/// A member of a tar: its entry, and the names of owner and group as the archive has them (both may be empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The entry.
    pub entry: Entry,
    /// Name of the owner.
    pub user_name: Vec<u8>,
    /// Name of the group.
    pub group_name: Vec<u8>,
}

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
                _ => return self.member(&block, extensions).map(Some),
            }
        }
    }

    /// The contents of the member that [`Reader::next`] returned last; nothing for what is not a file.
    pub fn data(&mut self) -> Data<'_, R> {
        Data { reader: self }
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
        self.data().read_to_end(&mut bytes).map_err(Error::Read)?;
        self.skip_contents()?;
        Ok(bytes)
    }

    fn member(&mut self, block: &Block, extensions: Extensions) -> Result<Member> {
        if self.entries >= self.limits.entries {
            return Err(self.fail(Problem::Limit { what: "members", limit: self.limits.entries }));
        }
        let (member, contents) =
            member::parse(block, extensions, &self.limits).map_err(|problem| self.fail(problem))?;
        self.entries += 1;
        self.remaining = contents;
        self.padding = padding(contents);
        Ok(member)
    }

    fn skip_contents(&mut self) -> Result<()> {
        let length = self.remaining.saturating_add(std::mem::take(&mut self.padding));
        let whole = self.input.skip(length).map_err(Error::Read)?;
        self.check_total()?;
        if !whole {
            return Err(self.fail(Problem::Truncated("a member's contents")));
        }
        self.remaining = 0;
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

/// The contents of one member.
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
        self.reader.remaining
    }
}

impl<R: Read> Read for Data<'_, R> {
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

/// A source with a buffer, a position and an end it may not go beyond.
#[derive(Debug)]
struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes handed out so far.
    offset: u64,
    /// Bytes that may still be taken from the source.
    allowed: u64,
    /// The source had more than was allowed.
    exhausted: bool,
}

impl<R: Read> Input<R> {
    fn new(source: R, allowed: u64) -> Input<R> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Input { source, buffer, start: 0, end: 0, offset: 0, allowed, exhausted: false }
    }

    /// Some bytes, or none at the end or when the source has given as much as is allowed.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            if buffer.len() >= BUFFER {
                let got = self.take(buffer)?;
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
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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
    fn skip(&mut self, mut length: u64) -> io::Result<bool> {
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
        let mut buffer = std::mem::take(&mut self.buffer);
        let got = self.take(&mut buffer);
        self.buffer = buffer;
        self.start = 0;
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
