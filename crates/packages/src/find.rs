//! Looking package layers up.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::Store;
use crate::record::Settings;
use crate::{External, Ovmlayer, Package, PackageLayer, Places, Result, Stored};

/// The package layers of this machine.
#[derive(Debug, Clone)]
pub struct Layers {
    pub(crate) ovmlayer: Ovmlayer,
    pub(crate) places: Places,
}

/// Whether a package has a usable layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has.
    Exist,
    /// It has not: none is noted, it is of another version, or one of its layers is gone.
    NotInStore,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exist => "Exist",
            Self::NotInStore => "NotInStore",
        })
    }
}

/// Where a package layer is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// In the package store, by the path of the package.
    Path(PathBuf),
    /// In the external store, by `NAME@VERSION`.
    External(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::External(key) => f.write_str(key),
        }
    }
}

/// The key of a package in the external store.
pub(crate) fn external_key(name: &str, version: &str) -> String {
    format!("{name}@{version}")
}

impl Layers {
    /// Those that are noted in the stores of `places`, and that `ovmlayer` keeps.
    #[must_use]
    pub fn new(ovmlayer: Ovmlayer, places: Places) -> Self {
        let ovmlayer = ovmlayer.logging_to(&places.log());
        Self { ovmlayer, places }
    }

    pub(crate) fn package_store(&self) -> Store {
        Store::at(&self.places.package_store())
    }

    pub(crate) fn external_store(&self) -> Store {
        Store::at(&self.places.external_store)
    }

    /// Removes what processes have left that were killed.
    pub fn sweep(&self) {
        crate::claim::sweep(&self.ovmlayer, &self.places.claims());
    }

    /// All that is noted by path.
    ///
    /// # Errors
    /// [`crate::Error::Store`], [`crate::Error::Io`].
    pub fn stored(&self) -> Result<Stored> {
        self.package_store().read()
    }

    /// All that is noted by name and version.
    ///
    /// # Errors
    /// As of [`Layers::stored`].
    pub fn external(&self) -> Result<External> {
        self.external_store().read()
    }

    /// The layers below all others, the lowest first. The file that says so is made when it is not there.
    ///
    /// # Errors
    /// As of [`Layers::stored`].
    pub fn below(&self) -> Result<Vec<String>> {
        let path = self.places.layer_settings();
        let store = Store::at(&path);
        let settings: Settings = store.read()?;
        if !path.exists() {
            store.change(|settings: &mut Settings| settings.base_rootfs.len())?;
        }
        Ok(settings.base_rootfs)
    }

    /// The usable layer of a package: by name and version, else by path.
    pub(crate) fn find(&self, package: &Package) -> Result<Option<(Key, PackageLayer)>> {
        let version = package.about.version.as_deref();
        self.find_named(&package.path, &package.name(), version)
    }

    fn find_named(
        &self,
        path: &Path,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<(Key, PackageLayer)>> {
        let listed = Listed::new(self)?;
        if let Some(version) = version {
            let key = external_key(name, version);
            // It has the package where it was made, which need not be where the package is now.
            let is_usable = |layer: &PackageLayer| layer.package_path == path && listed.has(layer);
            if let Some(layer) = self.external()?.packages.remove(&key).filter(is_usable) {
                return Ok(Some((Key::External(key), layer)));
            }
        }
        let layer = self.stored()?.packages.remove(path);
        let layer = layer.filter(|layer| layer.version.as_deref() == version && listed.has(layer));
        Ok(layer.map(|layer| (Key::Path(path.to_owned()), layer)))
    }

    /// Whether the package in a folder has a usable layer; `name` and `version` stand for what its manifest says.
    ///
    /// # Errors
    /// [`crate::Error::Manifest`]; as of [`Layers::stored`].
    pub fn status(&self, path: &Path, name: Option<&str>, version: Option<&str>) -> Result<Status> {
        let package = match (name, version, Package::read(path)) {
            (_, _, Ok(package)) => package,
            // The folder need not be there when somebody says what was in it.
            (Some(name), Some(version), Err(_)) => {
                return Ok(status(self.find_named(path, name, Some(version))?.is_some()));
            }
            (_, _, Err(crate::Error::NoPackage(_))) => return Ok(Status::NotInStore),
            (_, _, Err(error)) => return Err(error),
        };
        let own = package.name();
        let version = version.or(package.about.version.as_deref());
        Ok(status(self.find_named(&package.path, name.unwrap_or(&own), version)?.is_some()))
    }

    /// Whether there is a usable layer of this name and version in the external store.
    ///
    /// # Errors
    /// As of [`Layers::stored`].
    pub fn external_status(&self, name: &str, version: &str) -> Result<Status> {
        let listed = Listed::new(self)?;
        let layer = self.external()?.packages.remove(&external_key(name, version));
        Ok(status(layer.is_some_and(|layer| listed.has(&layer))))
    }

    /// Each package in the search paths, with its status.
    ///
    /// # Errors
    /// As of [`Layers::status`].
    pub fn scan(&self, search: &[PathBuf]) -> Result<Vec<(PathBuf, Status)>> {
        let folders: BTreeSet<PathBuf> = search.iter().flat_map(|path| crate::folders(path)).collect();
        let with_status = |path: PathBuf| match self.status(&path, None, None) {
            Ok(status) => Ok((path, status)),
            // A package that cannot be understood has no layer.
            Err(crate::Error::Manifest(_)) => Ok((path, Status::NotInStore)),
            Err(error) => Err(error),
        };
        folders.into_iter().map(with_status).collect()
    }
}

fn status(is_there: bool) -> Status {
    if is_there { Status::Exist } else { Status::NotInStore }
}

/// The layers that there are.
struct Listed(BTreeSet<String>);

impl Listed {
    fn new(layers: &Layers) -> Result<Self> {
        Ok(Self(layers.ovmlayer.layers()?.into_iter().collect()))
    }

    fn has(&self, layer: &PackageLayer) -> bool {
        layer.layers().iter().all(|name| self.0.contains(*name))
    }
}
