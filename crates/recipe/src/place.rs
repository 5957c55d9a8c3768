//! Where a root is built.
//!
//! In memory when it is small against what is free: file systems on disks take far longer to create and remove ten
//! thousand files, and what a killed build leaves in memory goes with it. Otherwise, or when the user chose a folder, in a
//! working folder on disk, which the next build reclaims if this one dies.

use std::path::{Path, PathBuf};

use cache::Scratch;
use sandbox::{IdMap, MemoryFolder};

use crate::Error;

/// A root may take this part of the free memory.
const SHARE: u64 = 4;

/// Empty folders for a root and for what is on its way into it. They go when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    staging: PathBuf,
    memory: Option<MemoryFolder>,
    scratch: Scratch,
}

impl Place {
    /// Makes a place for a root that takes about `needed` bytes: in `build_dir` if the user chose one, else wherever it is best.
    pub(crate) fn new(
        cache: &Path,
        build_dir: Option<&Path>,
        architecture: &str,
        needed: u64,
        ids: &IdMap,
    ) -> Result<Self, Error> {
        let folder = build_dir.map_or_else(|| cache.join("build"), Path::to_path_buf);
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let scratch = Scratch::new(&folder, architecture)?;
        let free = sandbox::available_memory().unwrap_or(0);
        let memory = if build_dir.is_none() && needed <= free / SHARE {
            // Where the kernel refuses, the disk will do.
            MemoryFolder::mount(scratch.path(), free / 2, ids).ok()
        } else {
            None
        };
        let (root, staging) = (scratch.path().join("root"), scratch.path().join("staging"));
        for folder in [&root, &staging] {
            std::fs::create_dir(folder).map_err(Error::io("create", folder))?;
        }
        Ok(Self { root, staging, memory, scratch })
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// An empty folder beside the root, on the same file system.
    pub(crate) fn staging(&self) -> &Path {
        &self.staging
    }

    /// Makes another empty folder beside the root, on the same file system.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.root.with_file_name(name);
        std::fs::create_dir(&folder).map_err(Error::io("create", &folder))?;
        Ok(folder)
    }

    /// Removes everything, and says whether that worked.
    pub(crate) fn close(self) -> Result<(), Error> {
        drop(self.memory);
        Ok(self.scratch.close()?)
    }
}
