//! Finding, locking and making layers.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lock::{Access, LayerLock, StoreLock};
use crate::staging::{Staging, Trash};
use crate::store::{MOVING, Role, Store};
use crate::usage::Usage;
use crate::{Engine, Error, LayerName, Result, unpacked};

/// How often a layer that vanishes while it is waited for is looked for again.
const ATTEMPTS: usize = 100;

/// Where a layer is.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name.
    pub name: LayerName,
    /// The store that has it.
    pub store: Arc<Store>,
    /// Its folder, or its archive.
    pub path: PathBuf,
    /// Whether `path` is an archive, because the store's file system cannot keep the layer.
    pub archived: bool,
}

/// A layer and its lock.
#[derive(Debug)]
pub struct Locked {
    /// The layer.
    pub layer: Layer,
    /// Its lock, held until this is dropped.
    pub lock: LayerLock,
}

impl Locked {
    /// Whether it is this that `path` names now.
    fn is_at(&self, path: &Path) -> bool {
        self.layer.path == path && self.lock.is_at(path)
    }
}

impl Engine {
    /// The layer of that name, from the first store that has one.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`].
    pub fn locate(&self, name: &LayerName) -> Result<Layer> {
        self.find(name)?.ok_or_else(|| Error::UnknownLayer { name: name.clone() })
    }

    /// As [`Engine::locate`]; `None` when no store has it.
    ///
    /// # Errors
    /// When a store cannot be read.
    pub fn find(&self, name: &LayerName) -> Result<Option<Layer>> {
        for store in self.stores() {
            if let Some(layer) = find_in(store, name)? {
                return Ok(Some(layer));
            }
        }
        Ok(None)
    }

    /// Waits for the locks of layers, in the order of their names, and gives them in the order of `names`. A
    /// layer that is moved meanwhile is followed to its new store.
    ///
    /// # Errors
    /// [`Error::UnknownLayer`]; [`Error::Twice`].
    pub fn lock(&self, names: &[LayerName], access: Access) -> Result<Vec<Locked>> {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|&at| &names[at]);
        if let Some(pair) = order.windows(2).find(|pair| names[pair[0]] == names[pair[1]]) {
            return Err(Error::Twice { name: names[pair[0]].clone() });
        }
        let mut locked: Vec<(usize, Locked)> = Vec::with_capacity(names.len());
        for at in order {
            locked.push((at, self.lock_one(&names[at], access)?));
        }
        locked.sort_unstable_by_key(|(at, _)| *at);
        Ok(locked.into_iter().map(|(_, locked)| locked).collect())
    }

    fn lock_one(&self, name: &LayerName, access: Access) -> Result<Locked> {
        for _ in 0..ATTEMPTS {
            let layer = self.locate(name)?;
            if let Some(lock) = LayerLock::wait(&layer.path, access)? {
                return Ok(Locked { layer, lock });
            }
        }
        Err(Error::UnknownLayer { name: name.clone() })
    }

    /// Makes a fresh folder in the runtime store that can become a layer, dressed as the root of the rootfs is.
    /// It is removed when it is dropped before [`Engine::publish`].
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn stage(&self) -> Result<Staging> {
        let staging = Staging::new(self.runtime())?;
        self.dress_root(staging.path())?;
        Ok(staging)
    }

    /// Gives staged folders their names, all of them or none. What has a name already is replaced, in whichever of the
    /// stores that can be written it is: a copy left in the external store would come back with the end of the new one.
    ///
    /// Staged contents are made durable first.
    ///
    /// # Errors
    /// [`Error::Used`] when a layer to be replaced is in a live merge point; nothing has changed then.
    pub fn publish(&self, mut staged: Vec<(LayerName, Staging)>) -> Result<Vec<Locked>> {
        staged.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(pair) = staged.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::Twice { name: pair[0].0.clone() });
        }
        if let Some((_, staging)) = staged.first() {
            sync_tree(staging.path())?;
        }
        let names: Vec<LayerName> = staged.iter().map(|(name, _)| name.clone()).collect();
        let (gate, old) = self.lock_copies(&names)?;
        let usage = Usage::of(self, &gate)?;
        let mut replaced = Vec::with_capacity(staged.len());
        for (name, _) in &staged {
            let path = self.runtime().layer_path(name);
            usage.refuse("replace", name, &path)?;
            replaced.push(exists(&path)?);
        }
        for Locked { layer, .. } in &old {
            usage.refuse_layer("replace", layer)?;
        }
        let mut published: Vec<(Locked, Option<Trash>)> = Vec::new();
        for ((name, staging), replaces) in staged.into_iter().zip(replaced) {
            let path = self.runtime().layer_path(&name);
            let done = if replaces {
                staging.publish_over(&path, &gate).map(|(lock, trash)| (lock, Some(trash)))
            } else {
                staging.publish(&path, &gate).map(|lock| (lock, None))
            };
            let relocked = done.and_then(|(lock, trash)| Ok((relock(lock, &path)?, trash)));
            match relocked {
                Ok((lock, trash)) => {
                    let layer = Layer { name, store: Arc::clone(self.runtime()), path, archived: false };
                    published.push((Locked { layer, lock }, trash));
                }
                Err(error) => {
                    self.take_back(published, &gate);
                    return Err(error);
                }
            }
        }
        // Only now, so that there is a layer of each name at every moment.
        let outside = match take_outside(&old) {
            Ok(outside) => outside,
            Err(error) => {
                self.take_back(published, &gate);
                return Err(error);
            }
        };
        for name in &names {
            // A move that had begun is over.
            let _ = fs::remove_file(self.runtime().path(MOVING).join(name));
        }
        drop(gate);
        if !published.is_empty() {
            crate::record::sync_folder(&self.runtime().path(crate::store::LAYERS))?;
        }
        drop(outside);
        let _ = unpacked::sweep_orphans(self);
        Ok(published.into_iter().map(|(locked, _trash)| locked).collect())
    }

    /// Waits for who reads a layer of one of these names, which are sorted, in any store that can be written; then for
    /// the lock of the runtime store, under which no other copy can come.
    fn lock_copies(&self, names: &[LayerName]) -> Result<(StoreLock, Vec<Locked>)> {
        let stores = || self.stores().iter().filter(|store| store.writable("replace a layer").is_ok());
        loop {
            let mut locked = Vec::new();
            for name in names {
                // A layer goes from the first store to the next, never back.
                for store in stores() {
                    for layer in copies_in(store, name)? {
                        let lock = LayerLock::wait(&layer.path, Access::Exclusive)?;
                        locked.extend(lock.map(|lock| Locked { layer, lock }));
                    }
                }
            }
            let gate = self.runtime().lock()?;
            let mut there = Vec::new();
            for name in names {
                for store in stores() {
                    there.extend(copies_in(store, name)?);
                }
            }
            // What is locked and has gone since is no matter.
            if there.iter().all(|layer| locked.iter().any(|one| one.is_at(&layer.path))) {
                locked.retain(|one| there.iter().any(|layer| one.layer.path == layer.path));
                return Ok((gate, locked));
            }
        }
    }

    /// Undoes what was published before something failed.
    fn take_back(&self, published: Vec<(Locked, Option<Trash>)>, gate: &StoreLock) {
        for (locked, trash) in published {
            // Nothing more can be done about what fails here.
            let _ = match trash {
                Some(trash) => trash.put_back(&locked.layer.path),
                None => Trash::take(self.runtime(), &locked.layer.path, gate).map(drop),
            };
        }
    }

    /// Makes an empty layer in the runtime store.
    ///
    /// # Errors
    /// [`Error::Exists`] when any store has a layer of that name.
    pub fn create(&self, name: &LayerName) -> Result<()> {
        let store = self.runtime();
        store.writable("create a layer")?;
        store.folder(crate::store::LAYERS)?;
        let gate = store.lock()?;
        if self.find(name)?.is_some() {
            return Err(Error::Exists { name: name.clone() });
        }
        let staging = Staging::new_locked(store, &gate)?;
        self.dress_root(staging.path())?;
        // Whoever waits for it gets it at once: it is complete.
        staging.publish(&store.layer_path(name), &gate).map(drop).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Error::Exists { name: name.clone() }
            }
            error => error,
        })
    }

    /// Gives a folder that becomes a layer the mode and owner that `/` has: what the top layer says of it holds.
    fn dress_root(&self, folder: &Path) -> Result<()> {
        let root = fs::metadata(&self.config().rootfs);
        let (mode, uid, gid) = match &root {
            Ok(root) => (root.mode() & 0o7777, root.uid(), root.gid()),
            Err(_) => (0o755, 0, 0),
        };
        if root.is_ok() && rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder, Some(uid), Some(gid))
                .map_err(Error::io("give its owner to", folder))?;
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(mode))
            .map_err(Error::io("give its mode to", folder))
    }
}

