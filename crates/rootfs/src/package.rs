//! The packages that a root is built from.

use cache::Digest;

/// One package to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, for messages.
    pub version: String,
    /// Its architecture: the root's, or `all`.
    pub architecture: String,
    /// The `.deb` in the cache.
    pub digest: Digest,
    /// The size of the `.deb`, in bytes.
    pub size: u64,
    /// Unpacked before any script runs: the package is essential, or one of these depends on it.
    pub essential: bool,
}
