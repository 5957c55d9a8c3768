//! What scripts of packages and executors see of the machine beside the layers.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Bind, Stdout};

/// Folders of the machine that hold what package managers have downloaded, at the same place inside.
const CACHES: [&str; 3] = ["/root/.local/share/pnpm/store", "/root/.npm", "/root/.cache/pip"];

/// What is let in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Folders and files.
    pub binds: Vec<Bind>,
    /// A file with variables, one `KEY=VALUE` a line.
    pub env_file: Option<PathBuf>,
    /// Names of further variables that are passed on, beside those that begin with `OOMOL_`.
    pub retain: Vec<String>,
    /// Where the standard output of scripts goes.
    pub stdout: Stdout,
}

impl Surroundings {
    /// Values of `--mount` for binds whose source is there; the others are told by `missing`.
    pub(crate) fn mounts(&self, missing: &mut dyn FnMut(&Bind)) -> Vec<OsString> {
        let mut mounts = Vec::new();
        for bind in &self.binds {
            if bind.is_there() {
                mounts.push(bind.to_mount());
            } else {
                missing(bind);
            }
        }
        mounts
    }

    /// The same, with the caches of package managers.
    pub(crate) fn mounts_with_caches(&self, missing: &mut dyn FnMut(&Bind)) -> Vec<OsString> {
        let mut mounts = self.mounts(missing);
        let caches = CACHES.iter().map(|path| Bind::same(path.as_ref()));
        let is_bound = |cache: &Bind| self.binds.iter().any(|bind| bind.target == cache.target);
        mounts.extend(
            caches.filter(|cache| cache.is_there() && !is_bound(cache)).map(|cache| cache.to_mount()),
        );
        mounts
    }

    /// The variables of this process that go in.
    pub(crate) fn variables(&self) -> Vec<(OsString, OsString)> {
        let is_passed = |name: &OsString| {
            name.as_encoded_bytes().starts_with(b"OOMOL_") || self.retain.iter().any(|known| *name == **known)
        };
        let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| is_passed(name)).collect();
        variables.sort();
        variables
    }
}
