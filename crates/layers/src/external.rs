//! Moving layers to the external store.

use std::fs::{self, File};
use std::io;

use crate::archive::TarArchiver;
use crate::copy::{self, Failure, Source};
use crate::layer::{find_in, sync_tree};
use crate::lock::{Access, LayerLock};
use crate::staging::{self, Staging, Trash};
use crate::store::{ARCHIVES, LAYERS, MOVING};
use crate::usage::Usage;
use crate::{Archiver as _, Engine, Error, Layer, LayerName, Result, record};

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
        // Should we be killed between the two renames, this tells that the layer is in both stores by our doing.
        let mark = self.runtime().folder(MOVING)?.join(name);
        File::create(&mark).map_err(Error::io("create", &mark))?;
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
        let _ = fs::remove_file(&mark);
        drop(gate);
        Ok(if archived { Moved::Archive } else { Moved::Folder })
    }

    /// A copy of the layer in a staging folder of the external store: the folder itself, or an archive in it.
    fn copy_out(&self, layer: &Layer) -> Result<(Staging, bool)> {
        let external = self.external()?;
        let source = Source { folder: &layer.path, form: layer.store.form() };
        let staging = Staging::new(external)?;
        match copy::exact(source, staging.path(), external.form()) {
            Ok(()) => return Ok((staging, false)),
            Err(Failure::Failed(error)) => return Err(error),
            Err(Failure::NotKept { .. }) => drop(staging),
        }
        let staging = Staging::new(external)?;
        let path = staging.path().join(ARCHIVE);
        let mut archive = File::create_new(&path).map_err(Error::io("create", &path))?;
        TarArchiver.pack(&layer.name, &layer.path, layer.store.form(), &mut archive)?;
        archive.sync_all().map_err(Error::io("sync", &path))?;
        Ok((staging, true))
    }

    /// The layers whose move to the external store has begun, and whether the layer is in both stores now.
    pub(crate) fn moving(&self) -> Result<Vec<(LayerName, bool)>> {
        let mut moving = Vec::new();
        for name in staging::names(&self.runtime().path(MOVING))? {
            let Some(name) = name.to_str().and_then(|name| LayerName::new(name).ok()) else { continue };
            let (here, there) = (find_in(self.runtime(), &name)?, find_in(self.external()?, &name)?);
            // While the move goes on, the layer is locked.
            if here.as_ref().is_none_or(|here| LayerLock::now(&here.path).is_some()) {
                moving.push((name, here.is_some() && there.is_some()));
            }
        }
        Ok(moving)
    }
}
