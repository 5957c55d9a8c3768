//! A content of a layout whose digest is known only when all of it is written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Descriptor, Error, Layout, Result};

/// A file among the contents of a layout, under a name that nobody takes for one; removed when dropped.
#[derive(Debug)]
pub(super) struct NewBlob {
    /// Empty once it has its final name.
    path: PathBuf,
    file: File,
}

impl NewBlob {
    /// A new, empty one.
    pub(super) fn create(layout: &Layout) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = blobs(layout);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".new.{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                // Of a program that had our number before us and was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
    }

    /// To be written to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where it is now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, now that it is known what it is.
    pub(super) fn store(mut self, layout: &Layout, blob: &Descriptor) -> Result<()> {
        self.file.sync_data().map_err(Error::io("write", &self.path))?;
        let path = blobs(layout).join(blob.digest.to_string());
        fs::rename(&self.path, &path).map_err(Error::io("create", &path))?;
        self.path.clear();
        Ok(())
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Nothing can be done about one that does not go away.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn blobs(layout: &Layout) -> PathBuf {
    layout.path().join("blobs/sha256")
}
