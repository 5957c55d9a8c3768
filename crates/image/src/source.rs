//! Opening what a location names, wherever it is.

mod docker_archive;
mod layout_tar;
mod tar_file;

use std::io::Read;
use std::path::Path;

use docker_archive::DockerArchive;
use layout_tar::LayoutTar;
use tar_file::TarFile;

use crate::{Blobs, Descriptor, Error, Index, Layout, Location, Place, REF_NAME, Reference, Result};

/// A place that contents are read from, and what its location names there.
pub trait Source: Blobs + Send {
    /// The manifest or index.
    fn root(&self) -> &Descriptor;

    /// The tags that the place has; none for a registry, which is not asked.
    fn tags(&self) -> &[String];
}

/// Opens images in registries, which is the business of another module and of no test that stays on this machine.
pub type Remote<'a> = dyn Fn(&Reference) -> Result<Box<dyn Source>> + Send + Sync + 'a;

/// Opens what `location` names. An archive that is compressed as a whole is expanded in `scratch`, into a file without a
/// name. Layouts and what `docker save` writes are told apart by what is in them, whichever the location says.
///
/// # Errors
/// [`Error::NoRegistry`] for a reference without `remote`; [`Error::NoImage`]; whatever is wrong with the place.
pub fn open_source(
    location: &Location,
    scratch: &Path,
    remote: Option<&Remote<'_>>,
) -> Result<Box<dyn Source>> {
    match location {
        Location::Registry(reference) => {
            let Some(remote) = remote else { return Err(Error::NoRegistry { reference: reference.clone() }) };
            remote(reference)
        }
        Location::Layout { path, tag } => {
            let layout = Layout::open(path)?;
            let (root, tags) = (layout.find(tag.as_deref())?, tags(&layout.index()?));
            Ok(Box::new(Opened { blobs: layout, root, tags }))
        }
        Location::LayoutTar { path, tag } | Location::DockerArchive { path, tag } => {
            let archive = TarFile::open(path, scratch)?;
            // What recent versions of Docker write is both. A name of Docker's stands in `manifest.json` alone.
            let prefer_docker = matches!(location, Location::DockerArchive { .. });
            open_archive(archive, tag.as_deref(), prefer_docker, &location.to_string())
        }
    }
}

fn open_archive(
    archive: TarFile,
    tag: Option<&str>,
    prefer_docker: bool,
    name: &str,
) -> Result<Box<dyn Source>> {
    let is_layout = LayoutTar::is_in(&archive);
    let is_docker = DockerArchive::is_in(&archive);
    match (is_layout, is_docker, prefer_docker) {
        (true, true, true) | (false, true, _) => {
            let (blobs, root, tags) = DockerArchive::open(archive, tag)?;
            Ok(Box::new(Opened { blobs, root, tags }))
        }
        (true, _, _) => {
            let (blobs, root, tags) = LayoutTar::open(archive, tag)?;
            Ok(Box::new(Opened { blobs, root, tags }))
        }
        (false, false, _) => Err(Error::NoArchive { place: name.to_owned() }),
    }
}

/// A place that has been opened.
struct Opened<B> {
    blobs: B,
    root: Descriptor,
    tags: Vec<String>,
}

impl<B: Blobs> Place for Opened<B> {
    fn name(&self) -> String {
        self.blobs.name()
    }
}

impl<B: Blobs> Blobs for Opened<B> {
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.blobs.open(blob)
    }
}

impl<B: Blobs + Send> Source for Opened<B> {
    fn root(&self) -> &Descriptor {
        &self.root
    }

    fn tags(&self) -> &[String] {
        &self.tags
    }
}

/// The tags in the index of a layout.
fn tags(index: &Index) -> Vec<String> {
    index.manifests.iter().filter_map(|entry| entry.annotations.get(REF_NAME).cloned()).collect()
}
