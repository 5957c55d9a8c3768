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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_can_be_written_out() {
        let folder = tempfile::tempdir().unwrap();
        sync_tree(folder.path()).unwrap();
        let error = sync_tree(&folder.path().join("missing")).unwrap_err();
        assert!(error.to_string().ends_with("missing to the disk"), "{error}");
    }
}
