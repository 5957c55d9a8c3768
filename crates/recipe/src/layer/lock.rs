//! The lock of a layer: what it is put on, and every wheel and archive in it, for all architectures at once.

use std::path::Path;

use cache::Digest;
use deps::npm::Selected;
use serde::{Deserialize, Serialize};

use super::parent::Below;
use crate::Error;
use crate::lock::{self, Package};

/// The version of the format that this program reads and writes.
pub(super) const FORMAT: u32 = 1;

/// The size in bytes above which a file is not read as a lock.
const MAX_SIZE: u64 = 64 << 20;

/// What a layer resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LayerLock {
    /// The format's version: [`FORMAT`].
    pub format: u32,
    /// The recipe's name.
    pub recipe: String,
    /// A digest of what was asked for. When it differs from the recipe's, the lock is not this recipe's any more.
    pub request: Digest,
    /// What the layer is put on, by architecture.
    #[serde(rename = "parent")]
    pub parents: Vec<Parent>,
    /// Wheels.
    #[serde(default, rename = "wheel")]
    pub wheels: Vec<Wheel>,
    /// Packages of Node.js.
    #[serde(default, rename = "npm")]
    pub npm: Vec<Npm>,
    /// Programs for other machines that archives for every architecture bring.
    #[serde(default, rename = "program")]
    pub programs: Vec<Program>,
    /// The Debian packages of the parent, where the layer takes its root and it is made of packages.
    #[serde(default, rename = "below", skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Package>,
    /// The Debian packages that the layer adds to them.
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Packages that run programs of foreign architectures.
    #[serde(default, rename = "tool", skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Package>,
}

/// What a layer is put on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parent {
    /// The architecture.
    pub architecture: String,
    /// The recipe or image.
    pub name: String,
    /// The distribution and suite of its packages; none of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distro: Option<String>,
    /// What it is exactly: of an image its manifest, else all packages that it is made of.
    pub digest: Digest,
    /// Python's version, such as `3.13`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// glibc's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glibc: Option<String>,
    /// Node.js' version, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The version of its binary interface, `process.versions.modules`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_abi: Option<u32>,
}

/// A Python package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wheel {
    /// The project.
    pub name: String,
    /// The version.
    pub version: String,
    /// The wheel's file name.
    pub file: String,
    /// Its SHA-256.
    pub sha256: Digest,
    /// The architectures that it is installed for.
    pub architectures: Vec<String>,
    /// Asked for by name.
    #[serde(default)]
    pub requested: bool,
}

/// A package of Node.js in one place.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Npm {
    /// The `node` step that it belongs to, counted from 0 among such steps.
    pub step: usize,
    /// The SHA-256 of its archive; none when it comes in that of the package above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The architectures that it is installed for.
    pub architectures: Vec<String>,
    /// What it is.
    pub package: Selected,
}

/// A program for another machine than the layer's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// The file or package that brings it.
    pub from: String,
    /// Where it is.
    pub path: String,
    /// What it runs on.
    pub machine: String,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl LayerLock {
    /// The lock of a layer without packages of Python and Node.js.
    pub(super) fn on(recipe: &str, request: Digest, below: Below) -> Self {
        Self {
            format: FORMAT,
            recipe: recipe.to_owned(),
            request,
            parents: below.parents,
            wheels: Vec::new(),
            npm: Vec::new(),
            programs: Vec::new(),
            below: below.packages,
            packages: below.added,
            tools: below.tools,
        }
    }

    /// What a layer of `architecture` is put on.
    #[must_use]
    pub fn parent(&self, architecture: &str) -> Option<&Parent> {
        self.parents.iter().find(|parent| parent.architecture == architecture)
    }

    /// Reads a lock from `text`; `path` is what messages call it.
    ///
    /// # Errors
    /// [`Error::LockSyntax`] for anything that is not a lock of [`FORMAT`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        lock::parse(text, path, FORMAT, |lock: &Self| lock.format)
    }

    /// Reads the lock at `path`; none when there is none.
    ///
    /// # Errors
    /// [`Error::LockSyntax`], or [`Error::Io`] when it cannot be read.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        crate::output::read_text(path, MAX_SIZE)?.map(|text| Self::parse(&text, path)).transpose()
    }

    /// The lock as text. The same lock gives the same text.
    ///
    /// # Errors
    /// [`Error::LockWrite`] when a value has no form in TOML.
    pub fn to_text(&self) -> Result<String, Error> {
        let body = toml::to_string(self).map_err(|error| Error::LockWrite { message: error.to_string() })?;
        Ok(format!(
            "# Made by ovmlayer-rootfs: what the layer `{}` resolved to. Do not edit.\n{body}",
            self.recipe
        ))
    }
}
