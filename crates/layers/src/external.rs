//! Moving layers to the external store.

use std::fs::{self, File};
use std::io;

use crate::copy::{self, Failure, Source};
use crate::layer::{find_in, sync_tree};
use crate::lock::{Access, LayerLock};
use crate::staging::{self, Staging, Trash};
use crate::store::{ARCHIVES, LAYERS, Role};
use crate::usage::Usage;
use crate::{Engine, Error, Layer, LayerName, Result, record};

/// The archive in a staging folder, until it has its name.
const ARCHIVE: &str = "layer.tar";

/// What became of a request to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The layer is in the external store now, as a folder.
    Folder,
    /// The layer is in the external store now, as an archive: its file system cannot keep the layer otherwise.
    Archive,
    /// It was not in the runtime store any more.
    Already,
}

impl Engine {
    /// Moves a layer from the runtime store to the external one. A layer that has the same name there is replaced. It
    /// may be repeated: a layer that is there already is no error.
    ///
    /// # Errors
    /// [`Error::NoExternal`], [`Error::UnknownLayer`], [`Error::ReadOnly`]; [`Error::Used`] when a live merge point has
    /// the layer, or the one to be replaced. The layer is where it was then.
    pub fn move_to_external(&self, name: &LayerName) -> Result<Moved> {
        let external = self.external()?;
        loop {
            let Some(layer) = find_in(self.runtime(), name)? else {
                return self.locate(name).map(|_| Moved::Already);
            };
            external.writable("move a layer")?;
            self.runtime().writable("move a layer")?;
            let Some(lock) = LayerLock::wait(&layer.path, Access::Exclusive)? else { continue };
            let gate = self.runtime().lock()?;
            self.usage(&gate)?.refuse_layer("move", &layer)?;
            drop(gate);
            // From here on nobody can merge it: that takes its lock.
            let moved = self.transfer(&layer, &lock)?;
            for store in [self.runtime(), external] {
                let _ = staging::sweep(store);
            }
            return Ok(moved);
        }
    }

    fn transfer(&self, layer: &Layer, _lock: &LayerLock) -> Result<Moved> {
        let external = self.external()?;
        let (staging, archived) = self.copy_out(layer)?;
        sync_tree(staging.path())?;
        let name = &layer.name;
        let old = find_in(external, name)?;
        // Who reads the one that is replaced is waited for.
        let _old_lock = match &old {
            Some(old) => LayerLock::wait(&old.path, Access::Exclusive)?,
            None => None,
        };
        let gate = self.runtime().lock()?;
        if let Some(old) = &old {
            Usage::of(self, &gate)?.refuse_layer("replace", old)?;
        }
        let there = external.lock()?;
        let mut trash = Vec::new();
        if archived {
            // The layer is still in the runtime store, so it is somewhere at every moment.
            let folder = external.layer_path(name);
            if folder.symlink_metadata().is_ok() {
                trash.push(Trash::take(external, &folder, &there)?);
            }
            external.folder(ARCHIVES)?;
            let archive = external.archive_path(name);
            fs::rename(staging.path().join(ARCHIVE), &archive).map_err(Error::io("create", &archive))?;
            record::sync_folder(&external.path(ARCHIVES))?;
        } else {
            let folder = external.folder(LAYERS)?.join(name);
            if folder.symlink_metadata().is_ok() {
                trash.push(staging.publish_over(&folder, &there)?.1);
            } else {
                staging.publish(&folder, &there)?;
            }
            record::sync_folder(&external.path(LAYERS))?;
            let archive = external.archive_path(name);
            match fs::remove_file(&archive) {
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound) => {
                    return Err(Error::io("remove", &archive)(error));
                }
                _ => {}
            }
        }
        drop(there);
        trash.push(Trash::take(self.runtime(), &layer.path, &gate)?);
        drop(gate);
        Ok(if archived { Moved::Archive } else { Moved::Folder })
    }

    /// A copy of the layer in a staging folder of the external store: the folder itself, or an archive in it.
    fn copy_out(&self, layer: &Layer) -> Result<(Staging, bool)> {
        let external = self.external()?;
        let source = Source { folder: &layer.path, form: layer.store.form() };
        let staging = Staging::new(external)?;
        let failure = match copy::exact(source, staging.path(), external.form()) {
            Ok(()) => return Ok((staging, false)),
            Err(Failure::Failed(error)) => return Err(error),
            Err(failure @ Failure::NotKept { .. }) => failure,
        };
        drop(staging);
        let Ok(archiver) = self.archiver(&layer.name) else {
            return Err(failure.into_error(&layer.name, external.root()));
        };
        let staging = Staging::new(external)?;
        let path = staging.path().join(ARCHIVE);
        let mut archive = File::create_new(&path).map_err(Error::io("create", &path))?;
        archiver.pack(&layer.name, &layer.path, layer.store.form(), &mut archive)?;
        archive.sync_all().map_err(Error::io("sync", &path))?;
        Ok((staging, true))
    }

    /// Whether a layer can only be in one of these stores at a time; see [`crate::Engine::fsck`].
    pub(crate) fn is_doubled(&self, name: &LayerName) -> Result<bool> {
        let mut places = 0;
        for store in self.stores().iter().filter(|store| store.role() != Role::ReadOnly) {
            places += usize::from(find_in(store, name)?.is_some());
        }
        Ok(places > 1)
    }
}