/// The layer of that name in one store.
pub(crate) fn find_in(store: &Arc<Store>, name: &LayerName) -> Result<Option<Layer>> {
    Ok(copies_in(store, name)?.into_iter().next())
}

/// The layers of that name in one store: a folder, then an archive, of which there is one at most, unless a command
/// was killed that put one in the place of the other.
pub(crate) fn copies_in(store: &Arc<Store>, name: &LayerName) -> Result<Vec<Layer>> {
    let found = |path, archived| Layer { name: name.clone(), store: Arc::clone(store), path, archived };
    let path = store.layer_path(name);
    let mut copies = Vec::new();
    match fs::symlink_metadata(&path) {
        Ok(status) if status.is_dir() => copies.push(found(path, false)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("look at", &path)(error)),
    }
    if store.role() != Role::Runtime {
        let path = store.archive_path(name);
        copies.extend(path.is_file().then(|| found(path, true)));
    }
    Ok(copies)
}

/// Takes those layers out of their places that are in other stores than the runtime store, all of them or none.
fn take_outside(old: &[Locked]) -> Result<Vec<Trash>> {
    let mut taken: Vec<(Trash, &Path)> = Vec::new();
    for Locked { layer, .. } in old.iter().filter(|one| one.layer.store.role() != Role::Runtime) {
        let trash = layer.store.lock().and_then(|gate| Trash::take(&layer.store, &layer.path, &gate));
        match trash {
            Ok(trash) => taken.push((trash, &layer.path)),
            Err(error) => {
                for (trash, path) in taken {
                    // Nothing more can be done about what fails here.
                    let _ = trash.put_back(path);
                }
                return Err(error);
            }
        }
    }
    Ok(taken.into_iter().map(|(trash, _)| trash).collect())
}

fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}

/// The lock of what was just published; where the file system had none to give for a folder, an open folder does.
fn relock(lock: Option<LayerLock>, path: &Path) -> Result<LayerLock> {
    match lock {
        Some(lock) => Ok(lock),
        None => LayerLock::wait(path, Access::Exclusive)?
            .ok_or_else(|| Error::io("open", path)(io::Error::from(io::ErrorKind::NotFound))),
    }
}

/// Makes what was written beneath a folder durable.
pub(crate) fn sync_tree(folder: &Path) -> Result<()> {
    let file = fs::File::open(folder).map_err(Error::io("open", folder))?;
    rustix::fs::syncfs(&file).map_err(Error::io("sync", folder))
}
