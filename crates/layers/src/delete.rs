//! Removing layers.

use std::fs;
use std::sync::Arc;

use crate::layer::{copies_in, find_in};
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
        let (fixed, writable): (Vec<_>, Vec<_>) =
            self.stores().iter().partition(|store| store.role() == Role::ReadOnly);
        let deleted = loop {
            if let Some(deleted) = self.delete_copies(&writable, name)? {
                break deleted;
            }
        };
        self.sweep();
        for store in fixed {
            if find_in(store, name)?.is_some() {
                store.writable("delete a layer")?;
            }
        }
        Ok(deleted)
    }

    /// Removes every copy of a layer in these stores, all or none; `None` when something has changed meanwhile.
    ///
    /// In one step for everybody else: a layer that is made under this name as soon as it is free is another one.
    fn delete_copies(&self, stores: &[&Arc<Store>], name: &LayerName) -> Result<Option<Deleted>> {
        let copies = copies_of(stores, name)?;
        if copies.is_empty() {
            return Ok(Some(Deleted::Missing));
        }
        let mut locks = Vec::with_capacity(copies.len());
        for layer in &copies {
            layer.store.writable("delete a layer")?;
            locks.extend(LayerLock::wait(&layer.path, Access::Exclusive)?);
        }
        let gate = self.runtime().lock()?;
        let there: Vec<_> = copies_of(stores, name)?.into_iter().map(|layer| layer.path).collect();
        let same = copies.iter().map(|layer| &layer.path).eq(&there)
            && locks.len() == copies.len()
            && copies.iter().zip(&locks).all(|(layer, lock)| lock.is_at(&layer.path));
        if !same {
            return Ok(None);
        }
        let usage = self.usage(&gate)?;
        copies.iter().try_for_each(|layer| usage.refuse_layer("delete", layer))?;
        let mut trash = Vec::with_capacity(copies.len());
        // The one that is found first goes last: should we be killed in between, it is the one that stays.
        for layer in copies.iter().rev() {
            if layer.store.role() == Role::Runtime {
                trash.push(Trash::take(&layer.store, &layer.path, &gate)?);
            } else {
                let there = layer.store.lock()?;
                trash.push(Trash::take(&layer.store, &layer.path, &there)?);
            }
        }
        // A move that had begun is over.
        let _ = fs::remove_file(self.runtime().path(MOVING).join(name));
        // Removing takes its time, and keeps nobody waiting for the store.
        drop(gate);
        drop(trash);
        Ok(Some(Deleted::Gone))
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
}

/// The copies of a layer in these stores, in the order in which they are found.
fn copies_of(stores: &[&Arc<Store>], name: &LayerName) -> Result<Vec<Layer>> {
    let mut copies = Vec::new();
    for store in stores {
        copies.extend(copies_in(store, name)?);
    }
    Ok(copies)
}
