//! What an image says about itself and about how it is run.

use std::collections::BTreeMap;

use cache::Digest;
use serde::{Deserialize, Serialize};

use crate::manifest::{parse, to_bytes};
use crate::{Platform, Result};

/// The configuration of an image (image specification, "OCI Image Configuration").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// By Go's names.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How it is run.
    #[serde(default, skip_serializing_if = "Process::is_empty")]
    pub config: Process,
    /// Its layers.
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// How an image is run; the names are Docker's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Process {
    /// `USER[:GROUP]` by name or number.
    #[serde(skip_serializing_if = "blank", deserialize_with = "nullable")]
    pub user: String,
    /// `8080/tcp` and the like; the values are empty objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub env: Vec<String>,
    /// The command's beginning.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub entrypoint: Vec<String>,
    /// Its arguments unless others are given.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub cmd: Vec<String>,
    /// Paths that a volume is expected at; the values are empty objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub volumes: BTreeMap<String, Empty>,
    /// Where the command starts.
    #[serde(skip_serializing_if = "blank", deserialize_with = "nullable")]
    pub working_dir: String,
    /// Free words about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// What stops it, `SIGTERM` unless said.
    #[serde(skip_serializing_if = "blank", deserialize_with = "nullable")]
    pub stop_signal: String,
}

/// An empty object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The layers of an image by the digests of their uncompressed tars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The lowest first.
    #[serde(with = "crate::digest::list")]
    pub diff_ids: Vec<Digest>,
}

/// How one layer came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl Config {
    /// Reads a configuration; `what` names it in messages. Words that are not known are passed over.
    ///
    /// # Errors
    /// [`crate::Error::Json`].
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self> {
        parse(bytes, what)
    }

    /// The bytes to store, always the same for the same configuration.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The machines it is for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: None,
            variant: self.variant.clone(),
        }
    }
}

impl Process {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Docker writes `null` for what is not said.
fn nullable<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn blank(text: &str) -> bool {
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_writes_is_read() {
        let text = r#"{"architecture":"arm64","os":"linux","variant":"v8","created":"2024-01-01T00:00:00Z",
            "config":{"Hostname":"","User":"app","Env":["PATH=/bin"],"Cmd":null,"Entrypoint":["/x"],"Volumes":null,
            "ExposedPorts":{"80/tcp":{}},"WorkingDir":"/w","Labels":null},
            "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
            "history":[{"created_by":"x","empty_layer":true}]}"#;
        let config = Config::parse(text.as_bytes(), "the configuration").unwrap();
        assert_eq!(config.config.entrypoint, ["/x"]);
        assert_eq!(config.config.exposed_ports.keys().collect::<Vec<_>>(), ["80/tcp"]);
        assert_eq!(config.platform().to_string(), "linux/arm64/v8");
        assert_eq!(Config::parse(&config.to_bytes(), "again").unwrap(), config);
    }
}
