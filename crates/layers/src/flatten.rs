//! One layer of several.

use std::sync::Arc;

use crate::copy::{self, Source};
use crate::layer::sync_tree;
use crate::lock::Access;
use crate::staging::Staging;
use crate::{Engine, Error, LayerName, Result, record, store, unpacked};

impl Engine {
    /// Makes the layer `name`, which has the effect that `layers`, lowest first, have together. Whiteouts and opaque
    /// directories stay, for they also hide what is in the rootfs.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::UnknownLayer`], [`Error::Twice`], [`Error::NoLayers`].
    pub fn flatten(&self, layers: &[LayerName], name: &LayerName) -> Result<()> {
        if layers.is_empty() {
            return Err(Error::NoLayers);
        }
        let runtime = self.runtime();
        runtime.writable("create a layer")?;
        let taken = || Error::Exists { name: name.clone() };
        if self.find(name)?.is_some() {
            return Err(taken());
        }
        let locked = self.lock(layers, Access::Shared)?;
        let mut folders = Vec::new();
        let mut unpacked = Vec::new();
        for one in &locked {
            if one.layer.archived {
                let (path, lock) = unpacked::provide(self, &one.layer, &one.lock)?;
                folders.push((path, runtime.form()));
                unpacked.push(lock);
            } else {
                folders.push((one.layer.path.clone(), one.layer.store.form()));
            }
        }
        let top_first: Vec<_> =
            folders.iter().rev().map(|(folder, form)| Source { folder, form: *form }).collect();
        let staging = Staging::new(runtime)?;
        copy::flattened(&top_first, staging.path(), runtime.form())
            .map_err(|failure| failure.into_error(name, runtime.root()))?;
        sync_tree(staging.path())?;
        let gate = runtime.lock()?;
        if self.find(name)?.is_some() {
            return Err(taken());
        }
        let path = Arc::clone(runtime).layer_path(name);
        staging.publish(&path, &gate)?;
        drop(gate);
        record::sync_folder(&runtime.path(store::LAYERS))
    }
}
