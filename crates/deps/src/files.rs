//! How installed files are written.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use tree::{EntryPath, Kind, Metadata, Root};

use crate::Error;
use crate::elf::{HEAD, Machine, machine};

/// A program or library among the installed files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// Where it is.
    pub path: EntryPath,
    /// What it runs on.
    pub machine: Machine,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// A file that was written.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
}

/// Writes files into a tree, all with one time, and keeps a list of the programs among them.
#[derive(Debug)]
pub struct Files<'r> {
    root: &'r Root,
    epoch: i64,
    programs: Vec<Program>,
}

impl<'r> Files<'r> {
    /// Files will be written into `root`, with the modification time `epoch`, in seconds.
    #[must_use]
    pub fn new(root: &'r Root, epoch: i64) -> Self {
        Self { root, epoch, programs: Vec::new() }
    }

    /// The programs that were written since this was asked last.
    pub fn take_programs(&mut self) -> Vec<Program> {
        std::mem::take(&mut self.programs)
    }

    /// Writes a file in the place of whatever is there, with the folders above it.
    pub(crate) fn write(
        &mut self,
        path: &EntryPath,
        mode: u32,
        contents: &mut dyn Read,
    ) -> Result<Written, Error> {
        self.clear(path)?;
        let mut seen = Seen { inner: contents, hasher: Sha256::new(), head: Vec::with_capacity(HEAD) };
        let size = self.root.write_file(path, &Metadata::new(mode, self.epoch), &mut seen)?;
        let sha256 = seen.hasher.finalize().into();
        if let Some(machine) = machine(&seen.head) {
            self.programs.retain(|program| program.path != *path);
            self.programs.push(Program { path: path.clone(), machine, sha256 });
        }
        Ok(Written { size, sha256 })
    }

    /// Writes a symbolic link likewise.
    pub(crate) fn link(&self, path: &EntryPath, target: &str) -> Result<(), Error> {
        self.clear(path)?;
        Ok(self.root.symlink(path, target.as_bytes(), &Metadata::new(0o777, self.epoch))?)
    }

    /// Gives a file that was written another mode; whether there is one.
    pub(crate) fn set_mode(&self, path: &EntryPath, mode: u32) -> Result<bool, Error> {
        let is_file = matches!(self.root.kind(path)?, Some(Kind::File { .. }));
        if is_file {
            self.root.set_metadata(path, &Metadata::new(mode, self.epoch))?;
        }
        Ok(is_file)
    }

    fn clear(&self, path: &EntryPath) -> Result<(), Error> {
        self.root.make_parents(path, &Metadata::new(0o755, self.epoch))?;
        self.root.remove_file(path)?;
        Ok(())
    }
}

/// Looks at what is read.
struct Seen<'a> {
    inner: &'a mut dyn Read,
    hasher: Sha256,
    head: Vec<u8>,
}

impl Read for Seen<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let read = &buffer[..count];
        self.hasher.update(read);
        let missing = HEAD.saturating_sub(self.head.len()).min(count);
        self.head.extend_from_slice(&read[..missing]);
        Ok(count)
    }
}
