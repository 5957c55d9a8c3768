//! What this machine can do.

use std::path::{Path, PathBuf};

pub use sandbox::probe::{Check, State};

use crate::Error;

/// Tries what a build needs, without changing anything: namespaces, ids, mounts, emulators, room in `cache_dir` (or the
/// user's own cache) and in the current folder.
///
/// # Errors
/// [`Error::Cache`] when the user has no place for a cache.
pub fn checks(cache_dir: Option<&Path>) -> Result<Vec<Check>, Error> {
    let cache = match cache_dir {
        Some(path) => path.to_owned(),
        None => cache::Cache::default_path()?,
    };
    Ok(sandbox::probe::checks(&[&existing(&cache), Path::new(".")]))
}

/// `path`, or the nearest folder above it that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("/")).to_owned()
}
