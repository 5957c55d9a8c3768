//! Folders of a root that have to be there.

use tree::{EntryPath, Metadata, Root};

/// Makes `path` a directory of mode 0755, of the time `epoch`, unless there is one.
pub(crate) fn ensure(root: &Root, path: &EntryPath, epoch: i64) -> Result<(), tree::Error> {
    root.make_dir(path, &Metadata::new(0o755, epoch)).map(drop)
}

/// Makes `path` and the directories above it.
pub(crate) fn ensure_all(root: &Root, path: &EntryPath, epoch: i64) -> Result<(), tree::Error> {
    root.make_parents(path, &Metadata::new(0o755, epoch))?;
    ensure(root, path, epoch)
}

/// Removes everything below `path`.
pub(crate) fn clear(root: &Root, path: &EntryPath) -> Result<(), tree::Error> {
    for name in root.list(path)? {
        root.remove_all(&path.join(&name)?)?;
    }
    Ok(())
}
