//! The control files of a package: `control`, maintainer scripts, conffiles, checksums, triggers.

use std::io::Read;

use tree::{Error, Kind, tar};

use super::DebError;

/// The greatest size of the control archive in bytes, headers included. The largest real ones hold checksums of some
/// ten thousand files.
const MAX_ARCHIVE: u64 = 16 << 20;

/// The greatest size of the file `control` in bytes.
const MAX_CONTROL: u64 = 1 << 20;

/// The greatest number of control files.
const MAX_FILES: u64 = 256;

/// One control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Its name, one component.
    pub name: String,
    /// Its permission bits, `0..=0o7777`.
    pub mode: u32,
    /// Its contents.
    pub contents: Vec<u8>,
}

/// The control files of a package, in the order of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlArchive {
    files: Vec<ControlFile>,
    control: String,
}

impl ControlArchive {
    /// All of them, `control` included.
    #[must_use]
    pub fn files(&self) -> &[ControlFile] {
        &self.files
    }

    /// The text of the file `control`.
    #[must_use]
    pub fn control(&self) -> &str {
        &self.control
    }

    /// The file called `name`, such as `preinst`, `md5sums` or `triggers`.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&ControlFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The contents of the file called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.file(name).map(|file| &file.contents[..])
    }

    /// The lines of `conffiles`: absolute names, possibly after the word `remove-on-upgrade`.
    pub fn conffiles(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.get("conffiles").unwrap_or_default().split(|&byte| byte == b'\n');
        lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
    }

    /// Whether there is a maintainer script called `name` (`preinst`, `postinst`, …).
    #[must_use]
    pub fn has_script(&self, name: &str) -> bool {
        self.file(name).is_some()
    }
}

/// Reads the control archive in `plain`, which is the member `member` decompressed.
pub(super) fn read(plain: impl Read, member: &str) -> Result<ControlArchive, DebError> {
    let limits = tar::Limits {
        entries: MAX_FILES,
        symlink: 0,
        extensions: 64 << 10,
        total: MAX_ARCHIVE,
        ..tar::Limits::default()
    };
    let fail = |source| DebError::Tar { member: member.to_owned(), source };
    let mut tar = tar::Reader::with_limits(plain, limits);
    let mut files: Vec<ControlFile> = Vec::new();
    while let Some(found) = tar.next().map_err(fail)? {
        let entry = found.entry;
        let size = match entry.kind {
            Kind::Directory if entry.path.is_root() => continue,
            Kind::File { size } if entry.path.components().count() == 1 => size,
            _ => return Err(DebError::ControlEntry { name: entry.path.to_string() }),
        };
        let Ok(name) = String::from_utf8(entry.path.as_bytes().to_vec()) else {
            return Err(DebError::ControlEntry { name: entry.path.to_string() });
        };
        let limit = if name == "control" { MAX_CONTROL } else { MAX_ARCHIVE };
        if size > limit {
            return Err(DebError::TooLarge { name, size, limit });
        }
        if files.iter().any(|file| file.name == name) {
            return Err(DebError::ControlTwice(name));
        }
        let mut contents = Vec::new();
        tar.data().read_to_end(&mut contents).map_err(|source| fail(Error::Read(source)))?;
        files.push(ControlFile { name, mode: entry.metadata.mode, contents });
    }
    let control = files.iter().find(|file| file.name == "control").ok_or(DebError::NoControl)?;
    let control = match std::str::from_utf8(&control.contents) {
        Ok(text) => text.to_owned(),
        Err(error) => return Err(DebError::ControlEncoding(error.valid_up_to())),
    };
    Ok(ControlArchive { files, control })
}
