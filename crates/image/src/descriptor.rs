//! How one content names another.

use std::collections::BTreeMap;

use cache::Digest;
use serde::{Deserialize, Serialize};

use crate::Platform;

/// The name of a content: its type, digest and size (image specification, "Content Descriptors").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is; see [`crate::media`].
    pub media_type: String,
    /// The digest of its bytes.
    #[serde(with = "crate::digest")]
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What kind of artifact a manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which machines an image is for, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Describes `bytes`.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Describes a content that is known already.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    /// The digest as the specifications spell it.
    #[must_use]
    pub fn digest_text(&self) -> String {
        crate::digest::spell(&self.digest)
    }
}
