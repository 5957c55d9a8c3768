//! The tree of an image into a tar.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tree::{EntryPath, Kind, PathError, tar};

use super::Flattened;
use crate::{Error, Result};

/// How the tree of an image is written.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    /// Whether a path is left out, and what is beneath it.
    pub leave_out: &'a dyn Fn(&EntryPath) -> bool,
    /// Whether `dev` is to be empty: device nodes break an ordinary user's `tar -xf`, and whoever runs a root filesystem
    /// puts a file system of its own there.
    pub empty_dev: bool,
    /// Times later than this, in seconds, become this, and all of them whole seconds. None keeps them as they are.
    pub latest: Option<i64>,
    /// Set from outside to stop.
    pub interrupted: &'a AtomicBool,
}

impl std::fmt::Debug for Shape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { empty_dev, latest, .. } = self;
        f.debug_struct("Shape").field("empty_dev", empty_dev).field("latest", latest).finish_non_exhaustive()
    }
}

/// What [`Flattened::write`] has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Entries.
    pub entries: u64,
    /// Bytes of contents of files.
    pub contents: u64,
}

impl Flattened {
    /// Writes all entries in path order, the root first. The same image gives the same bytes, however its layers are
    /// compressed and wherever it comes from. The writer is left open.
    ///
    /// # Errors
    /// [`Error::Tree`] when the tar cannot be written; [`Error::Io`] when the working file cannot be read;
    /// [`Error::Interrupted`].
    pub fn write<W: Write>(&mut self, tar: &mut tar::Writer<W>, shape: &Shape<'_>) -> Result<Written> {
        let leave_out = |path: &EntryPath| {
            let in_dev = shape.empty_dev && path.as_bytes().starts_with(b"dev/");
            in_dev || (shape.leave_out)(path)
        };
        let mut window = self.stack.store.window()?;
        let mut written = Written::default();
        self.stack.files.walk::<Error>(&leave_out, |mut step| {
            if shape.interrupted.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if let Some(latest) = shape.latest {
                step.entry.metadata.clamp_mtime(latest);
            }
            match step.entry.kind {
                Kind::File { size } => tar.append(&step.entry, &mut window.contents(step.offset, size))?,
                _ => tar.append(&step.entry, &mut io::empty())?,
            }
            written.entries += 1;
            written.contents += step.entry.kind.size();
            Ok(())
        })?;
        Ok(written)
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Self::Tree(tree::Error::Path(error))
    }
}
