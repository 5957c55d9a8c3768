//! Documents about an image, stored beside it: signatures, SBOMs, provenance (image specification, "Guidelines for Artifact
//! Usage").
//!
//! A document becomes a manifest of its own whose `subject` is the image. The image, and so its digest, stays as it was.

use std::collections::BTreeMap;

use crate::layout::REF_NAME;
use crate::{Blobs, Descriptor, Layout, Manifest, Result, Target, media, read_small};

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

/// The contents of an artifact's configuration, which has nothing to say.
pub(crate) const EMPTY: &[u8] = b"{}";

/// Stores `document`, of the media type `kind`, as one about `subject`, a manifest or an index that is there. Returns the
/// manifest of the document, the same for the same document.
///
/// # Errors
/// Those of [`Target`].
pub fn attach(
    target: &dyn Target,
    subject: &Descriptor,
    kind: &str,
    document: &[u8],
    annotations: BTreeMap<String, String>,
) -> Result<Descriptor> {
    let config = Descriptor::of(media::EMPTY, EMPTY);
    let layer = Descriptor::of(kind, document);
    for (blob, mut bytes) in [(&config, EMPTY), (&layer, document)] {
        if !target.has(blob)? {
            target.put(blob, &mut bytes)?;
        }
    }
    let manifest = Manifest {
        artifact_type: Some(kind.to_owned()),
        // What an index says of it beside its name is no part of the name.
        subject: Some(Descriptor::new(&subject.media_type, subject.digest, subject.size)),
        annotations,
        ..Manifest::new(config, vec![layer])
    };
    let bytes = manifest.to_bytes();
    let descriptor =
        Descriptor { artifact_type: Some(kind.to_owned()), ..Descriptor::of(media::MANIFEST, &bytes) };
    target.put_referrer(&descriptor, &bytes)?;
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lie_beside_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let bytes = Manifest::new(Descriptor::of(media::CONFIG, b"{}"), Vec::new()).to_bytes();
        let image = Descriptor::of(media::MANIFEST, &bytes);
        layout.put_manifest(&image, &bytes).unwrap();
        layout.tag(&image, &bytes, "latest").unwrap();
        let before = layout.find(None).unwrap();

        let attach = |kind, text: &[u8]| attach(&layout, &before, kind, text, BTreeMap::new()).unwrap();
        let first = attach(media::SPDX, b"{\"a\":1}");
        assert_eq!(attach(media::SPDX, b"{\"a\":1}"), first, "the same document is the same referrer");
        attach(media::IN_TOTO, b"{}");

        assert_eq!(layout.find(None).unwrap(), before, "the image is still the only one, and the same");
        let index = layout.index().unwrap();
        let kinds: Vec<_> = index.manifests.iter().map(|entry| entry.artifact_type.as_deref()).collect();
        assert_eq!(kinds, [None, Some(media::SPDX), Some(media::IN_TOTO)]);
        let manifest = Manifest::parse(&read_small(&layout, &first).unwrap(), "the referrer").unwrap();
        let subject = manifest.subject.unwrap();
        assert_eq!((subject.digest, subject.size), (image.digest, image.size));
        assert!(subject.annotations.is_empty());
        assert_eq!(manifest.config.media_type, media::EMPTY);
        assert_eq!(read_small(&layout, &manifest.config).unwrap(), b"{}");
        assert_eq!(read_small(&layout, &manifest.layers[0]).unwrap(), b"{\"a\":1}");
    }
}
