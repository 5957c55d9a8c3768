//! Working folders that are gone when their owner is, even an owner that was killed.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file_lock::{Patience, lock};
use crate::{Error, Result, remove_tree};

/// The setting that moves working folders.
pub(crate) const CHOOSE: &str = "`--build-dir`";

/// What the names of all working folders begin with: nothing else is ever reclaimed.
const PREFIX: &str = ".ovmlayer-scratch-";

/// A fresh folder, mode 0700, held by `flock` and removed when dropped.
///
/// Its contents may belong to subordinate ids; create, close and drop it as root of the user namespace that maps them.
#[derive(Debug)]
pub struct Scratch {
    /// Empty once it is removed.
    path: Option<PathBuf>,
    /// Open for its lock: when the process dies, however it dies, the kernel lets go of it. A child that outlives
    /// its parent does not inherit it (it is closed on exec), so children must not outlive the build.
    _lock: File,
}

impl Scratch {
    /// Makes a folder in `parent`, which exists. `label` becomes part of its name.
    ///
    /// Folders in `parent` whose owners died are removed first.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`]. What cannot be reclaimed does not stop a new folder from being made.
    pub fn new(parent: &Path, label: &str) -> Result<Self> {
        let (scratch, dead) = Self::make(parent, label)?;
        for (path, _lock) in dead {
            // One that needs another user namespace, or holds a mount, is left for a caller who can.
            let _ = remove_tree(&path);
        }
        Ok(scratch)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Removes the folder and says whether that worked, which dropping it cannot.
    ///
    /// # Errors
    /// As [`remove_tree`].
    pub fn close(mut self) -> Result<()> {
        self.path.take().map_or(Ok(()), |path| remove_tree(&path))
    }

    /// The new folder, and those of dead owners, locked. `parent` is locked meanwhile: without that, another
    /// process could take a folder between its making and its locking for a dead one.
    fn make(parent: &Path, label: &str) -> Result<(Self, Vec<(PathBuf, File)>)> {
        let gate = File::open(parent).map_err(|source| Error::io("open", parent, CHOOSE, source))?;
        lock(&gate, Patience::Wait).map_err(|source| Error::io("lock", parent, CHOOSE, source))?;
        let dead = dead_folders(parent)?;
        let path = fresh_folder(parent, label)?;
        let file = File::open(&path).map_err(|source| Error::io("open", &path, CHOOSE, source))?;
        lock(&file, Patience::Wait).map_err(|source| Error::io("lock", &path, CHOOSE, source))?;
        Ok((Self { path: Some(path), _lock: file }, dead))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // The lock is still held; what remains is reclaimed by the next build.
            let _ = remove_tree(&path);
        }
    }
}

fn dead_folders(parent: &Path) -> Result<Vec<(PathBuf, File)>> {
    let entries = std::fs::read_dir(parent).map_err(|source| Error::io("read", parent, CHOOSE, source))?;
    let ours = entries.flatten().filter(|entry| {
        entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
    });
    let lockable = ours.filter_map(|entry| {
        let file = File::open(entry.path()).ok()?;
        (lock(&file, Patience::Now) == Ok(true)).then(|| (entry.path(), file))
    });
    Ok(lockable.collect())
}

fn fresh_folder(parent: &Path, label: &str) -> Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let label: String = label
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .take(64)
        .collect();
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{label}-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(taken) if taken.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Error::io("create the folder", &path, CHOOSE, source)),
        }
    }
}
