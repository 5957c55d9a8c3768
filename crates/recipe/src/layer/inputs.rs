//! What the steps of a layer name: read, checked, and joined into one digest.

use std::collections::BTreeMap;

use cache::{Digest, Hasher};
use deps::npm::{PackageLock, PnpmLock, Selected};
use deps::python::{check_uv_lock, normalized, requirements_of_lock};
use serde::Deserialize;

use super::lock::{FORMAT, Parent};
use super::requirements::{self, Requirements};
use crate::Error;
use crate::find::Found;
use crate::format::{NodeStep, PackageName, PythonFile, PythonStep, Step};

/// A file that names Python packages.
#[derive(Debug)]
pub(super) struct Python<'f> {
    pub(super) step: &'f PythonStep,
    pub(super) kind: PythonFile,
    /// What messages call it.
    pub(super) name: String,
    pub(super) text: String,
    /// The `pyproject.toml` beside a `uv.lock`.
    pub(super) project: Option<String>,
}

/// Packages of Node.js.
#[derive(Debug)]
pub(super) struct Node<'f> {
    pub(super) step: &'f NodeStep,
    pub(super) lock: NodeLock,
    /// npm's configuration beside the lock.
    pub(super) npmrc: Option<String>,
    /// The folder's own package, if it is to be installed.
    pub(super) itself: Option<Itself>,
    /// The `package.json`.
    pub(super) manifest: String,
    /// The lock as it is written.
    pub(super) text: String,
}

/// What says which packages of Node.js there are.
#[derive(Debug)]
pub(super) enum NodeLock {
    /// A `package-lock.json`.
    Npm(PackageLock),
    /// A `pnpm-lock.yaml`, with pnpm's `pnpm-workspace.yaml` beside it.
    Pnpm { lock: PnpmLock, settings: Option<String> },
}

/// A package that is built of a folder.
#[derive(Debug)]
pub(super) struct Itself {
    /// As what it will be installed, but for its digest.
    pub(super) package: Selected,
    /// What it is built of, by the paths in the folder.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// The digest of all that.
    pub(super) digest: Digest,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Inputs<'f> {
    pub(super) python: Vec<Python<'f>>,
    pub(super) node: Vec<Node<'f>>,
    /// The names of Debian packages.
    pub(super) packages: Vec<&'f [PackageName]>,
    /// Whether programs run in the layer, for which its parent's root has to be there.
    pub(super) runs_programs: bool,
}

impl<'f> Inputs<'f> {
    /// Reads the files of `found`'s steps.
    pub(super) fn read(found: &'f Found) -> Result<Self, Error> {
        let mut inputs =
            Self { python: Vec::new(), node: Vec::new(), packages: Vec::new(), runs_programs: false };
        for step in &found.recipe.steps {
            inputs.runs_programs |= runs_programs(step);
            match step {
                Step::Python(step) => inputs.python.push(Python::read(found, step)?),
                Step::Node(step) => inputs.node.push(Node::read(found, step)?),
                Step::Packages(names) => inputs.packages.push(names),
                Step::Run(_) | Step::Users(_) | Step::Files(_) | Step::Env(_) | Step::Slim(_) => {}
            }
        }
        requirements::check_conflicts(&inputs.requirements()?)?;
        Ok(inputs)
    }

    /// What requirements say, each file for itself.
    fn requirements(&self) -> Result<Vec<Requirements>, Error> {
        let files = self.python.iter().filter(|python| python.kind == PythonFile::Requirements);
        files.map(|python| Requirements::parse(&python.name, &python.text)).collect()
    }

    /// A digest of what is asked for: these files, and what they are for.
    pub(super) fn request(&self, parents: &[Parent]) -> Digest {
        let mut hasher = Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add(&format!("layer {FORMAT}"));
        for parent in parents {
            add(&format!("{parent:?}"));
        }
        for python in &self.python {
            add(&python.text);
            add(python.project.as_deref().unwrap_or_default());
            if !python.step.from_source.is_empty() {
                add(&format!("{:?}", python.step.from_source));
            }
        }
        for node in &self.node {
            add(&format!("{} {:?}", node.step.into(), node.step.without_scripts));
            add(&node.manifest);
            add(&node.text);
            if let NodeLock::Pnpm { settings, .. } = &node.lock {
                add(settings.as_deref().unwrap_or_default());
            }
            if !node.step.scripts.is_empty() {
                add(&format!("{:?}", node.step.scripts));
            }
            if let Some(itself) = &node.itself {
                add(&itself.digest.to_string());
            }
        }
        if self.runs_programs {
            add(&format!("root {:?}", self.packages));
        }
        hasher.finish()
    }

    /// The names of the Python packages that are built from their source.
    pub(super) fn built(&self) -> Vec<String> {
        self.python.iter().flat_map(|python| built(python.step)).collect()
    }

