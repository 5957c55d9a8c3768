//! What recipes of layers say: the table `[layer]`, and the steps `python` and `node`.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{Kind, Recipe, Step};

/// The recipe that a layer is put on when it says nothing else.
pub(crate) const PARENT: &str = "server-base";

/// How a recipe describes a layer beyond its contents.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Layer {
    /// The recipe of what the layer is put on, by name or by a path from this one. Default `server-base`.
    pub parent: Option<String>,
    /// The layer's name in its archive. Default the recipe's.
    pub name: Option<String>,
}

/// Python packages of a `python` step, for the parent's own Python. All such steps are resolved together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PythonStep {
    /// What names the packages, relative to the recipe: a `requirements.txt`, a `pylock.toml`, or a `uv.lock` with its
    /// `pyproject.toml` beside it.
    pub file: PathBuf,
    /// Packages that are built from their source, in the sandbox of the target, in place of a wheel.
    #[serde(default)]
    pub from_source: Vec<String>,
}

/// Packages of Node.js of a `node` step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeStep {
    /// The folder with `package.json` and `package-lock.json` or `pnpm-lock.yaml`, relative to the recipe.
    pub folder: PathBuf,
    /// The folder in the tree that gets `node_modules`. Default `/usr/local/lib`, where packages that are installed with
    /// `npm install --global` are too; then programs of packages that `package.json` names are linked to in `/usr/local/bin`.
    pub into: Option<String>,
    /// Packages that are installed without the scripts they want to run.
    #[serde(default)]
    pub without_scripts: Vec<String>,
    /// Packages whose scripts run when they are installed, in the sandbox of the target.
    #[serde(default)]
    pub scripts: Vec<String>,
    /// What the folder's own package is built of, beside `package.json` and `package-lock.json`: files and folders in it. Then
    /// it is packed by `npm pack`, which runs its script `prepack`, and installed, with all that it needs inside.
    #[serde(default)]
    pub pack: Vec<String>,
}

/// Where packages of Node.js go when a step says nothing else.
const GLOBAL: &str = "/usr/local/lib";

impl NodeStep {
    /// The folder that gets `node_modules`, relative to the root.
    pub(crate) fn into(&self) -> &str {
        self.into.as_deref().unwrap_or(GLOBAL).trim_matches('/')
    }

    /// Where programs are linked to from, relative to the root, if anywhere.
    pub(crate) fn programs(&self) -> Option<&'static str> {
        (self.into() == GLOBAL.trim_matches('/')).then_some("usr/local/bin")
    }

    /// The packages that may have scripts.
    pub(crate) fn allowed(&self) -> Vec<String> {
        self.without_scripts.iter().chain(&self.scripts).cloned().collect()
    }

    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(both) = self.scripts.iter().find(|name| self.without_scripts.contains(name)) {
            return Err(("scripts", format!("`{both}` is in `without-scripts` too")));
        }
        let leads_out =
            |path: &&String| !Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
        if let Some(path) = self.pack.iter().find(leads_out) {
            return Err(("pack", format!("`{path}` is not a plain path in the folder")));
        }
        match self.into.as_deref() {
            Some(path) if !path.starts_with('/') => {
                Err(("into", format!("`{path}` is not an absolute path")))
            }
            _ => Ok(()),
        }
    }
}

impl PythonStep {
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        if PythonFile::of(&name).is_none() {
            let message = format!("`{name}` is neither requirements (.txt) nor a pylock.toml nor a uv.lock");
            return Err(("python", message));
        }
        Ok(())
    }
}

/// What kind of file names Python packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PythonFile {
    /// Requirements, each with its version.
    Requirements,
    /// A `pylock.toml` (PEP 751).
    Pylock,
    /// uv's own lock.
    UvLock,
}

impl PythonFile {
    /// The kind for a file name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let is_pylock = name.starts_with("pylock.") && name.ends_with(".toml");
        match name {
            "uv.lock" => Some(Self::UvLock),
            _ if is_pylock => Some(Self::Pylock),
            _ if name.ends_with(".txt") => Some(Self::Requirements),
            _ => None,
        }
    }
}

impl Recipe {
    /// What a layer may have, and nothing else may.
    pub(super) fn check_layer(&self) -> Result<(), (&'static str, String)> {
        if self.kind == Kind::Layer {
            if !self.output.contains(".tar") {
                return Err(("output", "a layer is a tar, compressed or not".into()));
            }
            let name = self.layer.as_ref().and_then(|layer| layer.name.clone()).unwrap_or("layer".into());
            layers::LayerName::new(name).map_err(|error| ("name", error.to_string()))?;
            return Ok(());
        }
        if self.layer.is_some() {
            return Err(("[layer]", "only recipes of kind `layer` have a table `[layer]`".into()));
        }
        let only = self.steps.iter().find_map(|step| match step {
            Step::Python(_) => Some("python"),
            Step::Node(_) => Some("node"),
            _ => None,
        });
        match only {
            Some(word) => Err((word, format!("only recipes of kind `layer` have steps `{word}`"))),
            None => Ok(()),
        }
    }

    /// A layer is put on an image or on what a recipe makes.
    pub(super) fn check_layer_on_image(&self) -> Result<(), (&'static str, String)> {
        if self.layer.as_ref().is_some_and(|layer| layer.parent.is_some()) {
            return Err(("from", "a layer is put on an image (`from`) or on a `parent`, not both".into()));
        }
        if self.is_from_nothing() {
            return Err(("from", "a layer is put on a root filesystem, not on nothing".into()));
        }
        Ok(())
    }
}
