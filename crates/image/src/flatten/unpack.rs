//! The tree of an image into a folder.

use std::sync::atomic::{AtomicBool, Ordering};

use tree::{EntryPath, Kind, Root};

use super::Flattened;
use crate::{Error, Result};

impl Flattened {
    /// Creates all entries in `root`, an empty folder, but for those of `dev`: whoever runs programs in a root puts a file
    /// system of its own there, and an ordinary user cannot make device nodes.
    ///
    /// # Errors
    /// [`Error::Tree`] when an entry cannot be created; [`Error::Io`] when the working file cannot be read;
    /// [`Error::Interrupted`].
    pub fn unpack(&mut self, root: &Root, interrupted: &AtomicBool) -> Result<()> {
        let in_dev = |path: &EntryPath| path.as_bytes().starts_with(b"dev/");
        let mut window = self.stack.store.window()?;
        let mut directories = Vec::new();
        self.stack.files.walk::<Error>(&in_dev, |step| {
            if interrupted.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let tree::Entry { path, kind, metadata } = &step.entry;
            match kind {
                Kind::Directory => {
                    root.make_dir(path, metadata)?;
                    directories.push((path.clone(), metadata.clone()));
                }
                Kind::File { size } => {
                    root.write_file(path, metadata, &mut window.contents(step.offset, *size))?;
                }
                Kind::HardLink { target } => root.hard_link(path, target)?,
                Kind::Symlink { target } => root.symlink(path, target, metadata)?,
                Kind::Fifo => root.make_fifo(path, metadata)?,
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                    root.make_device(path, kind, metadata)?;
                }
            }
            Ok(())
        })?;
        // Whatever was created in them changed their times.
        for (path, metadata) in directories.iter().rev() {
            root.set_metadata(path, metadata)?;
        }
        Ok(())
    }
}
