//! Which executor process a job runs in (section 2.9 of the contract).

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::Options;

/// Jobs of one scope share executor processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The root of its package.
    pub(crate) path: PathBuf,
    /// Where its blocks keep what they want to keep.
    pub(crate) data_dir: PathBuf,
}

/// The first digits of a SHA-256.
pub(crate) fn digits(text: &str, count: usize) -> String {
    let mut digits = hex::encode(Sha256::digest(text.as_bytes()));
    digits.truncate(count);
    digits
}

/// The name that a service goes by, from the folder of its manifest.
#[must_use]
pub fn service_hash(dir: &Path) -> String {
    digits(&dir.to_string_lossy(), 16)
}

impl Scope {
    /// The scope that stands for this one: that of the default package, for packages that have no layers of their own.
    pub(crate) fn redirected(self, options: &Options) -> Self {
        let layers = options.layers.as_ref().filter(|layers| layers.exclude.contains(&self.path));
        match layers.and_then(|layers| layers.default_package.clone()) {
            Some(path) => Self { path, ..self },
            None => self,
        }
    }

    /// The name of its executor processes in a session; `apart` is what has one of its own.
    pub(crate) fn identifier(&self, session: &str, apart: Option<&str>) -> String {
        let path = self.path.to_string_lossy();
        let text = apart.map_or_else(|| path.to_string(), |apart| format!("{path}-{apart}"));
        format!("{session}-{}", digits(&text, 16))
    }
}
