//! `flock` on files that come and go: whoever holds the lock of the file *at that path* owns it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::store::CHOOSE;
use crate::{Error, Result};

/// Whether to wait for another owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Wait,
    Now,
}

/// Opens or creates `path` and locks it; `None` when another owner has it and `patience` is [`Patience::Now`].
///
/// Between opening and locking, the previous owner may have renamed or removed the file; then the lock is on a file
/// that no longer has this name and is worth nothing, so the path is opened again.
pub(crate) fn lock_file(path: &Path, patience: Patience) -> Result<Option<File>> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(|source| Error::io("open", path, CHOOSE, source))?;
        if !lock(&file, patience).map_err(|source| Error::io("lock", path, CHOOSE, source))? {
            return Ok(None);
        }
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

/// Locks an open file or folder exclusively; false when another owner has it.
pub(crate) fn lock(file: &File, patience: Patience) -> Result<bool, Errno> {
    let operation = match patience {
        Patience::Wait => FlockOperation::LockExclusive,
        Patience::Now => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::io::retry_on_intr(|| flock(file, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> Result<bool> {
    let open = file.metadata().map_err(|source| Error::io("inspect", path, CHOOSE, source))?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok(named.dev() == open.dev() && named.ino() == open.ino()),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::io("inspect", path, CHOOSE, source)),
    }
}
