//! Where images are written to.

use std::io::Read;

use crate::{Descriptor, Place, Result};

/// A place that images are written to: an image layout, an archive, a repository of a registry. Contents come first, then
/// the manifests that name them, then tags: whoever looks in between sees nothing that is not whole.
pub trait Target: Place + Sync {
    /// Whether a content (no manifest) is there already.
    ///
    /// # Errors
    /// When the place cannot be reached.
    fn has(&self, blob: &Descriptor) -> Result<bool>;

    /// Stores a content.
    ///
    /// # Errors
    /// Also when `contents` are not what `blob` describes; nothing is stored then.
    fn put(&self, blob: &Descriptor, contents: &mut (dyn Read + Send)) -> Result<()>;

    /// Stores a manifest or an index; all that it names is there.
    ///
    /// # Errors
    /// When the place cannot be reached, or does not take it.
    fn put_manifest(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()>;

    /// Names a manifest or an index that is there.
    ///
    /// # Errors
    /// When the place cannot be reached, or does not take it.
    fn tag(&self, manifest: &Descriptor, bytes: &[u8], tag: &str) -> Result<()>;

    /// Stores a manifest that is about another one, its `subject`, so that who looks at that one finds it. Registries list
    /// such manifests by themselves.
    ///
    /// # Errors
    /// As [`Target::put_manifest`].
    fn put_referrer(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.put_manifest(manifest, bytes)
    }
}
