//! Owner, mode, times and extended attributes.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::parents::Parent;
use super::{Root, failed, xattr};
use crate::{EntryPath, Metadata, Result};

impl Root {
    /// Gives an entry, its last component not followed, owner, mode, time and extended attributes. A symbolic link has no
    /// mode of its own. Extended attributes that the entry has already stay unless named.
    ///
    /// Set directories after their contents, for what is created in a directory changes its time.
    ///
    /// # Errors
    /// [`crate::Error::Entry`] with what the system said.
    pub fn set_metadata(&self, path: &EntryPath, metadata: &Metadata) -> Result<()> {
        let fail = |errno: Errno| failed("set the metadata of", path, errno);
        let Some((parent, name)) = self.locate(path).map_err(fail)? else {
            self.parents.clear();
            return self.dress(self.as_fd(), path, metadata, false);
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(parent.fd(), name, flags, Mode::empty()).map_err(fail)?;
        let status = rustix::fs::fstat(&handle).map_err(fail)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Symlink => return self.dress_symlink(&parent, name, path, metadata, false),
            // What a kept descriptor knows of the directory may change here.
            FileType::Directory => self.parents.clear(),
            _ => {}
        }
        // The handle is what was looked at and no link, so that what follows cannot hit anything else. Opening it for
        // reading instead would fail for files without read permission and have effects on pipes and devices.
        let target = xattr::handle_path(handle.as_fd());
        let at = rustix::fs::CWD;
        rustix::fs::chownat(&handle, "", owner(metadata.uid), group(metadata.gid), AtFlags::EMPTY_PATH)
            .map_err(fail)?;
        rustix::fs::chmodat(at, &target, mode(metadata), AtFlags::empty()).map_err(fail)?;
        for (name, value) in &metadata.xattrs {
            xattr::set_handle(&target, name, value).map_err(fail)?;
        }
        rustix::fs::utimensat(at, &target, &times(metadata.mtime, metadata.mtime_nanos), AtFlags::empty())
            .map_err(fail)
    }

    /// Sets the time of last modification alone, to a whole second, the last component not followed: one system call.
    ///
    /// # Errors
    /// [`crate::Error::Entry`] with what the system said.
    pub fn set_mtime(&self, path: &EntryPath, mtime: i64) -> Result<()> {
        let fail = |errno: Errno| failed("set the time of", path, errno);
        let result = match self.locate(path).map_err(fail)? {
            Some((parent, name)) => {
                rustix::fs::utimensat(parent.fd(), name, &times(mtime, 0), AtFlags::SYMLINK_NOFOLLOW)
            }
            None => rustix::fs::futimens(self.as_fd(), &times(mtime, 0)),
        };
        result.map_err(fail)
    }

    /// Puts metadata on an open file or directory. With `fresh` it was created by us a moment ago in a directory that
    /// does not pass on its group, so it belongs to us already. The order matters: changing the owner takes set-id bits
    /// and capabilities away.
    pub(super) fn dress(
        &self,
        fd: BorrowedFd<'_>,
        path: &EntryPath,
        metadata: &Metadata,
        fresh: bool,
    ) -> Result<()> {
        if !(fresh && metadata.uid == self.uid && metadata.gid == self.gid) {
            rustix::fs::fchown(fd, owner(metadata.uid), group(metadata.gid))
                .map_err(|errno| failed("change the owner of", path, errno))?;
        }
        rustix::fs::fchmod(fd, mode(metadata)).map_err(|errno| failed("change the mode of", path, errno))?;
        for (name, value) in &metadata.xattrs {
            xattr::fset(fd, name, value)
                .map_err(|errno| failed("set an extended attribute of", path, errno))?;
        }
        rustix::fs::futimens(fd, &times(metadata.mtime, metadata.mtime_nanos))
            .map_err(|errno| failed("set the time of", path, errno))
    }

    /// Owner, extended attributes and time of a symbolic link.
    pub(super) fn dress_symlink(
        &self,
        parent: &Parent,
        name: &[u8],
        path: &EntryPath,
        metadata: &Metadata,
        fresh: bool,
    ) -> Result<()> {
        let fail = |errno| failed("set the metadata of", path, errno);
        if !(fresh && metadata.uid == self.uid && metadata.gid == self.gid) {
            let (uid, gid) = (owner(metadata.uid), group(metadata.gid));
            rustix::fs::chownat(parent.fd(), name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
        }
        for (key, value) in &metadata.xattrs {
            xattr::set_child(parent.fd(), name, key, value).map_err(fail)?;
        }
        rustix::fs::utimensat(
            parent.fd(),
            name,
            &times(metadata.mtime, metadata.mtime_nanos),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(fail)
    }
}

pub(super) fn mode(metadata: &Metadata) -> Mode {
    Mode::from_raw_mode(metadata.mode & 0o7777)
}

fn owner(uid: u32) -> Option<Uid> {
    Some(Uid::from_raw(uid))
}

fn group(gid: u32) -> Option<Gid> {
    Some(Gid::from_raw(gid))
}

/// A time of modification; that of last access stays what it is.
fn times(mtime: i64, nanos: u32) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime, tv_nsec: nanos.into() },
    }
}
