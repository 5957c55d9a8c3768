//! Package layers into folders that a registry, or another machine, takes (`ovmlayer.md` of the contract, section 4).

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::find::Key;
use crate::{Error, Layers, Package, PackageLayer, Result};

/// The archive of all layers.
pub(crate) const LAYERS_TAR: &str = "layers.tar";

/// What they are.
pub(crate) const PACKAGE_LAYER: &str = "package-layer.json";

/// Their names. Whoever imports looks for this file, so it is written last.
pub(crate) const LAYERS_JSON: &str = "layers.json";

/// `layers.json`: names of layers, the lowest first; in older exports names of files with a layer each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) layers: Vec<String>,
}

impl Layers {
    /// Writes the layers of a package into a folder, which is made; gives what they are. The same layers give the same bytes.
    ///
    /// # Errors
    /// [`Error::NotThere`] when the package has no usable layer; [`Error::Io`]; [`Error::Program`].
    pub fn export(&self, package: &Package, folder: &Path) -> Result<PackageLayer> {
        let not_there = || Error::NotThere(package.path.display().to_string());
        let (key, mut layer) = self.find(package)?.ok_or_else(not_there)?;
        if let Key::Path(path) = key {
            layer.package_path = path;
        }
        fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        let file = |name| folder.join(name);
        let names = file(LAYERS_JSON);
        if names.exists() {
            fs::remove_file(&names).map_err(Error::io("remove", &names))?;
        }
        let archive = absolute(&file(LAYERS_TAR))?;
        self.ovmlayer.export(&layer.layers(), &archive)?;
        let about = file(PACKAGE_LAYER);
        crate::files::write(&about, &crate::files::pretty(&layer)).map_err(Error::io("write", &about))?;
        let list = Names { layers: layer.layers().iter().map(|&name| name.to_owned()).collect() };
        crate::files::write(&names, &crate::files::pretty(&list)).map_err(Error::io("write", &names))?;
        Ok(layer)
    }
}

/// A path that does not depend on the folder a program starts in.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io("find", path))
}
