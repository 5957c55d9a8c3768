//! The `ar` archive around a package's parts (deb(5), ar(5)): no long names, no symbol tables.

use std::io::{self, Read, Take};

use super::DebError;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// How many members with a leading `_` are passed over; deb(5) reserves them for extensions, packages have none or one.
const MAX_IGNORED: usize = 16;

/// A member's name and size.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
}

/// An archive, read from its beginning to its end.
#[derive(Debug)]
pub(super) struct Archive<R> {
    source: R,
    offset: u64,
    /// Bytes of the current member's contents that are still to come.
    remaining: u64,
    /// The current member is followed by a byte that makes its length even.
    padded: bool,
}

impl<R: Read> Archive<R> {
    pub(super) fn open(source: R) -> Result<Archive<R>, DebError> {
        let mut archive = Archive { source, offset: 0, remaining: 0, padded: false };
        let mut magic = [0; MAGIC.len()];
        let got = archive.fill(&mut magic)?;
        if got < magic.len() || magic != *MAGIC {
            return Err(DebError::Magic);
        }
        Ok(archive)
    }

    /// The next member; `None` at the end. The previous one must have been finished.
    pub(super) fn next_member(&mut self) -> Result<Option<Member>, DebError> {
        let offset = self.offset;
        let mut header = [0; HEADER];
        match self.fill(&mut header)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(DebError::Header { offset }),
        }
        let member = parse(&header).ok_or(DebError::Header { offset })?;
        self.remaining = member.size;
        self.padded = member.size % 2 == 1;
        Ok(Some(member))
    }

    /// The next member that is not to be ignored.
    pub(super) fn next_part(&mut self) -> Result<Option<Member>, DebError> {
        for _ in 0..=MAX_IGNORED {
            match self.next_member()? {
                Some(member) if member.name.starts_with('_') => self.finish_member(&member.name)?,
                member => return Ok(member),
            }
        }
        Err(DebError::TooMany(MAX_IGNORED))
    }

    /// The contents of the current member.
    pub(super) fn contents(&mut self, size: u64) -> Contents<&mut Archive<R>> {
        Contents(self.take(size))
    }

    /// The contents of the current member, when no other will be asked for.
    pub(super) fn into_contents(self, size: u64) -> Contents<Archive<R>> {
        Contents(self.take(size))
    }

    /// Passes over what is left of the current member.
    pub(super) fn finish_member(&mut self, name: &str) -> Result<(), DebError> {
        let rest = self.remaining;
        let fail = |source| DebError::Read { member: name.to_owned(), source };
        io::copy(&mut Contents(self.by_ref().take(rest)), &mut io::sink()).map_err(fail)?;
        // The padding of the last member may be missing.
        if std::mem::take(&mut self.padded) {
            self.fill(&mut [0])?;
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, DebError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(DebError::Read { member: "ar header".to_owned(), source }),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}

/// Bytes of the current member.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.offset += got as u64;
        self.remaining = self.remaining.saturating_sub(got as u64);
        Ok(got)
    }
}

/// The contents of a member; ending before their size is an error, for a plain tar would not notice it.
#[derive(Debug)]
pub(super) struct Contents<R>(Take<R>);

impl<R: Read> Read for Contents<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.0.read(buffer)?;
        if got == 0 && !buffer.is_empty() && self.0.limit() > 0 {
            let message = format!("the package is cut off: {} bytes are missing", self.0.limit());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        Ok(got)
    }
}

/// Name (16 bytes), time (12), owner (6), group (6), mode (8), size (10), a closing mark. Only name and size matter.
fn parse(header: &[u8; HEADER]) -> Option<Member> {
    if header[58..] != *b"`\n" {
        return None;
    }
    let name = header[..16].trim_ascii_end();
    // GNU ar ends names with a slash.
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let size = header[48..58].trim_ascii_end();
    if size.is_empty() || !size.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let name = String::from_utf8(name.to_vec()).ok()?;
    let size = std::str::from_utf8(size).ok()?.parse().ok()?;
    Some(Member { name, size })
}
