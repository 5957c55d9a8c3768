//! The threads that create files.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use super::feed::Buffer;
use super::unpack::twice;
use crate::root::Unfinished;
use crate::{Entry, EntryPath, Error, Kind, Metadata, Result, Root};

/// Entries with their contents behind one another.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    pub(super) buffer: Buffer,
}

/// Something to create.
#[derive(Debug)]
pub(super) enum Item {
    /// A file, with the next `length` bytes as its contents.
    File { entry: Entry, length: usize },
    /// The next `length` bytes are a part of a file.
    Piece { large: Arc<Large>, offset: u64, length: usize },
    /// A whiteout.
    Whiteout(EntryPath),
    /// A symbolic link, named pipe or device.
    Other(Entry),
}

/// A file that is written in pieces.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) unfinished: Unfinished,
    pub(super) path: EntryPath,
    pub(super) metadata: Metadata,
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) root: &'a Root,
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
    spare: Mutex<Vec<Batch>>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(root: &'a Root) -> Shared<'a> {
        Shared { root, failed: AtomicBool::new(false), error: Mutex::new(None), spare: Mutex::default() }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn take_error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A batch that was used before, if there is one.
    pub(super) fn empty_batch(&self) -> Batch {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Creates what comes through the queue until its other end is closed.
    pub(super) fn work(&self, queue: &Mutex<Receiver<Batch>>) {
        loop {
            let batch = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut batch) = batch else { return };
            // After a failure the queue is only emptied.
            if !self.has_failed()
                && let Err(error) = self.create(&mut batch)
            {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                self.failed.store(true, Ordering::Relaxed);
            }
            batch.items.clear();
            batch.buffer.clear();
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
        }
    }

    fn create(&self, batch: &mut Batch) -> Result<()> {
        let mut rest = batch.buffer.bytes();
        for item in batch.items.drain(..) {
            match item {
                Item::File { entry, length } => {
                    let contents = rest.split_off(..length).unwrap_or_default();
                    self.root
                        .write_bytes(&entry.path, &entry.metadata, contents)
                        .map_err(|error| twice(error, &entry.path))?;
                }
                Item::Piece { large, offset, length } => {
                    let contents = rest.split_off(..length).unwrap_or_default();
                    large.write(offset, contents)?;
                    self.release(large)?;
                }
                Item::Whiteout(path) => {
                    self.root.make_whiteout(&path).map_err(|error| twice(error, &path))?;
                }
                Item::Other(entry) => self.other(&entry).map_err(|error| twice(error, &entry.path))?,
            }
        }
        Ok(())
    }

    fn other(&self, entry: &Entry) -> Result<()> {
        let Entry { path, kind, metadata } = entry;
        match kind {
            Kind::Symlink { target } => self.root.symlink(path, target, metadata),
            Kind::Fifo => self.root.make_fifo(path, metadata),
            _ => self.root.make_device(path, kind, metadata),
        }
    }

    /// Lets go of a file; the last one to do so completes it.
    pub(super) fn release(&self, large: Arc<Large>) -> Result<()> {
        match Arc::into_inner(large) {
            Some(large) => self.root.finish_file(&large.unfinished, &large.path, &large.metadata),
            None => Ok(()),
        }
    }
}

impl Large {
    fn write(&self, mut offset: u64, mut contents: &[u8]) -> Result<()> {
        while !contents.is_empty() {
            match rustix::io::pwrite(self.unfinished.file.as_fd(), contents, offset) {
                Ok(written) => {
                    contents = &contents[written..];
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    let path = self.path.clone();
                    return Err(Error::Entry { operation: "write", path, source: errno.into() });
                }
            }
        }
        Ok(())
    }
}
