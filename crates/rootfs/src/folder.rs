//! Folders of a root that have to be there.

use tree::{EntryPath, Metadata, Root};

/// Makes `path` a directory of mode 0755 unless there is one.
pub(crate) fn ensure(root: &Root, path: &EntryPath) -> Result<(), tree::Error> {
    root.make_dir(path, &Metadata::new(0o755, 0)).map(drop)
}

/// Makes `path` and the directories above it.
pub(crate) fn ensure_all(root: &Root, path: &EntryPath) -> Result<(), tree::Error> {
    root.make_parents(path, &Metadata::new(0o755, 0))?;
    ensure(root, path)
}

/// Removes everything below `path`.
pub(crate) fn clear(root: &Root, path: &EntryPath) -> Result<(), tree::Error> {
    for name in root.list(path)? {
        root.remove_all(&path.join(&name)?)?;
    }
    Ok(())
}
