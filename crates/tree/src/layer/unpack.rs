//! A layer onto disk, created by several threads.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::mem::take;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::Marks;
use super::create::{Batch, Item, Large, Shared};
use super::feed::{ended_early, spawn};
use crate::root::{belongs_to_tree, fill};
use crate::tar::Segment;
use crate::{Entry, EntryPath, Error, Kind, Metadata, Result, Root};

/// How much is gathered for one thread at a time, in bytes; a larger file is cut into pieces of this size.
const BATCH: usize = 256 * 1024;

/// How many entries are gathered at most.
const ENTRIES: usize = 64;

/// Creates a layer in `root`, which should be empty, from what `feed` gives to the [`Unpacker`].
///
/// Hard links are made after all files, and directories get their metadata last, so when this returns well everything is as
/// its entries say. When it does not, what has been created stays, for the caller to remove. The error type is the caller's.
///
/// # Errors
/// The first error of a thread, else what `feed` returns.
pub fn unpack_layer<T, E: From<Error>>(
    root: &Root,
    marks: Marks,
    threads: usize,
    feed: impl FnOnce(&mut Unpacker<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let threads = threads.max(1);
    let shared = Shared::new(root);
    let fed = std::thread::scope(|scope| -> Result<_, E> {
        let (jobs, queue) = sync_channel(2 * threads);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (queue, shared) = (Arc::clone(&queue), &shared);
            spawn(scope, move || shared.work(&queue))?;
        }
        let mut unpacker = Unpacker {
            shared: &shared,
            marks,
            jobs,
            batch: Batch::default(),
            directories: HashMap::new(),
            links: Vec::new(),
            with_whiteouts: HashSet::new(),
            parent: EntryPath::ROOT,
            repeated_directories: false,
        };
        let value = feed(&mut unpacker)?;
        unpacker.hand_over()?;
        Ok((value, unpacker.directories, unpacker.links))
    });
    // The threads have ended. What failed in one of them is also why no more was wanted.
    if let Some(error) = shared.take_error() {
        return Err(error.into());
    }
    let (value, directories, links) = fed?;
    complete(root, directories, &links)?;
    Ok(value)
}

/// Takes the entries of a layer; see [`unpack_layer`].
#[derive(Debug)]
pub struct Unpacker<'a> {
    shared: &'a Shared<'a>,
    marks: Marks,
    jobs: SyncSender<Batch>,
    batch: Batch,
    directories: HashMap<EntryPath, Directory>,
    links: Vec<(EntryPath, EntryPath)>,
    /// Directories that are marked as having whiteouts.
    with_whiteouts: HashSet<EntryPath>,
    /// A directory that is there.
    parent: EntryPath,
    repeated_directories: bool,
}

#[derive(Debug)]
struct Directory {
    metadata: Metadata,
    /// There was an entry for it, not only for something beneath it.
    named: bool,
}

