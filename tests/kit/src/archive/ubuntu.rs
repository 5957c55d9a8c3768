//! Ubuntu's shape: two hosts, three suites each, four components, members in zstd.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{ArchiveBuilder, Package, SigningKey, SuiteBuilder};
use crate::compression::Compression;

/// An archive laid out and signed like Ubuntu's: `ubuntu/` with amd64 and `ubuntu-ports/` with arm64, each with the
/// release, its updates and its security fixes.
#[derive(Debug, Clone)]
pub struct UbuntuSite {
    codename: String,
    version: String,
    pockets: [Vec<Package>; 3],
    date: SystemTime,
}

impl UbuntuSite {
    /// A site of the release of this codename and version, such as `noble` and `24.04`, without packages.
    #[must_use]
    pub fn new(codename: &str, version: &str) -> Self {
        Self {
            codename: codename.to_owned(),
            version: version.to_owned(),
            pockets: Default::default(),
            date: SystemTime::now(),
        }
    }

    /// Adds packages to the release itself.
    #[must_use]
    pub fn release(mut self, packages: impl IntoIterator<Item = Package>) -> Self {
        self.pockets[0].extend(packages);
        self
    }

    /// Adds packages to the updates.
    #[must_use]
    pub fn updates(mut self, packages: impl IntoIterator<Item = Package>) -> Self {
        self.pockets[1].extend(packages);
        self
    }

    /// Adds packages to the security fixes.
    #[must_use]
    pub fn security(mut self, packages: impl IntoIterator<Item = Package>) -> Self {
        self.pockets[2].extend(packages);
        self
    }

    /// The date of all release files.
    #[must_use]
    pub const fn date(mut self, date: SystemTime) -> Self {
        self.date = date;
        self
    }

    /// The archive with this architecture, for a test that changes one detail before it is written.
    #[must_use]
    pub fn archive(&self, architecture: &str) -> ArchiveBuilder {
        let suites = ["", "-updates", "-security"].iter().zip(&self.pockets);
        suites.fold(ArchiveBuilder::new(), |archive, (suffix, packages)| {
            archive.suite(self.suite(suffix, packages, architecture))
        })
    }

    /// Writes `ubuntu` and `ubuntu-ports` beneath `folder` and gives their paths.
    pub fn write(&self, folder: &Path, key: &SigningKey) -> [PathBuf; 2] {
        [("ubuntu", "amd64"), ("ubuntu-ports", "arm64")].map(|(name, architecture)| {
            let root = folder.join(name);
            self.archive(architecture).write(&root, key);
            root
        })
    }

    /// Codename and suite differ for the pockets of a Debian release, not for Ubuntu's.
    fn suite(&self, suffix: &str, packages: &[Package], architecture: &str) -> SuiteBuilder {
        let suite = SuiteBuilder::new(&format!("{}{suffix}", self.codename))
            .field("Origin", "Ubuntu")
            .field("Label", "Ubuntu")
            .field("Codename", &self.codename)
            .field("Version", &self.version)
            .without_field("Valid-Until")
            .date(self.date)
            .architectures(&[architecture])
            .index_formats(&[Compression::Gzip, Compression::Xz]);
        let suite = suite.component("main", packages.iter().cloned());
        ["restricted", "universe", "multiverse"].iter().fold(suite, |suite, name| suite.component(name, []))
    }
}
