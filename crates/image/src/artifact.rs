//! Files that are no image, one for each platform, kept where images are (image specification, "Guidelines for Artifact
//! Usage").
//!
//! Each file becomes the only layer of a manifest with an artifact type, and an index lists these by platform. General tools
//! find it all: `oras pull` and `skopeo copy` need no knowledge of the kind.

use std::collections::BTreeMap;
use std::io::Read;

use crate::referrers::EMPTY;
use crate::{Descriptor, Index, Manifest, Platform, Result, Target, media};

/// What clients call a file that they take out of an artifact (image specification, "Pre-Defined Annotation Keys").
pub const TITLE: &str = "org.opencontainers.image.title";

/// A file for one platform.
pub struct Part<'a> {
    /// Which machines it is for.
    pub platform: Platform,
    /// Type, digest and size of the file.
    pub blob: Descriptor,
    /// Opens the file, once at most.
    pub open: &'a (dyn Fn() -> Result<Box<dyn Read + Send>> + Sync),
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("platform", &self.platform)
            .field("blob", &self.blob)
            .finish_non_exhaustive()
    }
}

/// Stores `parts` as one artifact of the type `kind` and gives it `tags`, the last thing that is done. Returns its index,
/// the same for the same parts and annotations.
///
/// # Errors
/// Those of [`Target`], and of opening a file.
pub fn store(
    target: &dyn Target,
    kind: &str,
    parts: &[Part<'_>],
    annotations: &BTreeMap<String, String>,
    tags: &[String],
) -> Result<Descriptor> {
    let config = Descriptor::of(media::EMPTY, EMPTY);
    if !target.has(&config)? {
        target.put(&config, &mut &EMPTY[..])?;
    }
    for part in parts {
        if !target.has(&part.blob)? && !target.mount(&part.blob)? {
            target.put(&part.blob, &mut *(part.open)()?)?;
        }
    }
    let mut entries = Vec::new();
    for part in parts {
        let manifest = Manifest {
            artifact_type: Some(kind.to_owned()),
            annotations: annotations.clone(),
            ..Manifest::new(config.clone(), vec![part.blob.clone()])
        };
        let bytes = manifest.to_bytes();
        let descriptor = Descriptor::of(media::MANIFEST, &bytes);
        target.put_manifest(&descriptor, &bytes)?;
        let platform = Some(part.platform.clone());
        entries.push(Descriptor { artifact_type: Some(kind.to_owned()), platform, ..descriptor });
    }
    let index = Index {
        artifact_type: Some(kind.to_owned()),
        annotations: annotations.clone(),
        ..Index::new(entries)
    };
    let bytes = index.to_bytes();
    let root = Descriptor { artifact_type: Some(kind.to_owned()), ..Descriptor::of(media::INDEX, &bytes) };
    target.put_manifest(&root, &bytes)?;
    for tag in tags {
        target.tag(&root, &bytes, tag)?;
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, read_small};

    #[test]
    fn each_platform_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let open = || -> Result<Box<dyn Read + Send>> { Ok(Box::new(&b"a file"[..])) };
        let part = |architecture: &str| Part {
            platform: Platform::linux(architecture),
            blob: Descriptor {
                annotations: BTreeMap::from([(TITLE.to_owned(), format!("{architecture}.zip"))]),
                ..Descriptor::of("application/zip", b"a file")
            },
            open: &open,
        };
        let parts = [part("amd64"), part("arm64")];
        let tags = ["v1".to_owned()];
        let root = store(&layout, "application/x-test", &parts, &BTreeMap::new(), &tags).unwrap();
        assert_eq!(store(&layout, "application/x-test", &parts, &BTreeMap::new(), &tags).unwrap(), root);

        let index = Index::parse(&read_small(&layout, &root).unwrap(), "index").unwrap();
        let platforms: Vec<_> = index.manifests.iter().map(|entry| entry.platform.clone().unwrap()).collect();
        assert_eq!(platforms, [Platform::linux("amd64"), Platform::linux("arm64")]);
        let manifest = read_small(&layout, &index.manifests[1]).unwrap();
        let manifest = Manifest::parse(&manifest, "manifest").unwrap();
        assert_eq!(manifest.artifact_type.as_deref(), Some("application/x-test"));
        assert_eq!(manifest.layers[0].annotations[TITLE], "arm64.zip");
        assert_eq!(read_small(&layout, &manifest.layers[0]).unwrap(), b"a file");
    }

    #[test]
    fn a_file_that_is_another_one_gets_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let open = || -> Result<Box<dyn Read + Send>> { Ok(Box::new(&b"a fils"[..])) };
        let blob = Descriptor::of("application/zip", b"a file");
        let parts = [Part { platform: Platform::linux("amd64"), blob, open: &open }];
        let tags = ["v1".to_owned()];
        assert!(store(&layout, "application/x-test", &parts, &BTreeMap::new(), &tags).is_err());
        assert!(layout.find(Some("v1")).is_err());
    }
}
