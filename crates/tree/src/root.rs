//! File operations beneath one directory.
//!
//! [`Root`] is the only way this crate touches a file system. A path is split into its directory and its last component:
//! the directory is opened by the kernel's `openat2` beneath the root, the last component is used against that descriptor
//! and never followed. So no name and no symbolic link, however they change meanwhile, leads outside.

mod metadata;
mod open;
mod parents;
mod read;
mod remove;
mod scan;
mod write;
mod xattr;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{EntryPath, Error, Result};
pub(crate) use open::Unfinished;
use parents::{Parent, Parents};
pub(crate) use read::open_regular;
pub use scan::Scan;
pub(crate) use write::fill;
pub(crate) use xattr::belongs_to_tree;

/// What symbolic links among the directories of a path mean. The last component is never followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// They are errors: for trees that nobody but us has written.
    Refuse,
    /// They are followed as a process would whose root is this directory (`/lib/x` is `/usr/lib/x` when `lib` points
    /// there, absolute targets start at the root again, `..` stops there): dpkg's view of the system it installs.
    WithinRoot,
}

/// A directory beneath which everything happens.
///
/// All methods take `&self` and may be called by many threads. Descriptors of parent directories are kept for the next
/// call; [`Root::forget_parents`] must be called after somebody else, such as a maintainer script, may have moved or
/// removed directories.
#[derive(Debug)]
pub struct Root {
    directory: Arc<OwnedFd>,
    links: Links,
    parents: Parents,
    uid: u32,
    gid: u32,
}

impl Root {
    /// Opens the directory at `path`, which itself may be reached through symbolic links.
    ///
    /// # Errors
    /// [`Error::Open`] when it is no directory or cannot be opened.
    pub fn open(path: impl AsRef<Path>, links: Links) -> Result<Root> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| Error::Open { path: path.to_owned(), source: errno.into() })?;
        Ok(Root::from_fd(directory, links))
    }

    /// Takes an open directory; it must have been opened for reading, not with `O_PATH`.
    #[must_use]
    pub fn from_fd(directory: OwnedFd, links: Links) -> Root {
        Root {
            directory: Arc::new(directory),
            links,
            parents: Parents::default(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    /// What symbolic links among directories mean here.
    #[must_use]
    pub fn links(&self) -> Links {
        self.links
    }

    /// Opens the directory at `path` as a root of its own.
    ///
    /// # Errors
    /// When `path` is no directory beneath the root.
    pub fn subroot(&self, path: &EntryPath) -> Result<Root> {
        let fd = self.open_directory(path).map_err(|errno| failed("open", path, errno))?;
        Ok(Root::from_fd(fd, self.links))
    }

    /// Forgets the directory descriptors that are kept for the next call.
    pub fn forget_parents(&self) {
        self.parents.clear();
    }

    /// The directory that holds `path`, and the name in it; `None` for the root.
    fn locate<'p>(&self, path: &'p EntryPath) -> rustix::io::Result<Option<(Parent, &'p [u8])>> {
        if path.is_root() {
            return Ok(None);
        }
        let (directory, name) = path.split();
        Ok(Some((self.parents.get(&self.directory, self.links, directory)?, name)))
    }

    /// As [`Root::locate`], for operations that make no sense on the root.
    fn locate_beneath<'p>(&self, operation: &'static str, path: &'p EntryPath) -> Result<(Parent, &'p [u8])> {
        match self.locate(path) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(failed(operation, path, Errno::BUSY)),
            Err(errno) => Err(failed(operation, path, errno)),
        }
    }

    /// A readable descriptor of the directory at `path`, its last component not followed.
    fn open_directory(&self, path: &EntryPath) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self.locate(path)? {
            Some((parent, name)) => rustix::fs::openat(parent.fd(), name, flags, Mode::empty()),
            None => rustix::fs::openat(&self.directory, ".", flags, Mode::empty()),
        }
    }

    /// Makes everything in the file system of this root durable (`syncfs`).
    ///
    /// # Errors
    /// When the system reports that something could not be written.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(&self.directory).map_err(|errno| failed("sync", &EntryPath::ROOT, errno))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

fn failed(operation: &'static str, path: &EntryPath, errno: impl Into<io::Error>) -> Error {
    Error::Entry { operation, path: path.clone(), source: errno.into() }
}

fn file_from(fd: OwnedFd) -> File {
    File::from(fd)
}
