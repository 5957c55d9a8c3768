//! OCI archives: a layout as one tar (`oci-archive:` of containers-transports(5)).

use std::io::{self, Read, Write};
use std::path::Path;

use tree::{Entry, Kind, Links, Metadata, Root, tar};

use super::staging::Staging;
use crate::{Descriptor, Layout, Place, Result, Target};

/// An OCI archive that is being written. It is there, under its name, after [`OciTar::finish`].
#[derive(Debug)]
pub struct OciTar(Staging);

impl OciTar {
    /// Begins the archive at `path`.
    ///
    /// # Errors
    /// When nothing can be written beside it.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self(Staging::beside(path)?))
    }

    /// Writes the archive, in the place of what was there.
    ///
    /// # Errors
    /// When it cannot be written; what was there is still there then.
    pub fn finish(self) -> Result<()> {
        self.0.finish(|layout, sink| write_oci_tar(layout, sink).map(drop))
    }
}

impl Place for OciTar {
    fn name(&self) -> String {
        format!("oci-archive:{}", self.0.path().display())
    }
}

impl Target for OciTar {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        self.0.layout().has(blob)
    }

    fn put(&self, blob: &Descriptor, contents: &mut (dyn Read + Send)) -> Result<()> {
        self.0.layout().put(blob, contents)
    }

    fn put_manifest(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.0.layout().put_manifest(manifest, bytes)
    }

    fn tag(&self, manifest: &Descriptor, bytes: &[u8], tag: &str) -> Result<()> {
        self.0.layout().tag(manifest, bytes, tag)
    }
}

/// Writes `layout` as a tar to `sink`: by path, owned by root, of 1970, so that the same layout gives the same bytes.
///
/// # Errors
/// When the layout cannot be read, or the sink fails.
pub fn write_oci_tar<W: Write>(layout: &Layout, sink: W) -> Result<W> {
    let root = Root::open(layout.path(), Links::Refuse)?;
    let mut writer = tar::Writer::new(sink);
    let mut scan = root.scan();
    while let Some(found) = scan.next() {
        let found = found?;
        // What begins with a dot is not complete.
        if found.path.is_root() || found.path.file_name().is_some_and(|name| name.starts_with(b".")) {
            continue;
        }
        let mode = if found.kind == Kind::Directory { 0o755 } else { 0o644 };
        let entry = Entry { metadata: Metadata::new(mode, 0), ..found };
        match entry.kind {
            Kind::File { size: 1.. } => writer.append(&entry, &mut scan.open()?)?,
            _ => writer.append(&entry, &mut io::empty())?,
        }
    }
    Ok(writer.finish()?)
}
