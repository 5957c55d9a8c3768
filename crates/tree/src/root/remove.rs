//! Removing and renaming.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::read::each_name;
use super::{Links, Root, failed};
use crate::{EntryPath, Result};

impl Root {
    /// Removes an entry that is no directory; `false` when there is none.
    ///
    /// # Errors
    /// [`crate::Error::Entry`], also when it is a directory.
    pub fn remove_file(&self, path: &EntryPath) -> Result<bool> {
        let found =
            self.remove_with(path, |parent, name| rustix::fs::unlinkat(parent, name, AtFlags::empty()))?;
        if self.links == Links::WithinRoot {
            self.parents.clear();
        }
        Ok(found)
    }

    /// Removes an empty directory; `false` when there is none.
    ///
    /// # Errors
    /// [`crate::Error::Entry`], also when it is not empty or no directory.
    pub fn remove_dir(&self, path: &EntryPath) -> Result<bool> {
        let found =
            self.remove_with(path, |parent, name| rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR));
        self.parents.clear();
        found
    }

    /// Removes an entry with everything beneath it; `false` when there is none. Of the root, only what is beneath it. No
    /// mount is crossed: a mount point is an error.
    ///
    /// # Errors
    /// [`crate::Error::Entry`]; what has been removed by then stays so.
    pub fn remove_all(&self, path: &EntryPath) -> Result<bool> {
        self.parents.clear();
        let result = if path.is_root() {
            self.empty_root().map(|()| true).map_err(|errno| failed("empty", path, errno))
        } else {
            self.remove_with(path, remove_tree)
        };
        self.parents.clear();
        result
    }

    /// Renames an entry, replacing what is at `to` as rename(2) does.
    ///
    /// # Errors
    /// [`crate::Error::Entry`].
    pub fn rename(&self, from: &EntryPath, to: &EntryPath) -> Result<()> {
        let (old, old_name) = self.locate_beneath("rename", from)?;
        let (new, new_name) = self.locate_beneath("rename to", to)?;
        let result = rustix::fs::renameat(old.fd(), old_name, new.fd(), new_name);
        self.parents.clear();
        result.map_err(|errno| failed("rename", from, errno))
    }

    /// Moves the entry at `path` of `other`, which is no directory, to the same path here, replacing what is there as
    /// rename(2) does. Both must be on one file system.
    ///
    /// # Errors
    /// [`crate::Error::Entry`].
    pub fn adopt(&self, path: &EntryPath, other: &Root) -> Result<()> {
        let (old, old_name) = other.locate_beneath("move", path)?;
        let (new, new_name) = self.locate_beneath("move", path)?;
        rustix::fs::renameat(old.fd(), old_name, new.fd(), new_name)
            .map_err(|errno| failed("move", path, errno))
    }

    fn remove_with(
        &self,
        path: &EntryPath,
        remove: impl FnOnce(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<()>,
    ) -> Result<bool> {
        let removed = match self.locate(path) {
            Ok(Some((parent, name))) => remove(parent.fd(), name),
            Ok(None) => Err(Errno::BUSY),
            Err(errno) => Err(errno),
        };
        match removed {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(failed("remove", path, errno)),
        }
    }

    fn empty_root(&self) -> rustix::io::Result<()> {
        let directory = self.open_directory(&EntryPath::ROOT)?;
        let mut names = Vec::new();
        each_name(directory.as_fd(), |name, _| names.push(name.to_vec()))?;
        names.iter().try_for_each(|name| remove_tree(directory.as_fd(), name))
    }
}

/// Removes `name` from `parent` with all that is beneath it.
///
/// However deep the tree, one descriptor is open: a directory is left through `..`, which is checked to lead back to where
/// it was entered from.
fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        result => return result,
    }
    let home = identity(parent)?;
    let mut way: Vec<(Vec<u8>, Identity)> = vec![(name.to_vec(), home)];
    let mut current = enter(parent, name)?;
    loop {
        let here = identity(current.as_fd())?;
        if let Some(child) = remove_entries(current.as_fd())? {
            current = enter(current.as_fd(), &child)?;
            way.push((child, here));
            continue;
        }
        let Some((name, above)) = way.pop() else { return Ok(()) };
        if way.is_empty() {
            return rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let up = rustix::fs::openat(&current, "..", flags, Mode::empty())?;
        if identity(up.as_fd())? != above {
            // Somebody moved the directory while we were in it.
            return Err(Errno::STALE);
        }
        current = up;
        rustix::fs::unlinkat(&current, &name, AtFlags::REMOVEDIR)?;
    }
}

/// Device and inode of a directory.
type Identity = (u64, u64);

fn identity(directory: BorrowedFd<'_>) -> rustix::io::Result<Identity> {
    let status = rustix::fs::fstat(directory)?;
    Ok((status.st_dev, status.st_ino))
}

/// Opens the directory `name` unless something is mounted on it, be it of the same file system; makes it accessible if it
/// belongs to us.
fn enter(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let open = |access| rustix::fs::openat2(parent, name, flags | access, Mode::empty(), resolve);
    let directory = match open(OFlags::RDONLY) {
        Err(Errno::ACCESS) => {
            let handle = open(OFlags::PATH)?;
            let path = super::xattr::handle_path(handle.as_fd());
            rustix::fs::chmodat(rustix::fs::CWD, path, Mode::RWXU, AtFlags::empty())?;
            open(OFlags::RDONLY)?
        }
        result => result?,
    };
    if rustix::fs::fstat(&directory)?.st_mode & 0o700 != 0o700 {
        // Without write and search permission an ordinary owner could not remove what is inside. If it cannot be changed
        // and is not root's to ignore, removing says so.
        let _ = rustix::fs::fchmod(&directory, Mode::RWXU);
    }
    Ok(directory)
}

/// Removes what is in a directory and no directory with contents; the name of one of those if there is any.
fn remove_entries(directory: BorrowedFd<'_>) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut names = Vec::new();
    each_name(directory, |name, file_type| names.push((name.to_vec(), file_type == FileType::Directory)))?;
    let mut full = None;
    for (name, is_directory) in names {
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match rustix::fs::unlinkat(directory, &name, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Not empty, or a directory although its type was not known.
            Err(Errno::NOTEMPTY | Errno::EXIST) => full = Some(name),
            Err(Errno::ISDIR) if !is_directory => full = Some(name),
            Err(Errno::ACCESS) if is_directory => full = Some(name),
            Err(errno) => return Err(errno),
        }
    }
    Ok(full)
}
