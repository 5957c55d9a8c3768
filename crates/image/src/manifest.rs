//! Manifests and indices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Error, Result, media};

/// The greatest length of a manifest, an index or a configuration in bytes. Registries take 4 MiB at most (distribution
/// specification, "Pushing Manifests").
pub(crate) const SIZE_LIMIT: u64 = 8 << 20;

/// The most layers an image may have here. Engines mount 500 at most; what has more is hostile.
pub(crate) const LAYER_LIMIT: usize = 2000;

/// One image for one platform, or an artifact (image specification, "OCI Image Manifest Specification").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`media::MANIFEST`] or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact this is, when it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What this is about; makes it a referrer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Images for several platforms, or a list of referrers (image specification, "OCI Image Index Specification").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`media::INDEX`] or Docker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What it lists.
    pub manifests: Vec<Descriptor>,
    /// What this is about; makes it a referrer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// An OCI image manifest.
    #[must_use]
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads a manifest; `what` names it in messages.
    ///
    /// # Errors
    /// [`Error::Json`] for what is no manifest of schema 2, [`Error::TooManyLayers`].
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        let manifest: Self = parse(bytes, what)?;
        check_schema(manifest.schema_version, what)?;
        if manifest.layers.len() > LAYER_LIMIT {
            return Err(Error::TooManyLayers { what: what.to_owned(), count: manifest.layers.len() });
        }
        Ok(manifest)
    }

    /// The bytes to store, always the same for the same manifest.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

impl Index {
    /// An OCI image index.
    #[must_use]
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads an index; `what` names it in messages.
    ///
    /// # Errors
    /// [`Error::Json`] for what is no index of schema 2.
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        let index: Self = parse(bytes, what)?;
        check_schema(index.schema_version, what)?;
        Ok(index)
    }

    /// The bytes to store, always the same for the same index.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }
}

fn check_schema(version: u32, what: &str) -> Result<()> {
    if version == 2 {
        return Ok(());
    }
    let message = format!("it has schemaVersion {version}, and only 2 is read");
    Err(Error::Json { what: what.to_owned(), message })
}

/// Reads one of the documents of an image.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &str) -> Result<T> {
    let json = |error: serde_json::Error| Error::Json { what: what.to_owned(), message: error.to_string() };
    serde_json::from_slice(bytes).map_err(json)
}

/// The bytes of a document. Fields come in the order of their types, maps in that of their keys.
pub(crate) fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    // Strings, numbers, maps with strings as keys: there is nothing in them that JSON could not say.
    serde_json::to_vec(value).unwrap_or_default()
}
