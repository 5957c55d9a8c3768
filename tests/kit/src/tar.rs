//! Tar archives written header by header, so that a name can be anything a hostile archive would say.

use std::io::{self, Write};

/// Size of a tar record in bytes (POSIX.1-2017, pax, "ustar Interchange Format").
const BLOCK: usize = 512;
/// Largest number that eleven octal digits hold.
const MAX_OCTAL: u64 = 0o777_7777_7777;

/// What a member's body is made of.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// One byte, again and again; never held in memory.
    Repeat {
        /// The byte.
        byte: u8,
        /// How often.
        size: u64,
    },
}

impl Content {
    /// Length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Repeat { size, .. } => *size,
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::Repeat { byte, size } => {
                let chunk = [*byte; 64 * 1024];
                let mut left = *size;
                while left > 0 {
                    let length = left.min(chunk.len() as u64);
                    #[expect(clippy::cast_possible_truncation, reason = "at most the length of the chunk")]
                    out.write_all(&chunk[..length as usize])?;
                    left -= length;
                }
                Ok(())
            }
        }
    }
}

/// What a member is.
#[derive(Debug, Clone)]
pub enum MemberKind {
    /// An ordinary file.
    File(Content),
    /// A folder.
    Directory,
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// A hard link to the member of this name.
    HardLink(Vec<u8>),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// Any other type flag, with a body.
    Other(u8, Content),
}

/// One member of a tar archive. The name and the link target are written as they are.
#[derive(Debug, Clone)]
pub struct Member {
    /// The name, verbatim.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Name of owner and group; `dpkg-deb` writes `root`.
    pub owner_name: String,
    /// A size that the header claims instead of the true one.
    pub claimed_size: Option<u64>,
    /// Records of a pax extended header that goes before the member.
    pub pax: Vec<(String, Vec<u8>)>,
}

impl Member {
    /// A member owned by root, `0755` for a folder and `0644` for anything else.
    #[must_use]
    pub fn new(name: impl Into<Vec<u8>>, kind: MemberKind) -> Self {
        let mode = match kind {
            MemberKind::Directory => 0o755,
            MemberKind::Symlink(_) => 0o777,
            _ => 0o644,
        };
        Self {
            name: name.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: crate::deb::DEFAULT_MTIME,
            owner_name: "root".to_owned(),
            claimed_size: None,
            pax: Vec::new(),
        }
    }

    /// A file with these bytes.
    #[must_use]
    pub fn file(name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> Self {
        Self::new(name, MemberKind::File(Content::Bytes(content.into())))
    }

    /// The same with other permission bits.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same with another owner and group, whose names are not known: dpkg goes by a name before a number.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.uid = uid;
        self.gid = gid;
        if (uid, gid) != (0, 0) {
            self.owner_name.clear();
        }
        self
    }

    fn type_flag(&self) -> u8 {
        match &self.kind {
            MemberKind::File(_) => b'0',
            MemberKind::HardLink(_) => b'1',
            MemberKind::Symlink(_) => b'2',
            MemberKind::CharDevice { .. } => b'3',
            MemberKind::BlockDevice { .. } => b'4',
            MemberKind::Directory => b'5',
            MemberKind::Fifo => b'6',
            MemberKind::Other(flag, _) => *flag,
        }
    }

    fn content(&self) -> Option<&Content> {
        match &self.kind {
            MemberKind::File(content) | MemberKind::Other(_, content) => Some(content),
            _ => None,
        }
    }

    fn link(&self) -> &[u8] {
        match &self.kind {
            MemberKind::Symlink(target) | MemberKind::HardLink(target) => target,
            _ => &[],
        }
    }

