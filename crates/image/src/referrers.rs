//! Who is about an image: signatures, SBOMs, provenance.

use crate::layout::REF_NAME;
use crate::{Blobs, Descriptor, Layout, Result, media, read_small};

/// A place that knows which of its manifests are about another one.
pub trait Referrers: Blobs {
    /// The manifests that are about `subject`.
    ///
    /// # Errors
    /// When the place cannot be reached.
    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>>;
}

/// In a layout they stand in `index.json` beside the images, without a tag.
impl Referrers for Layout {
    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        for entry in self.index()?.manifests {
            let candidate =
                media::is_manifest(&entry.media_type) && !entry.annotations.contains_key(REF_NAME);
            if candidate {
                let about = crate::registry::subject(&read_small(self, &entry)?);
                if about.is_some_and(|about| about.digest == subject.digest) {
                    found.push(entry);
                }
            }
        }
        Ok(found)
    }
}
