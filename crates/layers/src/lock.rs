//! Locks: one of a store, held for a moment, and one of each layer, held while its content is read or written.
//!
//! Who needs both takes those of layers first, in the order of their names, then that of the store. The kernel
//! lets go of a lock when its owner dies.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::{Error, Result};

/// How a layer is going to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read: others may read too.
    Shared,
    /// Changed, moved or removed: nobody else may do anything.
    Exclusive,
}

/// The lock of a store. Keep it for a few system calls only, never while contents are copied or a command runs.
#[derive(Debug)]
pub struct StoreLock {
    file: Option<File>,
}

impl StoreLock {
    /// Waits for the lock file at `path`. In a store that cannot be written there is nothing to be locked against.
    pub(crate) fn wait(path: &Path) -> Result<Self> {
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
                return Ok(Self { file: None });
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        take(file.as_fd(), FlockOperation::LockExclusive).map_err(Error::io("lock", path))?;
        Ok(Self { file: Some(file) })
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // A child that was forked meanwhile may have the descriptor too: closing ours would not let go.
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

/// The lock of a layer: its own folder (or archive), open and locked.
#[derive(Debug)]
pub struct LayerLock {
    file: File,
}

impl LayerLock {
    /// The open folder of the layer.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether `path` still names what is locked.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        is_at(&self.file, path).unwrap_or(false)
    }

    /// Waits for the lock of what is at `path`, a folder or a file; `None` when there is nothing.
    pub(crate) fn wait(path: &Path, access: Access) -> Result<Option<Self>> {
        let operation = match access {
            Access::Shared => FlockOperation::LockShared,
            Access::Exclusive => FlockOperation::LockExclusive,
        };
        loop {
            let Some(file) = open(path)? else { return Ok(None) };
            match take(file.as_fd(), operation) {
                Ok(()) => {}
                // NFS has no locks for folders. The lock of the store, a file, is what is left.
                Err(Errno::BADF | Errno::OPNOTSUPP | Errno::NOLCK | Errno::INVAL | Errno::NOSYS) => {}
                Err(errno) => return Err(Error::io("lock", path)(errno)),
            }
            if is_at(&file, path)? {
                return Ok(Some(Self { file }));
            }
        }
    }

    /// Locks what is at `path` exclusively if nobody else has it.
    pub(crate) fn now(path: &Path) -> Option<Self> {
        let file = open(path).ok()??;
        take(file.as_fd(), FlockOperation::NonBlockingLockExclusive).ok()?;
        is_at(&file, path).ok()?.then_some(Self { file })
    }
}

impl AsFd for LayerLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn take(fd: BorrowedFd<'_>, operation: FlockOperation) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| flock(fd, operation))
}

/// Opens a folder or a file without following a link, waiting for a pipe, or creating anything.
fn open(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd.into())),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::io("open", path)(errno)),
    }
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> Result<bool> {
    let open = file.metadata().map_err(Error::io("look at", path))?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(named.dev() == open.dev() && named.ino() == open.ino()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, RenameFlags};

    use super::*;

    #[test]
    fn readers_share_a_layer_and_writers_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let layer = folder.path().join("l");
        std::fs::create_dir(&layer).unwrap();
        let one = LayerLock::wait(&layer, Access::Shared).unwrap();
        let two = LayerLock::wait(&layer, Access::Shared).unwrap();
        assert!(LayerLock::now(&layer).is_none());
        drop((one, two));
        let alone = LayerLock::now(&layer);
        assert!(alone.is_some() && LayerLock::now(&layer).is_none());
        assert!(LayerLock::wait(&folder.path().join("none"), Access::Shared).unwrap().is_none());
    }

    #[test]
    fn who_waited_for_a_layer_that_was_replaced_gets_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (layer, new) = (folder.path().join("l"), folder.path().join("new"));
        std::fs::create_dir(&layer).unwrap();
        std::fs::create_dir(&new).unwrap();
        let held = LayerLock::wait(&layer, Access::Exclusive).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| LayerLock::wait(&layer, Access::Exclusive).unwrap().unwrap());
            // In one step, as the store does it: there is always something of that name.
            rustix::fs::renameat_with(CWD, &layer, CWD, &new, RenameFlags::EXCHANGE).unwrap();
            drop(held);
            let got = waiter.join().unwrap();
            assert!(is_at(got.file(), &layer).unwrap());
        });
    }
}