    /// Writes everything before the body: long names, pax records, the header.
    pub(crate) fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        // GNU's long names ("L" and "K" members): what dpkg-deb itself writes.
        for (flag, text) in [(b'K', self.link()), (b'L', &self.name)] {
            if text.len() > 100 {
                let mut body = text.to_vec();
                body.push(0);
                write_plain(out, b"././@LongLink", flag, &body)?;
            }
        }
        if !self.pax.is_empty() {
            write_plain(out, b"./PaxHeaders/member", b'x', &pax_records(&self.pax))?;
        }
        out.write_all(&self.header())
    }

    fn header(&self) -> [u8; BLOCK] {
        let mut header = [0; BLOCK];
        put(&mut header, 0, 100, &self.name);
        octal(&mut header, 100, 8, u64::from(self.mode));
        octal(&mut header, 108, 8, u64::from(self.uid));
        octal(&mut header, 116, 8, u64::from(self.gid));
        let size = self.claimed_size.unwrap_or_else(|| self.content().map_or(0, Content::size));
        number(&mut header, 124, size);
        number(&mut header, 136, self.mtime);
        header[156] = self.type_flag();
        put(&mut header, 157, 100, self.link());
        // GNU's magic, as in packages made by dpkg-deb.
        put(&mut header, 257, 8, b"ustar  \0");
        put(&mut header, 265, 32, self.owner_name.as_bytes());
        put(&mut header, 297, 32, self.owner_name.as_bytes());
        if let MemberKind::CharDevice { major, minor } | MemberKind::BlockDevice { major, minor } = self.kind
        {
            octal(&mut header, 329, 8, u64::from(major));
            octal(&mut header, 337, 8, u64::from(minor));
        }
        seal(&mut header);
        header
    }
}

/// A tar archive in the making.
#[derive(Debug, Clone, Default)]
pub struct TarBuilder {
    members: Vec<Member>,
}

impl TarBuilder {
    /// An archive without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    #[must_use]
    pub fn member(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// The whole archive.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        crate::Compression::None.stream(|out| write_archive(out, &self.members))
    }
}

/// Writes members and the two empty records that end an archive.
pub(crate) fn write_archive(out: &mut dyn Write, members: &[Member]) -> io::Result<()> {
    for member in members {
        member.write_header(out)?;
        if let Some(content) = member.content() {
            content.write(out)?;
            write_padding(out, content.size())?;
        }
    }
    out.write_all(&[0; 2 * BLOCK])
}

/// The body of the first ordinary file of the archive called `name`, for headers without extensions.
pub(crate) fn find_file(archive: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut at = 0;
    while let Some(header) = archive.get(at..at + BLOCK) {
        let text = |from: usize, length: usize| {
            let field = &header[from..from + length];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8_lossy(&field[..end]).into_owned()
        };
        if header[0] == 0 {
            return None;
        }
        let size = usize::from_str_radix(text(124, 12).trim(), 8).ok()?;
        let body = at + BLOCK;
        if text(0, 100).trim_start_matches("./") == name {
            return archive.get(body..body + size).map(<[u8]>::to_vec);
        }
        at = body + size.next_multiple_of(BLOCK);
    }
    None
}

fn write_plain(out: &mut dyn Write, name: &[u8], flag: u8, body: &[u8]) -> io::Result<()> {
    let mut member = Member::new(name, MemberKind::Other(flag, Content::Bytes(body.to_vec())));
    member.mtime = 0;
    out.write_all(&member.header())?;
    out.write_all(body)?;
    write_padding(out, body.len() as u64)
}

fn write_padding(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let block = BLOCK as u64;
    #[expect(clippy::cast_possible_truncation, reason = "less than one block")]
    let padding = (size.next_multiple_of(block) - size) as usize;
    out.write_all(&[0; BLOCK][..padding])
}

/// Each record is `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits.
fn pax_records(records: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        body.extend_from_slice(format!("{length} {key}=").as_bytes());
        body.extend_from_slice(value);
        body.push(b'\n');
    }
    body
}

fn put(header: &mut [u8; BLOCK], at: usize, width: usize, text: &[u8]) {
    let length = text.len().min(width);
    header[at..at + length].copy_from_slice(&text[..length]);
}

fn octal(header: &mut [u8; BLOCK], at: usize, width: usize, value: u64) {
    put(header, at, width, format!("{value:0digits$o}\0", digits = width - 1).as_bytes());
}

/// Twelve bytes: octal, or GNU's base-256 when the value is larger.
fn number(header: &mut [u8; BLOCK], at: usize, value: u64) {
    if value <= MAX_OCTAL {
        return octal(header, at, 12, value);
    }
    header[at] = 0x80;
    header[at + 4..at + 12].copy_from_slice(&value.to_be_bytes());
}

fn seal(header: &mut [u8; BLOCK]) {
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    put(header, 148, 8, format!("{sum:06o}\0 ").as_bytes());
}
