//! Removing layers.

use std::fs;
use std::sync::Arc;

use crate::layer::find_in;
use crate::lock::{Access, LayerLock};
use crate::staging::{self, Trash, TrashFolder};
use crate::store::{MOVING, Role, Store};
use crate::{Engine, Error, Layer, LayerName, Result, unpacked};

/// What became of a request to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The layer is gone.
    Gone,
    /// There was none.
    Missing,
}

/// How many layers are locked at once: each lock takes a descriptor, of which a process usually has 1024.
const BATCH: usize = 256;

impl Engine {
    /// Removes the layer from every store that has it; one that does not exist is no error.
    ///
    /// # Errors
    /// [`Error::Used`] when a live merge point has it; [`Error::ReadOnly`].
    pub fn delete(&self, name: &LayerName) -> Result<Deleted> {
        self.refuse_used(name)?;
        let mut deleted = Deleted::Missing;
        let (fixed, writable): (Vec<_>, Vec<_>) =
            self.stores().iter().partition(|store| store.role() == Role::ReadOnly);
        // The one that is found first goes last: another one must not come to light under its name meanwhile.
        for store in writable.into_iter().rev().chain(fixed) {
            if self.delete_from(store, name)? == Deleted::Gone {
                deleted = Deleted::Gone;
            }
        }
        self.sweep();
        Ok(deleted)
    }

    /// Unmounts all merge points of the runtime store, also those of other containers on the same volume, and removes all
    /// its layers; gives their names. Layers of other stores, which others may share, stay.
    ///
    /// # Errors
    /// [`Error::Elsewhere`] when a merge point cannot be unmounted from here;
    /// [`Error::Used`] when something else has a layer mounted: the others are gone then.
    pub fn delete_all(&self) -> Result<Vec<LayerName>> {
        for point in self.merge_points()? {
            self.unmerge(&point.name)?;
        }
        let mut names = self.runtime().layer_names()?;
        names.sort_unstable();
        let mut deleted = Vec::with_capacity(names.len());
        let mut refused = None;
        for batch in names.chunks(BATCH) {
            let used = self.delete_batch(batch, &mut deleted)?;
            refused = refused.or(used);
        }
        self.sweep();
        // The runtime store is to be empty.
        let _ = unpacked::sweep(self);
        refused.map_or(Ok(deleted), Err)
    }

    /// Removes layers of the runtime store, whose names are sorted, with one look at what is used. Those that are used
    /// stay; gives the error of the first.
    fn delete_batch(&self, names: &[LayerName], deleted: &mut Vec<LayerName>) -> Result<Option<Error>> {
        let store = self.runtime();
        store.writable("delete layers")?;
        let mut locked = Vec::with_capacity(names.len());
        for name in names {
            let lock = LayerLock::wait(&store.layer_path(name), Access::Exclusive)?;
            locked.extend(lock.map(|lock| (name, lock)));
        }
        let gate = store.lock()?;
        let usage = self.usage(&gate)?;
        let trash = TrashFolder::new(store, &gate)?;
        let mut refused = None;
        for (name, lock) in &locked {
            let path = store.layer_path(name);
            if let Err(error) = usage.refuse("delete", name, &path) {
                refused = refused.or(Some(error));
            } else if lock.is_at(&path) {
                trash.take(&path, &gate)?;
                // A move that had begun is over.
                let _ = fs::remove_file(store.path(MOVING).join(name));
                deleted.push((*name).clone());
            }
        }
        // Removing takes its time, and keeps nobody waiting for the store.
        drop(gate);
        Ok(refused)
    }

    /// Refuses to delete a layer of which any copy is in use, before the first one is gone.
    fn refuse_used(&self, name: &LayerName) -> Result<()> {
        let mut copies = Vec::new();
        for store in self.stores() {
            copies.extend(find_in(store, name)?);
        }
        if copies.len() < 2 {
            return Ok(());
        }
        let gate = self.runtime().lock()?;
        let usage = self.usage(&gate)?;
        copies.iter().try_for_each(|layer| usage.refuse_layer("delete", layer))
    }

    fn delete_from(&self, store: &Arc<Store>, name: &LayerName) -> Result<Deleted> {
        let mut deleted = Deleted::Missing;
        while let Some(layer) = find_in(store, name)? {
            store.writable("delete a layer")?;
            // When it has gone meanwhile, there may be a new one.
            let Some(lock) = LayerLock::wait(&layer.path, Access::Exclusive)? else { continue };
            self.discard(&layer, &lock)?;
            // A move that had begun is over.
            let _ = fs::remove_file(self.runtime().path(MOVING).join(name));
            deleted = Deleted::Gone;
        }
        Ok(deleted)
    }

    /// Removes what killed processes left; that it cannot be removed is no reason to fail.
    fn sweep(&self) {
        for store in self.stores().iter().filter(|store| store.role() != Role::ReadOnly) {
            let _ = staging::sweep(store);
        }
        let _ = unpacked::sweep_orphans(self);
        if let Ok(gate) = self.runtime().lock() {
            self.sweep_works(None, &gate);
        }
    }

    /// Removes a layer that the caller has locked exclusively.
    fn discard(&self, layer: &Layer, _lock: &LayerLock) -> Result<()> {
        let runtime = self.runtime().lock()?;
        self.usage(&runtime)?.refuse_layer("delete", layer)?;
        let trash = if layer.store.role() == Role::Runtime {
            Trash::take(&layer.store, &layer.path, &runtime)?
        } else {
            let gate = layer.store.lock()?;
            Trash::take(&layer.store, &layer.path, &gate)?
        };
        drop(runtime);
        drop(trash);
        Ok(())
    }
}
