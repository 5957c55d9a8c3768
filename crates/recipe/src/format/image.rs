//! The table `[image]`: what an image says about itself, and how its layers are made.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The most layers that a recipe may ask for: Docker mounts 127, and who builds on the image wants some of them.
const MOST_LAYERS: u16 = 100;

/// How a recipe describes an image beyond what is in it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Image {
    /// Another recipe, by name or by a path from this one, whose packages and steps come first.
    pub rootfs: Option<String>,
    /// The beginning of the command that the image runs.
    pub entrypoint: Vec<String>,
    /// The command's arguments, or all of it; who runs the image may give others.
    pub cmd: Vec<String>,
    /// The command's environment. `PATH` is Debian's own unless given.
    pub env: BTreeMap<String, String>,
    /// Who runs it: `USER[:GROUP]` by name or number.
    pub user: String,
    /// Where it starts: an absolute path.
    pub workdir: String,
    /// Free words in the configuration.
    pub labels: BTreeMap<String, String>,
    /// Free words in the manifests and the index.
    pub annotations: BTreeMap<String, String>,
    /// Ports that it listens on: `8080`, `53/udp`.
    pub ports: Vec<String>,
    /// Paths that a volume is expected at.
    pub volumes: Vec<String>,
    /// What stops it, such as `SIGINT`.
    pub stop_signal: String,
    /// How layers are compressed.
    pub compression: Compression,
    /// What is put into one layer.
    pub layers: Layers,
    /// Recipes of layers that are put on the root when all else is done, by name or by a path from this recipe. They are made
    /// for what `rootfs` names, else for this recipe.
    pub with_layers: Vec<String>,
    /// A store for `ovmlayer`, with the root as it is without them, and each of them by itself.
    pub store: Option<ShippedStore>,
}

/// A store that an image brings along. Its files are further names of those that the image has anyway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ShippedStore {
    /// The folder, an absolute path: `rootfs` in it is the root filesystem, `store` the store.
    pub path: String,
    /// Paths that its root filesystem does not have, as globs.
    #[serde(default)]
    pub without: Vec<String>,
}

/// The form of an image on the disk, which its name's ending chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A folder, an OCI image layout: any ending but the others.
    Layout,
    /// The same as a tar: `.oci.tar`.
    OciTar,
    /// What `docker load` takes, one for each architecture: `.docker.tar`.
    DockerTar,
}

impl Form {
    /// The form for a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if name.ends_with(".docker.tar") {
            Self::DockerTar
        } else if name.ends_with(".oci.tar") {
            Self::OciTar
        } else {
            Self::Layout
        }
    }
}

/// How the layers of an image are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Gzip, which every tool reads.
    #[default]
    Gzip,
    /// Zstandard: smaller and faster, and older tools do not read it.
    Zstd,
}

/// What is put into one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layers {
    /// One layer for the packages, and one for each kind of step that changed something.
    #[default]
    Concerns,
    /// At most so many layers: packages in groups, so that images share them, and all else on top.
    Budget(u16),
}

impl Image {
    /// What the types do not say; the error names the key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let store = self.store.iter().map(|store| ("path", &store.path));
        for (key, path) in std::iter::once(("workdir", &self.workdir))
            .chain(store)
            .chain(self.volumes.iter().map(|path| ("volumes", path)))
        {
            if !path.is_empty() && !path.starts_with('/') {
                return Err((key, format!("`{path}` is not an absolute path")));
            }
        }
        if let Some(name) = self.env.keys().find(|name| name.is_empty() || name.contains('=')) {
            return Err(("env", format!("`{name}` is not the name of a variable")));
        }
        if let Some(port) = self.ports.iter().find(|port| !is_port(port)) {
            return Err(("ports", format!("`{port}` is not a port, such as `8080` or `53/udp`")));
        }
        let signal = self.stop_signal.strip_prefix("SIG").unwrap_or(&self.stop_signal);
        if !signal.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "+-".contains(c)) {
            return Err(("stop-signal", format!("`{}` is not a signal, such as `SIGINT`", self.stop_signal)));
        }
        match self.layers {
            Layers::Budget(count) if !(1..=MOST_LAYERS).contains(&count) => {
                Err(("layers", format!("a budget of {count} layers: from 1 to {MOST_LAYERS} are possible")))
            }
            _ => Ok(()),
        }
    }
}

fn is_port(text: &str) -> bool {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    number.parse::<u16>().is_ok_and(|number| number > 0) && matches!(protocol, "tcp" | "udp" | "sctp")
}
