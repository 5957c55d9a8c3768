//! Reads what the user named, a tar, a folder or an image, into an inventory.

use std::error::Error;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;

use http::Cancel;
use image::inspection::Origin;
use image::inventory::{Collector, Digests, Inventory, read_image, read_tree};
use image::registry::{Access, Options, open_repository};
use image::{Image, Layout, Location, Platform, Source, Target};
use recipe::build::Interrupt;
use tree::{EntryPath, Kind, Links, Root};

use super::registries::{self, Opened};
use crate::cli::{Choice, Cli, Network, Registries};
use crate::progress::{Reading, Shown, Transfer};
use crate::{printer, signals};

/// What was found.
pub(crate) struct Looked {
    pub(crate) origin: Origin,
    pub(crate) inventory: Inventory,
    /// Where the image is, if it is one.
    pub(crate) location: Option<Location>,
}

/// How things are looked at.
pub(crate) struct Look<'a> {
    choice: &'a Choice,
    digests: Digests,
    options: Options,
    interrupt: Interrupt,
    shown: Arc<Shown>,
}

impl<'a> Look<'a> {
    /// Looks as the command line says at `sources`, all there will be.
    pub(crate) fn new(
        cli: &Cli,
        (choice, registries, network): (&'a Choice, &Registries, &Network),
        sources: &[&String],
        digests: Digests,
    ) -> Result<Self, Box<dyn Error>> {
        let interrupt = Interrupt::new()?;
        signals::watch(&interrupt)?;
        let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
        let events = Arc::new(Transfer::troubles(Arc::clone(&shown)));
        let cancel = Cancel::from_flag(Arc::clone(interrupt.flag()));
        let locations: Vec<Location> = sources.iter().filter_map(|text| Location::guess(text).ok()).collect();
        let locations: Vec<&Location> = locations.iter().collect();
        let options = registries::options(registries, network, &locations, events, cancel)?;
        Ok(Self { choice, digests, options, interrupt, shown })
    }

    /// Reads `source`; of several images the one that was chosen. What could not be understood is warned of.
    pub(crate) fn at(&self, source: &str) -> Result<Looked, Box<dyn Error>> {
        let path = Path::new(source);
        let looked = if path.join("oci-layout").exists() {
            self.image(&Location::Layout { path: path.to_owned(), tag: None })
        } else if path.is_dir() {
            self.folder(path)
        } else if path.exists() {
            self.tar(path)
        } else if source.starts_with(['.', '/']) {
            Err(format!("cannot read {source}: there is no such file or folder").into())
        } else {
            self.image(&source.parse()?)
        };
        self.shown.finish();
        if self.interrupt.is_set() {
            return Err(image::Error::Interrupted.into());
        }
        let looked = looked.map_err(|error| in_source(source, error))?;
        looked.inventory.notes.iter().for_each(|note| printer::warning(note));
        Ok(looked)
    }

    /// A place that takes documents about the image at `location`.
    pub(crate) fn target(&self, location: &Location) -> Result<Box<dyn Target>, Box<dyn Error>> {
        Ok(match location {
            Location::Layout { path, .. } => Box::new(Layout::open(path)?),
            Location::Registry(reference) => {
                Box::new(open_repository(reference, Access::Push, &self.options)?)
            }
            Location::LayoutTar { .. } | Location::DockerArchive { .. } => {
                let message = format!(
                    "cannot attach to {location}: an archive is written once; attach to a layout or a registry, and copy \
                     with `--referrers`"
                );
                return Err(message.into());
            }
        })
    }

    fn folder(&self, path: &Path) -> Result<Looked, Box<dyn Error>> {
        let root = Root::open(path, Links::Refuse).map_err(image::Error::from)?;
        let mut scan = root.scan();
        let mut collector = Collector::new(self.digests);
        let name = name_of(path);
        let reading = self.reading(&name, None);
        while let Some(entry) = scan.next() {
            self.check()?;
            let entry = entry.map_err(image::Error::from)?;
            if matches!(entry.kind, Kind::File { .. }) {
                let mut file = scan.open().map_err(image::Error::from)?;
                collector.entry(entry, &mut reading.of(&mut file))?;
            } else {
                collector.entry(entry, &mut io::empty())?;
            }
        }
        let origin = Origin { name, ..Origin::default() };
        Ok(Looked { origin, inventory: collector.finish()?, location: None })
    }

    fn tar(&self, path: &Path) -> Result<Looked, Box<dyn Error>> {
        let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        let length = file.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
        let name = name_of(path);
        let reading = self.reading(&name, length);
        let (inventory, digest, size) = read_tree(reading.of(file), self.digests, self.interrupt.flag())?;
        // A tar of an image holds the image, not a tree.
        let has = |name: &[u8]| EntryPath::parse(name).is_ok_and(|name| inventory.file(&name).is_some());
        if has(b"oci-layout") || (has(b"manifest.json") && !has(b"etc") && !has(b"usr")) {
            return self.image(&Location::LayoutTar { path: path.to_owned(), tag: None });
        }
        let origin = Origin { name, digest: Some(digest), stored: Some(size), image: None };
        Ok(Looked { origin, inventory, location: None })
    }

    fn image(&self, location: &Location) -> Result<Looked, Box<dyn Error>> {
        let opened = Opened::open(location, &self.options)?;
        let image = match &self.choice.platform {
            Some(platform) => Image::find(&opened, opened.root(), platform)?,
            None => Image::find_any(&opened, opened.root(), &this_machine())?,
        };
        let name = location.to_string();
        let reading = self.reading(&name, Some(image.manifest.layers.iter().map(|layer| layer.size).sum()));
        let blobs = reading.of_blobs(&opened);
        let (inventory, layers) = read_image(&blobs, &image, self.digests, self.interrupt.flag())?;
        let origin = Origin {
            name,
            digest: Some(image.descriptor.digest),
            stored: None,
            image: Some((image, layers)),
        };
        Ok(Looked { origin, inventory, location: Some(location.clone()) })
    }

    fn reading(&self, name: &str, total: Option<u64>) -> Reading {
        Reading::new(Arc::clone(&self.shown), name.to_owned(), total)
    }

    fn check(&self) -> Result<(), image::Error> {
        if self.interrupt.is_set() { Err(image::Error::Interrupted) } else { Ok(()) }
    }
}

fn this_machine() -> Platform {
    Platform::linux(recipe::distro::machine_architecture())
}

/// Says of what an error is that names no file.
fn in_source(source: &str, error: Box<dyn Error>) -> Box<dyn Error> {
    match error.downcast::<image::Error>() {
        Ok(error) => match *error {
            error @ (image::Error::Tree(_) | image::Error::Add { .. } | image::Error::TooLarge { .. }) => {
                Box::new(Unreadable { source: source.to_owned(), error })
            }
            other => Box::new(other),
        },
        Err(other) => other,
    }
}

/// A tar or folder that is not what it should be.
#[derive(Debug)]
struct Unreadable {
    source: String,
    error: image::Error,
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

/// The last part of a path.
fn name_of(path: &Path) -> String {
    let whole = path.canonicalize();
    let whole = whole.as_deref().unwrap_or(path);
    whole.file_name().map_or_else(|| whole.display().to_string(), |name| name.to_string_lossy().into_owned())
}
