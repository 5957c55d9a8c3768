//! What the stores hold. Keys that are not known here are kept as they are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The layers of a package. In an export it is `package-layer.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageLayer {
    /// The name of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Layers below the source layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_layers: Option<Vec<String>>,
    /// The layer with the folder of the package.
    pub source_layer: String,
    /// The script that made the bootstrap layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<String>,
    /// The layer with what the script changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_layer: Option<String>,
    /// Where the package is in the source layer.
    pub package_path: PathBuf,
    /// Keys of other programs.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl PackageLayer {
    /// Its layers, the lowest first.
    #[must_use]
    pub fn layers(&self) -> Vec<&str> {
        let base = self.base_layers.iter().flatten();
        let own = std::iter::once(&self.source_layer).chain(&self.bootstrap_layer);
        base.chain(own).map(String::as_str).collect()
    }

    /// Its layers that no other package can have.
    #[must_use]
    pub(crate) fn own_layers(&self) -> Vec<&str> {
        std::iter::once(&self.source_layer).chain(&self.bootstrap_layer).map(String::as_str).collect()
    }
}

/// `package_store.json`: package layers by the path of their package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// By path.
    #[serde(default)]
    pub packages: BTreeMap<PathBuf, PackageLayer>,
    /// Keys of other programs.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `external_store.json`: package layers by `NAME@VERSION`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct External {
    /// By `NAME@VERSION`.
    #[serde(default)]
    pub packages: BTreeMap<String, PackageLayer>,
    /// Keys of other programs.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `layer.json`: the layers below all others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The lowest first.
    #[serde(default)]
    pub(crate) base_rootfs: Vec<String>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_kept() {
        let text = r#"{"version":"9","packages":{"/p":{"version":"1","source_layer":"s","bootstrap_layer":"b","base_layers":["x"],"package_path":"/p","more":1}}}"#;
        let store: Stored = serde_json::from_str(text).expect("a store");
        let layer = &store.packages[&PathBuf::from("/p")];
        assert_eq!(layer.layers(), ["x", "s", "b"]);
        let again: Value = serde_json::to_value(&store).expect("JSON");
        assert_eq!(again, serde_json::from_str::<Value>(text).expect("JSON"));
    }
}
