//! Debian-format archives on disk, as mirrors serve them.

mod key;
mod mirror;
mod package;
mod suite;
mod ubuntu;

use std::path::Path;

pub use key::SigningKey;
pub use mirror::{MachineArchive, MirrorSubset, machine_archives};
pub use package::Package;
pub(crate) use package::package_file_name;
pub use suite::{SignatureForm, SuiteBuilder};
pub use ubuntu::UbuntuSite;

/// Lays out an archive: one root folder with `dists/` and `pool/`.
///
/// ```no_run
/// # use ovmlayer_testkit::{ArchiveBuilder, DebBuilder, Package, SigningKey, SuiteBuilder};
/// let key = SigningKey::generate();
/// let hello = Package::from_deb(DebBuilder::new("hello", "1.0").build());
/// let suite = SuiteBuilder::new("trixie").component("main", [hello]);
/// ArchiveBuilder::new().suite(suite).write(std::path::Path::new("served/debian"), &key);
/// ```
#[derive(Debug, Clone, Default)]
pub struct ArchiveBuilder {
    suites: Vec<SuiteBuilder>,
}

impl ArchiveBuilder {
    /// An archive without suites.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a suite.
    #[must_use]
    pub fn suite(mut self, suite: SuiteBuilder) -> Self {
        self.suites.push(suite);
        self
    }

    /// Writes the archive beneath `root`, each suite signed by `key`. What is already there is replaced, so a test can
    /// publish a newer state of the same archive.
    ///
    /// # Panics
    /// When a file cannot be written or `gpg` fails.
    pub fn write(&self, root: &Path, key: &SigningKey) {
        for suite in &self.suites {
            suite.write(root, key);
        }
    }
}

/// Writes a file and the folders above it.
pub(crate) fn put(path: &Path, content: &[u8]) {
    let folder = path.parent().expect("a file lies in a folder");
    std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("cannot create {folder:?}: {error}"));
    std::fs::write(path, content).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
}
