//! A file that is made of a layout beside it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use cache::Scratch;

use crate::{Error, Layout, Result};

/// A layout in a folder beside the file that is to be made of it. Whatever happens to this program, the folder goes: at the
/// latest when the next file is made there.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    layout: Layout,
    scratch: Scratch,
}

impl Staging {
    /// An empty layout for the file at `path`.
    pub(super) fn beside(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let scratch = Scratch::new(folder, "image")?;
        let layout = Layout::create(&scratch.path().join("layout"))?;
        Ok(Self { path: path.to_owned(), layout, scratch })
    }

    /// Where the file will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The layout.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes the file by `write` and gives it its name when it is whole.
    pub(super) fn finish(self, write: impl FnOnce(&Layout, &mut dyn Write) -> Result<()>) -> Result<()> {
        let unfinished = self.scratch.path().join("file");
        let mut file = File::create(&unfinished).map_err(Error::io("create", &unfinished))?;
        write(&self.layout, &mut file)?;
        file.sync_all().map_err(Error::io("write", &unfinished))?;
        fs::rename(&unfinished, &self.path).map_err(Error::io("create", &self.path))?;
        Ok(self.scratch.close()?)
    }
}
