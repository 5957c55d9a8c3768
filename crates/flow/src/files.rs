//! Where manifests are read from.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::yaml::MAX_SIZE;

/// A file system, as far as manifests need it.
pub trait Files {
    /// The contents of a file, cut after one byte more than a manifest may have.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Whether there is a file.
    fn is_file(&self, path: &Path) -> bool;
    /// Whether there is a folder.
    fn is_dir(&self, path: &Path) -> bool;
    /// The names of the folders in a folder, sorted; none when it cannot be read.
    fn folders(&self, path: &Path) -> Vec<String>;
    /// A path without links; the path itself where that cannot be found out.
    fn canonical(&self, path: &Path) -> PathBuf;
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn folders(&self, path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> =
            folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}
