//! Deleting package layers, and moving them to where others share them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::find::{Key, external_key};
use crate::{Error, External, Layers, Package, PackageLayer, Result, Stored};

impl Layers {
    /// Forgets the layer of the package in a folder, and deletes its layers unless somebody else needs them; whether there was one.
    ///
    /// # Errors
    /// [`Error::Program`] when a layer cannot be deleted.
    pub fn delete(&self, path: &Path) -> Result<bool> {
        let removed = self.package_store().change(|store: &mut Stored| store.packages.remove(path))?;
        self.delete_injections(path)?;
        self.delete_noted(removed)
    }

    /// The same, for one of the external store.
    ///
    /// # Errors
    /// As of [`Layers::delete`].
    pub fn delete_external(&self, name: &str, version: &str) -> Result<bool> {
        let key = external_key(name, version);
        let removed = self.external_store().change(|store: &mut External| store.packages.remove(&key))?;
        self.delete_noted(removed)
    }

    fn delete_noted(&self, removed: Option<PackageLayer>) -> Result<bool> {
        let Some(layer) = removed else { return Ok(false) };
        self.delete_layers(&layer)?;
        Ok(true)
    }

    /// Deletes layers that no package, no merge point and no setting needs.
    pub(crate) fn delete_layers(&self, layer: &PackageLayer) -> Result<()> {
        let mut needed: BTreeSet<String> = self.ovmlayer.used_layers()?.into_iter().collect();
        needed.extend(self.below()?);
        let stored = self.stored()?.packages.into_values();
        for other in stored.chain(self.external()?.packages.into_values()) {
            needed.extend(other.layers().iter().map(|&name| name.to_owned()));
        }
        for name in layer.layers().into_iter().filter(|&name| !needed.contains(name)) {
            if crate::names::is_plain(name) {
                self.ovmlayer.delete(name)?;
            }
        }
        Ok(())
    }

    /// Forgets all package layers that are noted by path, and deletes all layers but those that were moved to where others share them.
    ///
    /// # Errors
    /// As of [`Layers::delete`].
    pub fn delete_all(&self) -> Result<()> {
        self.package_store().change(|store: &mut Stored| store.packages.clear())?;
        self.forget_injections()?;
        self.ovmlayer.delete_all()
    }

    /// Moves the layers of a package into the external store. It may be repeated when it has failed.
    ///
    /// # Errors
    /// [`Error::NotThere`]; [`Error::Manifest`] when the package has no version; [`Error::Program`].
    pub fn move_out(&self, package: &Package) -> Result<()> {
        let key = external_key(&package.name(), package.version()?);
        let not_there = || Error::NotThere(package.path.display().to_string());
        let layer = self.stored()?.packages.remove(&package.path).ok_or_else(not_there)?;
        for name in layer.layers() {
            self.ovmlayer.move_layer(name)?;
        }
        let old = self.note(&Key::External(key), &layer)?;
        self.package_store().change(|store: &mut Stored| store.packages.remove(&package.path))?;
        if let Some(old) = old {
            self.delete_layers(&old)?;
        }
        Ok(())
    }
}
