use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::Error;

/// Writes everything of the file system that holds `path` to the disk: once, for all that a sandbox with
/// [`crate::Sandbox::deferred_fsync`] left undone.
pub fn sync_tree(path: &Path) -> Result<(), Error> {
    let doing = || format!("write {} to the disk", path.display());
    let directory =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::system(doing()))?;
    rustix::fs::syncfs(directory).map_err(Error::system(doing()))
}
