//! Where the stores are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folders and files that programs of oocana share.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder with `layer.json` and `package_store.json`.
    pub store_dir: PathBuf,
    /// The folder with `injection_store.json`, the notes of live runs, and logs.
    pub oocana_dir: PathBuf,
    /// The store of packages that others share.
    pub external_store: PathBuf,
}

impl Places {
    /// Where they are in a home. `OOMOL_EXTERNAL_STORE_FILE`, else `OOMOL_REGISTRY_STORE_FILE`, names the external store.
    #[must_use]
    pub fn in_home(home: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let named = ["OOMOL_EXTERNAL_STORE_FILE", "OOMOL_REGISTRY_STORE_FILE"].into_iter().find_map(variable);
        let named = named.filter(|path| !path.is_empty()).map(PathBuf::from);
        Self {
            store_dir: home.join(".oomol-studio/oocana"),
            oocana_dir: home.join(".oocana"),
            external_store: named.unwrap_or_else(|| home.join(".registry/external_store.json")),
        }
    }

    /// The layers below all others.
    pub(crate) fn layer_settings(&self) -> PathBuf {
        self.store_dir.join("layer.json")
    }

    /// Package layers by the path of their package.
    pub(crate) fn package_store(&self) -> PathBuf {
        self.store_dir.join("package_store.json")
    }

    /// What has been installed for flows into layers of packages.
    pub(crate) fn injection_store(&self) -> PathBuf {
        self.oocana_dir.join("injection_store.json")
    }

    /// Notes about layers and merge points that go with their owner.
    #[must_use]
    pub fn claims(&self) -> PathBuf {
        self.oocana_dir.join("layer-claims")
    }

    /// The log of `ovmlayer`.
    pub(crate) fn log(&self) -> PathBuf {
        self.oocana_dir.join("package-layer/ovmlayer.log")
    }
}
