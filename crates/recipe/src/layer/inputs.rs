//! What the steps of a layer name: read, checked, and joined into one digest.

use std::path::Path;

use cache::{Digest, Hasher};
use deps::npm::{PackageLock, PnpmLock};
use deps::python::{check_uv_lock, requirements_of_lock};

use super::lock::{FORMAT, Parent};
use super::requirements::{self, Requirements};
use crate::Error;
use crate::find::Found;
use crate::format::{NodeStep, PythonFile, Step};

/// A file that names Python packages.
#[derive(Debug)]
pub(super) struct Python {
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

/// All of it.
#[derive(Debug)]
pub(super) struct Inputs<'f> {
    pub(super) python: Vec<Python>,
    pub(super) node: Vec<Node<'f>>,
}

impl<'f> Inputs<'f> {
    /// Reads the files of `found`'s steps.
    pub(super) fn read(found: &'f Found) -> Result<Self, Error> {
        let mut inputs = Self { python: Vec::new(), node: Vec::new() };
        for step in &found.recipe.steps {
            match step {
                Step::Python(step) => inputs.python.push(Python::read(found, &step.file)?),
                Step::Node(step) => inputs.node.push(Node::read(found, step)?),
                _ => {}
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
        }
        for node in &self.node {
            add(&format!("{} {:?}", node.step.into(), node.step.without_scripts));
            add(&node.manifest);
            add(&node.text);
            if let NodeLock::Pnpm { settings, .. } = &node.lock {
                add(settings.as_deref().unwrap_or_default());
            }
        }
        hasher.finish()
    }

    /// The names of the Python packages that requirements name themselves.
    pub(super) fn requested(&self) -> Result<Vec<String>, Error> {
        let named = self.requirements()?.into_iter().flat_map(|file| file.lines);
        Ok(named.map(|requirement| requirement.name).collect())
    }
}

impl Python {
    fn read(found: &Found, file: &Path) -> Result<Self, Error> {
        let base = file.file_name().unwrap_or_default().to_string_lossy();
        let kind = PythonFile::of(&base).unwrap_or(PythonFile::Requirements);
        let (name, text) = found.read(file)?;
        let project = match kind {
            PythonFile::UvLock => Some(found.read(&file.with_file_name("pyproject.toml"))?.1),
            _ => None,
        };
        match kind {
            PythonFile::Requirements => drop(Requirements::parse(&name, &text)?),
            PythonFile::Pylock => drop(requirements_of_lock(&name, &text)?),
            PythonFile::UvLock => check_uv_lock(&name, &text)?,
        }
        Ok(Self { kind, name, text, project })
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
            let lock = NodeLock::Pnpm { lock, settings };
            return Ok(Self { step, lock, npmrc: npmrc.map(|(_, text)| text), manifest, text });
        }
        let (name, text) = found.read(&step.folder.join("package-lock.json"))?;
        let lock = NodeLock::Npm(PackageLock::parse(&name, &text, &manifest)?);
        Ok(Self { step, lock, npmrc: npmrc.map(|(_, text)| text), manifest, text })
    }
}
