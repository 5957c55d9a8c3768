//! Looking at entries.

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Statx, StatxFlags};
use rustix::io::Errno;

use super::{Root, failed, file_from, xattr};
use crate::layer::Marks;
use crate::{Entry, EntryPath, Error, Kind, Metadata, Result};

impl Root {
    /// The entry at `path`, its last component not followed; `None` when there is none. Every name of a file is a
    /// [`Kind::File`] here.
    ///
    /// # Errors
    /// [`Error::Entry`]; with [`super::Links::Refuse`] also when a directory of the path is a symbolic link.
    pub fn lstat(&self, path: &EntryPath) -> Result<Option<Entry>> {
        let fail = |errno| failed("look at", path, errno);
        self.present(path, |parent, name| {
            let status = status(parent, name)?;
            Ok(Entry {
                path: path.clone(),
                kind: kind(parent, name, &status)?,
                metadata: metadata(parent, name, &status, None)?,
            })
        })
        .map_err(fail)
    }

    /// The kind of the entry at `path`: as [`Root::lstat`], but one or two system calls.
    ///
    /// # Errors
    /// As [`Root::lstat`].
    pub fn kind(&self, path: &EntryPath) -> Result<Option<Kind>> {
        self.present(path, |parent, name| kind(parent, name, &status(parent, name)?))
            .map_err(|errno| failed("look at", path, errno))
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`Error::Entry`], also when there is none; [`Error::WrongKind`] when it is no regular file.
    pub fn open_file(&self, path: &EntryPath) -> Result<File> {
        let (parent, name) = self.locate_beneath("open", path)?;
        open_regular(parent.fd(), name, path)
    }

    /// The contents of a file of at most `max` bytes; `None` when there is none.
    ///
    /// # Errors
    /// As [`Root::open_file`]; [`Error::TooLarge`].
    pub fn read(&self, path: &EntryPath, max: u64) -> Result<Option<Vec<u8>>> {
        let file = match self.open_file(path) {
            Ok(file) => file,
            Err(Error::Entry { source, .. }) if absent(Errno::from_io_error(&source)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut contents = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut contents).map_err(|source| Error::Entry {
            operation: "read",
            path: path.clone(),
            source,
        })?;
        if contents.len() as u64 > max {
            return Err(Error::TooLarge { path: path.clone(), limit: max });
        }
        Ok(Some(contents))
    }

    /// The names in a directory, in the order of their bytes.
    ///
    /// # Errors
    /// [`Error::Entry`], also when there is no such directory.
    pub fn list(&self, path: &EntryPath) -> Result<Vec<Vec<u8>>> {
        let fail = |errno| failed("list", path, errno);
        let directory = self.open_directory(path).map_err(fail)?;
        names(directory.as_fd()).map_err(fail)
    }

    fn present<T>(
        &self,
        path: &EntryPath,
        look: impl FnOnce(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<Option<T>> {
        let found = match self.locate(path) {
            Ok(Some((parent, name))) => look(parent.fd(), name),
            Ok(None) => look(self.as_fd(), b"."),
            Err(errno) => Err(errno),
        };
        match found {
            Ok(found) => Ok(Some(found)),
            Err(errno) if absent(Some(errno)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

fn absent(errno: Option<Errno>) -> bool {
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR))
}

/// Opens `name` for reading unless it is a link; a pipe or device must not make us wait.
pub(crate) fn open_regular(parent: BorrowedFd<'_>, name: &[u8], path: &EntryPath) -> Result<File> {
    let fail = |errno| failed("open", path, errno);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(fail)?;
    let status = rustix::fs::fstat(&fd).map_err(fail)?;
    let found = match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => return Ok(file_from(fd)),
        FileType::Directory => "directory",
        _ => "special file",
    };
    Err(Error::WrongKind { path: path.clone(), found, wanted: "file" })
}

pub(super) fn status(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Statx> {
    rustix::fs::statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
}

pub(super) fn kind(parent: BorrowedFd<'_>, name: &[u8], status: &Statx) -> rustix::io::Result<Kind> {
    let (major, minor) = (status.stx_rdev_major, status.stx_rdev_minor);
    Ok(match FileType::from_raw_mode(status.stx_mode.into()) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File { size: status.stx_size },
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
            Kind::Symlink { target: target.into_bytes() }
        }
        FileType::CharacterDevice => Kind::CharDevice { major, minor },
        FileType::BlockDevice => Kind::BlockDevice { major, minor },
        FileType::Fifo => Kind::Fifo,
        // A socket has no meaning outside the moment; no tar has one.
        _ => return Err(Errno::NXIO),
    })
}

/// Metadata; with `marks` also the attributes that overlayfs keeps there.
pub(super) fn metadata(
    parent: BorrowedFd<'_>,
    name: &[u8],
    status: &Statx,
    marks: Option<Marks>,
) -> rustix::io::Result<Metadata> {
    let xattrs = match FileType::from_raw_mode(status.stx_mode.into()) {
        // No attribute of a tree can belong to a link. A device 0:0 is a whiteout, which has no metadata.
        FileType::Symlink => Default::default(),
        FileType::CharacterDevice if (status.stx_rdev_major, status.stx_rdev_minor) == (0, 0) => {
            Default::default()
        }
        // Pipes and devices too: a directory hands its default access list down to whatever is made in it.
        _ => xattr::read(parent, name, marks)?,
    };
    Ok(Metadata {
        mode: u32::from(status.stx_mode) & 0o7777,
        uid: status.stx_uid,
        gid: status.stx_gid,
        mtime: status.stx_mtime.tv_sec,
        mtime_nanos: status.stx_mtime.tv_nsec,
        xattrs,
    })
}

/// The names in an open directory, in the order of their bytes.
pub(super) fn names(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    each_name(directory, |name, _| names.push(name.to_vec()))?;
    names.sort_unstable();
    Ok(names)
}

/// Calls `each` with every name in an open directory and the type it is said to have.
pub(super) fn each_name(
    directory: BorrowedFd<'_>,
    mut each: impl FnMut(&[u8], FileType),
) -> rustix::io::Result<()> {
    let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name, entry.file_type());
        }
    }
    Ok(())
}
