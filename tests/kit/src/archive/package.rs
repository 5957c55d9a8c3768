//! A package as an archive sees it: its control file and its bytes.

use std::path::Path;

use crate::compression::Compression;
use crate::deb::{control_of, repack};

/// A package to be published.
#[derive(Debug, Clone)]
pub struct Package {
    control: String,
    body: Vec<u8>,
}

impl Package {
    /// A package whose index entry is its own control file.
    ///
    /// # Panics
    /// When the bytes are no package.
    #[must_use]
    pub fn from_deb(body: Vec<u8>) -> Self {
        Self { control: control_of(&body), body }
    }

    /// A package file, its members compressed another way when asked.
    ///
    /// # Panics
    /// When the file cannot be read as a package.
    #[must_use]
    pub fn from_file(path: &Path, repacked: Option<Compression>) -> Self {
        let body = match repacked {
            Some(compression) => repack(path, compression),
            None => std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}")),
        };
        Self::from_deb(body)
    }

    /// A package whose index entry says something else than its control file, or whose bytes are no package at all.
    #[must_use]
    pub fn new(control: &str, body: Vec<u8>) -> Self {
        Self { control: control.to_owned(), body }
    }

    /// The same with one field of the index entry added or replaced.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: &str) -> Self {
        let line = format!("{name}: {value}");
        let known = self.control.lines().any(|known| field_of(known) == Some(name));
        let lines = self.control.lines().map(|old| if field_of(old) == Some(name) { &line } else { old });
        self.control =
            lines.chain((!known).then_some(line.as_str())).map(|line| format!("{line}\n")).collect();
        self
    }

    /// A field of the control file; only the first line of a folded one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.control, name)
    }

    /// The bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Where the package lies beneath the archive's root.
    #[must_use]
    pub fn pool_path(&self, component: &str) -> String {
        let name = self.field("Package").expect("package with a name");
        let source = self.field("Source").map_or(name, |source| source.split(' ').next().unwrap_or(name));
        // Libraries have so many packages that they are sorted by four letters.
        let prefix = source.get(..if source.starts_with("lib") { 4 } else { 1 }).unwrap_or(source);
        format!("pool/{component}/{prefix}/{source}/{}", package_file_name(&self.control))
    }

    /// The paragraph of a `Packages` file.
    pub(crate) fn stanza(&self, component: &str) -> String {
        format!(
            "{}\nFilename: {}\nSize: {}\nSHA256: {}\n\n",
            self.control.trim_end(),
            self.pool_path(component),
            self.body.len(),
            sha256(&self.body)
        )
    }
}

/// `NAME_VERSION_ARCHITECTURE.deb`, the version without its epoch.
pub(crate) fn package_file_name(control: &str) -> String {
    let value = |name| field(control, name).unwrap_or("none");
    let version = value("Version");
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    format!("{}_{version}_{}.deb", value("Package"), value("Architecture"))
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

fn field<'text>(control: &'text str, name: &str) -> Option<&'text str> {
    control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn field_of(line: &str) -> Option<&str> {
    line.split_once(':').map(|(name, _)| name)
}
