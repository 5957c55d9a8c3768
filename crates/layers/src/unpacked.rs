//! Layers that a file system cannot keep: an archive in the external store, unpacked in the runtime store when it is
//! mounted.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::archive::TarArchiver;
use crate::layer::sync_tree;
use crate::lock::{Access, LayerLock};
use crate::staging::{self, Staging};
use crate::store::{Form, UNPACKED};
use crate::usage::Usage;
use crate::{Engine, Error, Layer, LayerName, Result};

/// Turns the content of one layer into the bytes of an archive, and back.
pub trait Archiver: std::fmt::Debug + Send + Sync {
    /// Writes the layer in the folder `layer`, whose marks are of `form`, as the archive of one layer called `name`.
    ///
    /// # Errors
    /// Whatever reading or writing said.
    fn pack(&self, name: &LayerName, layer: &Path, form: Form, archive: &mut File) -> Result<()>;

    /// Puts the content of the archive's one layer into the empty folder `layer`, with marks of `form`.
    ///
    /// # Errors
    /// Whatever reading or writing said; what is in `layer` then is removed by the caller.
    fn unpack(&self, archive: &mut File, layer: &Path, form: Form) -> Result<()>;
}

/// The folder with the content of an archived layer, unpacked now if it has not been before. The archive is locked by
/// the caller.
pub(crate) fn provide(engine: &Engine, layer: &Layer, lock: &LayerLock) -> Result<(PathBuf, LayerLock)> {
    let status = lock.file().metadata().map_err(Error::io("look at", &layer.path))?;
    // Another archive has another inode; this one is never changed.
    let stamp = format!("{:x}-{:x}-{:x}", status.ino(), status.size(), status.mtime_nsec());
    let path = engine.runtime().path(UNPACKED).join(format!("{}.{stamp}", layer.name));
    // Its own lock keeps it from being swept before it is mounted.
    if let Some(lock) = LayerLock::wait(&path, Access::Shared)? {
        return Ok((path, lock));
    }
    let staging = Staging::new(engine.runtime())?;
    let mut archive = File::open(&layer.path).map_err(Error::io("open", &layer.path))?;
    TarArchiver.unpack(&mut archive, staging.path(), engine.runtime().form())?;
    sync_tree(staging.path())?;
    engine.runtime().folder(UNPACKED)?;
    let gate = engine.runtime().lock()?;
    // Ours is exclusive, and would keep ourselves out.
    let published = staging.publish(&path, &gate).map(drop);
    drop(gate);
    match (published, LayerLock::wait(&path, Access::Shared)?) {
        // Or somebody else was faster.
        (_, Some(lock)) => Ok((path, lock)),
        (Err(error), None) => Err(error),
        (Ok(()), None) => Err(Error::UnknownLayer { name: layer.name.clone() }),
    }
}

/// Removes what was unpacked and is in no live merge point; gives how many.
pub(crate) fn sweep(engine: &Engine) -> Result<usize> {
    let folder = engine.runtime().path(UNPACKED);
    let names = staging::names(&folder)?;
    if names.is_empty() {
        return Ok(0);
    }
    let gate = engine.runtime().lock()?;
    let usage = Usage::of(engine, &gate)?;
    let mut trash = Vec::new();
    for name in names {
        let path = folder.join(name);
        if usage.user_of(&path).is_some() {
            continue;
        }
        if let Some(lock) = LayerLock::now(&path) {
            trash.push((staging::Trash::take(engine.runtime(), &path, &gate)?, lock));
        }
    }
    drop(gate);
    Ok(trash.len())
}
