//! What is being made, and what is being removed: folders that nobody takes for a layer.
//!
//! A layer is made in `tmp/` and gets its name in one rename; it is removed by one rename into `trash/`. Both kinds of
//! folder are locked while somebody is at work on them, so that what a killed process left can be told and removed.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use tree::{EntryPath, Links, Root};

use crate::lock::{LayerLock, StoreLock};
use crate::store::{STAGING, Store, TRASH};
use crate::{Error, Result, record};

/// A fresh folder in a store, removed when it is dropped before it was given a name.
#[derive(Debug)]
pub struct Staging {
    store: Arc<Store>,
    /// Empty once it has another name.
    path: PathBuf,
    /// Becomes the lock of the layer.
    lock: Option<LayerLock>,
}

impl Staging {
    /// Makes a folder in the store, mode 0700.
    pub(crate) fn new(store: &Arc<Store>) -> Result<Self> {
        // Until the new folder is locked it could be taken for one that a killed process left.
        let gate = store.lock()?;
        Self::new_locked(store, &gate)
    }

    /// As [`Staging::new`], by who has the lock of the store.
    pub(crate) fn new_locked(store: &Arc<Store>, _gate: &StoreLock) -> Result<Self> {
        let parent = store.folder(STAGING)?;
        let path = fresh_folder(&parent)?;
        let mut staging = Self { store: Arc::clone(store), path, lock: None };
        staging.lock = LayerLock::now(&staging.path);
        Ok(staging)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store that it is in.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Gives the folder its name, which must be free; the store is locked by the caller. What was the lock of the
    /// folder is the lock of the layer now.
    pub(crate) fn publish(mut self, target: &Path, _gate: &StoreLock) -> Result<Option<LayerLock>> {
        rename_new(&self.path, target)?;
        self.path.clear();
        Ok(self.lock.take())
    }

    /// Exchanges the folder with what has the name, in one step where the file system can; what had the name is in the
    /// trash then.
    pub(crate) fn publish_over(
        mut self,
        target: &Path,
        gate: &StoreLock,
    ) -> Result<(Option<LayerLock>, Trash)> {
        let mut trash = Trash::place(&self.store, gate)?;
        match rustix::fs::renameat_with(CWD, &self.path, CWD, target, RenameFlags::EXCHANGE) {
            Ok(()) => {
                // The old content is in the staging folder now, which does as well.
                trash.path.clone_from(&self.path);
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::rename(target, &trash.path).map_err(Error::io("remove", target))?;
                if let Err(error) = fs::rename(&self.path, target) {
                    let _ = fs::rename(&trash.path, target);
                    return Err(Error::io("create", target)(error));
                }
            }
            Err(errno) => return Err(Error::io("replace", target)(errno)),
        }
        self.path.clear();
        trash.full = true;
        Ok((self.lock.take(), trash))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What cannot be removed now is removed by a later command.
            let _ = remove_tree(&self.path);
        }
    }
}

/// A place in the trash for one thing; what is in it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Trash {
    path: PathBuf,
    full: bool,
}

impl Trash {
    fn place(store: &Store, _gate: &StoreLock) -> Result<Self> {
        let parent = store.folder(TRASH)?;
        Ok(Self { path: parent.join(record::random_name()), full: false })
    }

    /// Takes what is at `path` out of its place, in one step. The store is locked by the caller; removing takes its
    /// time, and is done when the value is dropped.
    pub(crate) fn take(store: &Store, path: &Path, gate: &StoreLock) -> Result<Self> {
        let mut trash = Self::place(store, gate)?;
        fs::rename(path, &trash.path).map_err(Error::io("remove", path))?;
        trash.full = true;
        Ok(trash)
    }
}

impl Trash {
    /// Exchanges what was taken with what has its old place now.
    pub(crate) fn put_back(self, path: &Path) -> Result<()> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, path, RenameFlags::EXCHANGE) {
            // What was published is in the trash now, and goes with it.
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                remove_tree(path)?;
                let mut trash = self;
                trash.full = false;
                fs::rename(&trash.path, path).map_err(Error::io("restore", path))
            }
            Err(errno) => {
                let mut trash = self;
                trash.full = false;
                Err(Error::io("restore", path)(errno))
            }
        }
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        if self.full {
            let _ = remove_tree(&self.path);
        }
    }
}

/// Removes what killed processes left in a store: unfinished and half-removed things that nobody has locked. Gives the
/// number of those that are gone. The store must not be locked by the caller.
pub(crate) fn sweep(store: &Store) -> Result<usize> {
    let mut dead = Vec::new();
    for folder in [STAGING, TRASH] {
        let parent = store.path(folder);
        let names = names(&parent)?;
        if names.is_empty() {
            continue;
        }
        // Nobody makes one meanwhile that is not locked yet.
        let _gate = store.lock()?;
        for name in names {
            let path = parent.join(name);
            dead.extend(LayerLock::now(&path).map(|lock| (path, lock)));
        }
    }
    Ok(dead.into_iter().filter(|(path, _lock)| remove_tree(path).is_ok()).count())
}

/// The names in a folder, which may be missing.
pub(crate) fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.file_name()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", folder)(error)),
    }
}

/// Removes a folder or file whatever is in it, without following links or crossing mounts.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let root = Root::open(parent, Links::Refuse).map_err(Error::tree("remove", path))?;
    let name = EntryPath::parse(name.as_bytes())
        .map_err(|error| Error::tree("remove", path)(tree::Error::from(error)))?;
    root.remove_all(&name).map_err(Error::tree("remove", path)).map(|_| ())
}

/// Renames to a name that is free.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            // Without help from the file system: the lock of the store keeps others away meanwhile.
            if to.symlink_metadata().is_ok() {
                return Err(Error::io("create", to)(Errno::EXIST));
            }
            fs::rename(from, to).map_err(Error::io("create", to))
        }
        result => result.map_err(Error::io("create", to)),
    }
}

/// Makes a folder of mode 0700 with a name that nobody else thinks of.
pub(crate) fn fresh_folder(parent: &Path) -> Result<PathBuf> {
    loop {
        let path = parent.join(record::random_name());
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create a folder in", parent)(error)),
        }
    }
}
