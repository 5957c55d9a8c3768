//! An image layout in a tar: `oci-archive:`.

use std::io::Read;

use super::{TarFile, tags};
use crate::layout::choose;
use crate::{Blobs, Descriptor, Error, Index, Place, Result, Verified};

/// An image layout in a tar.
pub(super) struct LayoutTar {
    archive: TarFile,
}

impl LayoutTar {
    /// Whether `archive` is one.
    pub(super) fn is_in(archive: &TarFile) -> bool {
        archive.find("oci-layout").is_some() && archive.find("index.json").is_some()
    }

    /// The layout, the image in it that is called `tag` or the only one, and all tags.
    pub(super) fn open(archive: TarFile, tag: Option<&str>) -> Result<(Self, Descriptor, Vec<String>)> {
        let layout = Self { archive };
        let Some(span) = layout.archive.find("index.json") else {
            return Err(Error::NoArchive { place: layout.name() });
        };
        let what = format!("`index.json` in {}", layout.archive.path().display());
        let index = Index::parse(&layout.archive.read_small("index.json", span)?, &what)?;
        let root = choose(&index, tag, &layout.name())?;
        Ok((layout, root, tags(&index)))
    }
}

impl Place for LayoutTar {
    fn name(&self) -> String {
        format!("oci-archive:{}", self.archive.path().display())
    }
}

impl Blobs for LayoutTar {
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let Some(span) = self.archive.find(&format!("blobs/sha256/{}", blob.digest)) else {
            return Err(Error::NoBlob { what: blob.digest_text(), place: self.name() });
        };
        Ok(Box::new(Verified::new(self.archive.read(span), blob)))
    }
}
