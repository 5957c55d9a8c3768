//! Entries that are no directories.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::attributes::{self, Attributes, Lost};
use super::{Copier, Failure, From, contents, failed};

impl Copier {
    /// Copies `name` of the directory `from` into the directory `to`; it will be at `path` beneath the target.
    pub(super) fn entry(
        &mut self,
        from: &From,
        name: &CStr,
        status: &Stat,
        to: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<(), Failure> {
        if status.st_nlink > 1 && self.link(status, to, name, path)? {
            return Ok(());
        }
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => self.file(from, name, status, to, path)?,
            FileType::Symlink => self.symlink(from, name, status, to, path)?,
            kind => self.node(kind, from, name, status, to, path)?,
        }
        if status.st_nlink > 1 {
            self.linked.insert(identity(status), path.to_vec());
        }
        Ok(())
    }

    /// A whiteout that nothing of the source is kept of.
    pub(super) fn whiteout(&self, to: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<(), Failure> {
        make_node(to, name, FileType::CharacterDevice, 0).map_err(|lost| lost.or(self.shown(path)))
    }

    /// One more name of a file that was copied before; `false` when it was not, or the file system has no more names
    /// for it.
    fn link(&self, status: &Stat, to: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<bool, Failure> {
        let Some(first) = self.linked.get(&identity(status)) else { return Ok(false) };
        match rustix::fs::linkat(&self.root, &first[..], to, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::MLINK) => Ok(false),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                Err(Failure::NotKept { what: "hard links", source: Errno::OPNOTSUPP.into() })
            }
            Err(errno) => Err(failed("link", self.shown(path))(errno)),
        }
    }

    fn file(
        &self,
        from: &From,
        name: &CStr,
        status: &Stat,
        to: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<(), Failure> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let source = rustix::fs::openat(&from.fd, name, flags, Mode::empty());
        let mut source = File::from(source.map_err(failed("read", self.shown(path)))?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR);
        let mut target = File::from(target.map_err(failed("create", self.shown(path)))?);
        let size = u64::try_from(status.st_size).unwrap_or(0);
        let allocated = u64::try_from(status.st_blocks).unwrap_or(0).saturating_mul(512);
        contents::copy(&mut source, &mut target, size, allocated)
            .map_err(failed("copy", self.shown(path)))?;
        let attributes = attributes::read_at(&attributes::handle_path(source.as_fd()), from.form, self.form)
            .map_err(failed("read the attributes of", self.shown(path)))?;
        attributes::dress(target.as_fd(), status, &attributes).map_err(|lost| lost.or(self.shown(path)))
    }

    fn symlink(
        &self,
        from: &From,
        name: &CStr,
        status: &Stat,
        to: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<(), Failure> {
        let goal =
            rustix::fs::readlinkat(&from.fd, name, Vec::new()).map_err(failed("read", self.shown(path)))?;
        rustix::fs::symlinkat(&goal, to, name).map_err(failed("create", self.shown(path)))?;
        let attributes = self.attributes(from, name, path)?;
        dress_name(to, name, status, &attributes).map_err(|lost| lost.or(self.shown(path)))
    }

    /// A device, a pipe or a socket.
    fn node(
        &self,
        kind: FileType,
        from: &From,
        name: &CStr,
        status: &Stat,
        to: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<(), Failure> {
        let attributes = self.attributes(from, name, path)?;
        make_node(to, name, kind, status.st_rdev)
            .and_then(|()| dress_name(to, name, status, &attributes))
            .and_then(|()| {
                // It was made by us a moment ago in a folder that nobody else knows, and is no link.
                rustix::fs::chmodat(to, name, attributes::mode(status), AtFlags::empty())
                    .map_err(|errno| Lost { what: "the modes of files", errno })
            })
            .map_err(|lost| lost.or(self.shown(path)))
    }

    /// The attributes of what cannot be opened for reading.
    fn attributes(&self, from: &From, name: &CStr, path: &[u8]) -> Result<Attributes, Failure> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&from.fd, name, flags, Mode::empty())
            .map_err(failed("look at", self.shown(path)))?;
        attributes::read_at(&attributes::handle_path(handle.as_fd()), from.form, self.form)
            .map_err(failed("read the attributes of", self.shown(path)))
    }
}

/// Which inode a name stands for.
fn identity(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

fn make_node(to: BorrowedFd<'_>, name: &CStr, kind: FileType, device: u64) -> Result<(), Lost> {
    let what = match (kind, device) {
        (FileType::CharacterDevice, 0) => "whiteouts",
        (FileType::CharacterDevice | FileType::BlockDevice, _) => "device nodes",
        _ => "named pipes and sockets",
    };
    rustix::fs::mknodat(to, name, kind, Mode::RUSR | Mode::WUSR, device).map_err(|errno| Lost { what, errno })
}

/// Owner, attributes and times of what has no descriptor; the mode is left alone.
fn dress_name(to: BorrowedFd<'_>, name: &CStr, status: &Stat, attributes: &Attributes) -> Result<(), Lost> {
    let lost = |what| move |errno| Lost { what, errno };
    let (uid, gid) = (attributes::owner(status), attributes::group(status));
    rustix::fs::chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(lost("the owners of files"))?;
    let path = attributes::child_path(to, name);
    for (key, value) in attributes {
        rustix::fs::lsetxattr(&path[..], &key[..], value, XattrFlags::empty())
            .map_err(lost("extended attributes"))?;
    }
    rustix::fs::utimensat(to, name, &attributes::times(status), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(lost("the times of files"))
}