impl Unpacker<'_> {
    /// From here on the last entry of a directory holds, as in layers that other programs put together of several tars.
    pub fn allow_repeated_directories(&mut self) {
        self.repeated_directories = true;
    }

    /// Adds an entry. `contents` gives the bytes of a file, and is not read for anything else; of a sparse file it gives
    /// those of its `segments`, one after the other.
    ///
    /// Directories that no entry names are made with mode 0755. A character device 0:0 is taken for the whiteout that
    /// overlayfs would see in it. Of the extended attributes, those that belong to a tree are kept: `user.…`, capabilities
    /// and access lists; what looks like a mark of overlayfs is escaped and so remains contents.
    ///
    /// # Errors
    /// [`Error::Twice`] for directories unless that is allowed; others are found later, by a thread. [`Error::SizeMismatch`],
    /// [`Error::Contents`].
    pub fn add(
        &mut self,
        mut entry: Entry,
        segments: Option<&[Segment]>,
        contents: &mut dyn Read,
    ) -> Result<()> {
        entry.metadata.xattrs.retain(|name, _| belongs_to_tree(name) || name.starts_with(b"user."));
        self.marks.escape(&mut entry.metadata.xattrs);
        self.make_parents(&entry.path)?;
        match entry.kind {
            Kind::Directory => return self.directory(entry.path, entry.metadata, true),
            Kind::HardLink { target } => {
                self.links.push((entry.path, target));
                return Ok(());
            }
            Kind::File { size } => match (segments, usize::try_from(size)) {
                (None, Ok(length @ ..=BATCH)) => {
                    self.read(&entry.path, length, contents)?;
                    self.batch.items.push(Item::File { entry, length });
                }
                _ => return self.large(entry, size, segments, contents),
            },
            Kind::CharDevice { major: 0, minor: 0 } => return self.whiteout(entry.path),
            _ => self.batch.items.push(Item::Other(entry)),
        }
        self.hand_over_if_full()
    }

    /// Adds a whiteout.
    ///
    /// # Errors
    /// As [`Unpacker::add`].
    pub fn whiteout(&mut self, path: EntryPath) -> Result<()> {
        self.make_parents(&path)?;
        if let Some(parent) = path.parent()
            && self.with_whiteouts.insert(parent.clone())
        {
            self.shared.root.mark_directory(&parent, self.marks.origin(), b"")?;
        }
        self.batch.items.push(Item::Whiteout(path));
        self.hand_over_if_full()
    }

    /// Makes a directory opaque, be it added already or later.
    ///
    /// # Errors
    /// [`Error::Entry`], also when it is something else than a directory.
    pub fn opaque(&mut self, path: &EntryPath) -> Result<()> {
        self.make_parents(path)?;
        if !path.is_root() && !self.directories.contains_key(path) {
            self.directory(path.clone(), Metadata::new(0o755, 0), false)?;
        }
        self.shared.root.mark_directory(path, self.marks.opaque(), b"y")
    }

    fn directory(&mut self, path: EntryPath, metadata: Metadata, named: bool) -> Result<()> {
        match self.directories.get_mut(&path) {
            Some(known) if known.named && !self.repeated_directories => return Err(Error::Twice { path }),
            Some(known) => {
                *known = Directory { metadata, named };
                return Ok(());
            }
            None => {}
        }
        if !path.is_root() {
            // Open to us until everything is in it.
            self.shared.root.make_dir(&path, &Metadata::new(0o700, 0))?;
        }
        self.directories.insert(path, Directory { metadata, named });
        Ok(())
    }

    fn make_parents(&mut self, path: &EntryPath) -> Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if parent == self.parent || parent.is_root() || self.directories.contains_key(&parent) {
            self.parent = parent;
            return Ok(());
        }
        self.make_parents(&parent)?;
        self.directory(parent, Metadata::new(0o755, 0), false)
    }

    /// A file that is written piece by piece; whoever is done last with it gives it its metadata.
    fn large(
        &mut self,
        entry: Entry,
        size: u64,
        segments: Option<&[Segment]>,
        contents: &mut dyn Read,
    ) -> Result<()> {
        let unfinished = self.shared.root.begin_file(&entry.path, size)?;
        let large = Arc::new(Large { unfinished, path: entry.path, metadata: entry.metadata });
        let whole = [Segment { offset: 0, length: size }];
        for segment in segments.unwrap_or(&whole) {
            let mut offset = segment.offset;
            let end = offset.saturating_add(segment.length).min(size);
            while offset < end {
                // At most the size of a batch.
                let length = (end - offset).min(BATCH as u64) as usize;
                self.read(&large.path, length, contents)?;
                self.batch.items.push(Item::Piece { large: Arc::clone(&large), offset, length });
                offset += length as u64;
                self.hand_over_if_full()?;
            }
        }
        self.shared.release(large)
    }

    /// Reads contents into the batch.
    fn read(&mut self, path: &EntryPath, length: usize, contents: &mut dyn Read) -> Result<()> {
        let got = fill(self.batch.buffer.room(length), contents)
            .map_err(|source| Error::Contents { path: path.clone(), source })?;
        if got < length {
            return Err(Error::SizeMismatch {
                path: path.clone(),
                expected: length as u64,
                found: got as u64,
            });
        }
        self.batch.buffer.advance(length);
        Ok(())
    }

    fn hand_over_if_full(&mut self) -> Result<()> {
        if self.batch.buffer.bytes().len() >= BATCH || self.batch.items.len() >= ENTRIES {
            return self.hand_over();
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.shared.has_failed() {
            return Err(ended_early());
        }
        let next = self.shared.empty_batch();
        self.jobs.send(std::mem::replace(&mut self.batch, next)).map_err(|_| ended_early())
    }
}

/// What can only be done when all files are there.
fn complete(
    root: &Root,
    mut directories: HashMap<EntryPath, Directory>,
    links: &[(EntryPath, EntryPath)],
) -> Result<()> {
    for (path, target) in links {
        root.hard_link(path, target).map_err(|error| twice(error, path))?;
    }
    let mut directories: Vec<_> = take(&mut directories).into_iter().collect();
    // What is inside comes first, for it may not be reached any more afterwards.
    directories.sort_unstable_by(|a, b| b.0.cmp(&a.0));
    directories.iter().try_for_each(|(path, directory)| root.set_metadata(path, &directory.metadata))
}

/// A name that is taken was taken by the same archive.
pub(super) fn twice(error: Error, path: &EntryPath) -> Error {
    match error.io_kind() {
        Some(std::io::ErrorKind::AlreadyExists) => Error::Twice { path: path.clone() },
        _ => error,
    }
}
