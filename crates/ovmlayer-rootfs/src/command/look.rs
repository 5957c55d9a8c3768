//! Reads what the user named, a tar, a folder or an image, into an inventory.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;

use image::inspection::Origin;
use image::inventory::{Collector, Digests, Image, Inventory, read_image, read_tree};
use image::{Blobs, Descriptor, Layout, Location, Place, Platform};
use tree::{EntryPath, Kind, Links, Root};

use crate::printer;

/// What was found.
pub(crate) struct Looked {
    pub(crate) origin: Origin,
    pub(crate) inventory: Inventory,
}

/// Reads `source`; of an image that for `platform`. What could not be understood is warned of.
pub(crate) fn look(
    source: &str,
    platform: Option<&Platform>,
    digests: Digests,
) -> Result<Looked, Box<dyn Error>> {
    let path = Path::new(source);
    let looked = if path.join("oci-layout").exists() {
        image(&Location::Layout { path: path.to_owned(), tag: None }, platform, digests)
    } else if path.is_dir() {
        folder(path, digests)
    } else if path.exists() {
        tar(path, platform, digests)
    } else if source.starts_with(['.', '/']) {
        Err(format!("cannot read {source}: there is no such file or folder").into())
    } else {
        image(&source.parse()?, platform, digests)
    };
    let looked = looked.map_err(|error| in_source(source, error))?;
    looked.inventory.notes.iter().for_each(|note| printer::warning(note));
    Ok(looked)
}

/// Says of what an error is that names no file.
fn in_source(source: &str, error: Box<dyn Error>) -> Box<dyn Error> {
    match error.downcast::<image::Error>() {
        Ok(error) => match *error {
            image::Error::Tree(error) => Box::new(Unreadable { source: source.to_owned(), error }),
            other => Box::new(other),
        },
        Err(other) => other,
    }
}

/// A tar or folder that is not what it should be.
#[derive(Debug)]
struct Unreadable {
    source: String,
    error: tree::Error,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read {} as a tar, a folder or an image", self.source)
    }
}

impl Error for Unreadable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

fn folder(path: &Path, digests: Digests) -> Result<Looked, Box<dyn Error>> {
    let root = Root::open(path, Links::Refuse).map_err(image::Error::from)?;
    let mut scan = root.scan();
    let mut collector = Collector::new(digests);
    while let Some(entry) = scan.next() {
        let entry = entry.map_err(image::Error::from)?;
        if matches!(entry.kind, Kind::File { .. }) {
            let mut file = scan.open().map_err(image::Error::from)?;
            collector.entry(entry, &mut file)?;
        } else {
            collector.entry(entry, &mut io::empty())?;
        }
    }
    let origin = Origin { name: name_of(path), ..Origin::default() };
    Ok(Looked { origin, inventory: collector.finish() })
}

fn tar(path: &Path, platform: Option<&Platform>, digests: Digests) -> Result<Looked, Box<dyn Error>> {
    let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let (inventory, digest, size) = read_tree(file, digests)?;
    // A tar of an image holds the image, not a tree.
    let has = |name: &[u8]| EntryPath::parse(name).is_ok_and(|name| inventory.file(&name).is_some());
    if has(b"oci-layout") {
        return image(&Location::LayoutTar { path: path.to_owned(), tag: None }, platform, digests);
    }
    if has(b"manifest.json") && !has(b"etc") && !has(b"usr") {
        return image(&Location::DockerArchive { path: path.to_owned(), tag: None }, platform, digests);
    }
    let origin = Origin { name: name_of(path), digest: Some(digest), stored: Some(size), image: None };
    Ok(Looked { origin, inventory })
}

fn image(
    location: &Location,
    platform: Option<&Platform>,
    digests: Digests,
) -> Result<Looked, Box<dyn Error>> {
    let (blobs, found) = open_image(location)?;
    let image = Image::open(&*blobs, &found, platform)?;
    let (inventory, layers) = read_image(&*blobs, &image.manifest, &image.config, digests)?;
    let origin = Origin {
        name: location.to_string(),
        digest: Some(image.descriptor.digest),
        stored: None,
        image: Some((image, layers)),
    };
    Ok(Looked { origin, inventory })
}

/// Where an image is read from, and its manifest or index there.
fn open_image(location: &Location) -> Result<(Box<dyn Blobs>, Descriptor), Box<dyn Error>> {
    match location {
        Location::Layout { path, tag } => {
            let layout = Layout::open(path)?;
            let found = layout.find(tag.as_deref())?;
            Ok((Box::new(layout), found))
        }
        Location::Registry(_) | Location::LayoutTar { .. } | Location::DockerArchive { .. } => Err(format!(
            "cannot read {location}: copy it into an OCI image layout first, and name that folder"
        )
        .into()),
    }
}

/// The last part of a path.
fn name_of(path: &Path) -> String {
    let whole = path.canonicalize();
    let whole = whole.as_deref().unwrap_or(path);
    whole.file_name().map_or_else(|| whole.display().to_string(), |name| name.to_string_lossy().into_owned())
}