    /// The names of the Python packages that requirements name themselves.
    pub(super) fn requested(&self) -> Result<Vec<String>, Error> {
        let named = self.requirements()?.into_iter().flat_map(|file| file.lines);
        Ok(named.map(|requirement| requirement.name).collect())
    }
}

/// The names of the packages of a step that are built from their source, in their one spelling.
fn built(step: &PythonStep) -> Vec<String> {
    step.from_source.iter().map(|name| normalized(name)).collect()
}

/// Whether a step can only be carried out in the parent's root.
fn runs_programs(step: &Step) -> bool {
    match step {
        Step::Packages(_) | Step::Run(_) | Step::Users(_) => true,
        Step::Python(python) => !python.from_source.is_empty(),
        Step::Node(node) => !node.scripts.is_empty(),
        Step::Files(_) | Step::Env(_) | Step::Slim(_) => false,
    }
}

impl<'f> Python<'f> {
    fn read(found: &Found, step: &'f PythonStep) -> Result<Self, Error> {
        let file = &step.file;
        let base = file.file_name().unwrap_or_default().to_string_lossy();
        let kind = PythonFile::of(&base).unwrap_or(PythonFile::Requirements);
        let (name, text) = found.read(file)?;
        let project = match kind {
            PythonFile::UvLock => Some(found.read(&file.with_file_name("pyproject.toml"))?.1),
            _ => None,
        };
        match kind {
            PythonFile::Requirements => drop(Requirements::parse(&name, &text)?),
            PythonFile::Pylock => drop(requirements_of_lock(&name, &text, &built(step))?),
            PythonFile::UvLock => check_uv_lock(&name, &text)?,
        }
        Ok(Self { step, kind, name, text, project })
    }
}

impl<'f> Node<'f> {
    fn read(found: &Found, step: &'f NodeStep) -> Result<Self, Error> {
        let (_, manifest) = found.read(&step.folder.join("package.json"))?;
        let optional =
            |name: &str| found.path.as_ref().and_then(|_| found.read(&step.folder.join(name)).ok());
        let npmrc = optional(".npmrc");
        if let Some((name, text)) = optional("pnpm-lock.yaml") {
            if let Some((other, _)) = optional("package-lock.json") {
                return Err(Error::TwoLocks { first: other.into(), second: name.into() });
            }
            let lock = PnpmLock::parse(&name, &text, &manifest)?;
            let settings = optional("pnpm-workspace.yaml").map(|(_, text)| text);
            if !step.pack.is_empty() {
                let message = format!("{name}: `pack` goes with a package-lock.json: npm packs the folder");
                return Err(Error::Layer { message });
            }
            let lock = NodeLock::Pnpm { lock, settings };
            return Ok(Self { step, lock, npmrc: npmrc.map(|(_, text)| text), itself: None, manifest, text });
        }
        let (name, text) = found.read(&step.folder.join("package-lock.json"))?;
        let lock = NodeLock::Npm(PackageLock::parse(&name, &text, &manifest)?);
        let itself = if step.pack.is_empty() {
            None
        } else {
            Some(Itself::read(found, step, [("package.json", &manifest), ("package-lock.json", &text)])?)
        };
        Ok(Self { step, lock, npmrc: npmrc.map(|(_, text)| text), itself, manifest, text })
    }
}

/// What a package says of itself in its `package.json`.
#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
    #[serde(default)]
    bin: Programs,
}

/// Its programs: by their names, or one called like the package.
#[derive(Deserialize)]
#[serde(untagged)]
enum Programs {
    Named(BTreeMap<String, String>),
    One(String),
}

impl Default for Programs {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

impl Itself {
    fn read(found: &Found, step: &NodeStep, known: [(&str, &String); 2]) -> Result<Self, Error> {
        let mut files = found.files(&step.folder, &step.pack)?;
        for (name, text) in known {
            files.insert(name.to_owned(), text.clone().into_bytes());
        }
        let mut hasher = Hasher::new();
        for (path, contents) in &files {
            hasher.update(format!("{path} {}\n", contents.len()).as_bytes());
            hasher.update(contents);
        }
        let manifest: Manifest = serde_json::from_str(known[0].1).map_err(|error| deps::Error::NpmLock {
            name: step.folder.join("package.json").display().to_string(),
            message: error.to_string(),
        })?;
        let Manifest { name, version, bin } = manifest;
        let programs = match bin {
            Programs::Named(programs) => programs,
            Programs::One(file) => {
                [(name.rsplit('/').next().unwrap_or(&name).to_owned(), file)].into_iter().collect()
            }
        };
        let place = format!("node_modules/{name}");
        let package =
            Selected { place, name, version, integrity: None, is_native: false, direct: true, programs };
        Ok(Self { package, files, digest: hasher.finish() })
    }
}
