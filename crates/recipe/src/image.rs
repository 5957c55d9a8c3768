//! Writes images: the layers of each architecture, and at the end the index of all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use cache::Scratch;
use image::build::{ImageBuilder, Layer, LayerBuilder, put_index, write_docker_tar, write_oci_tar};
use image::{Descriptor, Empty, Image, Layout, Platform, Process, Reference, Source, Target as _};
use tree::Root;
use tree::codec::Format;

use crate::Error;
use crate::about::{Documents, Made, Whole};
use crate::build::Options;
use crate::concerns::Concerns;
use crate::find::Found;
use crate::format::{Compression, Form, Image as Settings};
use crate::layering::{self, Part};
use crate::output::{self, Pending, Shape};
use crate::temporary::Temporary;

/// What the image is called in its layout when it has no other name.
const TAG: &str = "latest";

/// The `PATH` of images that say nothing else: Debian's, for root.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image in the making.
#[derive(Debug)]
pub(crate) struct ImageOutput<'a> {
    recipe: &'a str,
    settings: Settings,
    /// The file or folder that it becomes.
    path: PathBuf,
    form: Form,
    tags: Vec<String>,
    documents: &'a Documents,
    layout: Layout,
    place: Place,
    /// Each with its architecture.
    images: Vec<(String, Descriptor)>,
}

/// A layer that is in the layout, and how it came to be.
#[derive(Debug)]
pub(crate) struct Packed {
    layer: Layer,
    origin: String,
}

/// Where the layout is written.
#[derive(Debug)]
enum Place {
    /// Beside its final name.
    Final(Temporary),
    /// In a folder that goes when files have been made of it.
    Staging(Scratch),
}

impl<'a> ImageOutput<'a> {
    /// Begins the image of `found`.
    ///
    /// # Errors
    /// When a folder that is no image has its name, or nothing can be written there.
    pub(crate) fn begin(found: &'a Found, options: &'a Options) -> Result<Self, Error> {
        let name = found.artifact();
        let form = Form::of(name);
        if form == Form::DockerTar && !options.documents.is_empty() {
            return Err(Error::NoPlaceForDocuments { recipe: found.called() });
        }
        Self::begin_at(found, options, options.out.join(name), form)
    }

    /// Begins the image that has the layers of `found`, each for its architecture, with nothing below: a layout that is called
    /// like the recipe.
    pub(crate) fn of_layers(found: &'a Found, options: &'a Options) -> Result<Self, Error> {
        Self::begin_at(found, options, options.out.join(&found.name), Form::Layout)
    }

    fn begin_at(found: &'a Found, options: &'a Options, path: PathBuf, form: Form) -> Result<Self, Error> {
        let (recipe, out) = (&found.recipe, &options.out);
        let (layout, place) = if form == Form::Layout {
            refuse_others(&path)?;
            let temporary = Temporary::folder(&path)?;
            (Layout::create(temporary.path())?, Place::Final(temporary))
        } else {
            let scratch = Scratch::new(out, "image")?;
            (Layout::create(&scratch.path().join("layout"))?, Place::Staging(scratch))
        };
        let settings = recipe.image.clone().unwrap_or_default();
        let tags = if options.tags.is_empty() { vec![TAG.to_owned()] } else { options.tags.clone() };
        let documents = &options.documents;
        let images = Vec::new();
        Ok(Self { recipe: &found.name, settings, path, form, tags, documents, layout, place, images })
    }

    /// Adds the image of one architecture: the tree beneath `root`, with labels of its own.
    pub(crate) fn add(
        &mut self,
        architecture: &str,
        root: &Root,
        concerns: &Concerns,
        shape: &Shape<'_>,
        labels: BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let entries = output::entries(root, shape)?;
        let parts = layering::parts(self.settings.layers, root, &entries, concerns)?;
        drop(entries);
        let layers = parts.into_iter().map(|part| self.pack(root, part, shape)).collect::<Result<_, _>>()?;
        let mut image = ImageBuilder::new(&Platform::linux(architecture), shape.epoch)?;
        image.process().labels = labels;
        self.write(architecture, image, layers)
    }

    /// Takes over the layers of an image that ours is put on.
    pub(crate) fn take(&self, source: &dyn Source, parent: &Image) -> Result<(), Error> {
        for layer in &parent.manifest.layers {
            if !self.layout.has(layer)? {
                self.layout.put(layer, &mut source.open(layer)?)?;
            }
        }
        Ok(())
    }

    /// Adds the image of one architecture: that of `parent`, whose layers were taken over, or none, with `layers` on top.
    pub(crate) fn add_on(
        &mut self,
        architecture: &str,
        parent: Option<&Image>,
        layers: Vec<Packed>,
        epoch: i64,
    ) -> Result<(), Error> {
        let image = match parent {
            Some(parent) => ImageBuilder::on(&parent.manifest, &parent.config, epoch)?,
            None => ImageBuilder::new(&Platform::linux(architecture), epoch)?,
        };
        self.write(architecture, image, layers)
    }

    /// Packs a part of what is beneath `root` into a layer.
    pub(crate) fn pack(&self, root: &Root, part: Part, shape: &Shape<'_>) -> Result<Packed, Error> {
        let builder = LayerBuilder {
            root,
            layout: &self.layout,
            compression: self.compression(),
            threads: shape.threads,
            interrupted: shape.interrupted,
        };
        Ok(Packed { layer: builder.pack(part.changes)?, origin: part.origin })
    }

    fn write(
        &mut self,
        architecture: &str,
        mut image: ImageBuilder,
        layers: Vec<Packed>,
    ) -> Result<(), Error> {
        describe(image.process(), &self.settings);
        for (name, value) in &self.settings.annotations {
            image.annotate(name, value);
        }
        for Packed { layer, origin } in layers {
            image.push(&layer, &format!("ovmlayer-rootfs build {}: {origin}", self.recipe));
        }
        self.images.push((architecture.to_owned(), image.write(&self.layout)?));
        Ok(())
    }

    /// Completes the image: nothing but the final names are missing then.
    pub(crate) fn finish(self, made: Made, interrupted: &AtomicBool) -> Result<Vec<Pending>, Error> {
        if self.form == Form::DockerTar {
            return self
                .images
                .iter()
                .map(|(architecture, image)| self.docker(architecture, image, interrupted))
                .collect();
        }
        let images: Vec<Descriptor> = self.images.into_iter().map(|(_, image)| image).collect();
        let index = put_index(&self.layout, images.clone(), self.settings.annotations, &self.tags)?;
        let whole = Whole { name: self.recipe, layout: &self.layout, index: &index, images: &images };
        whole.describe(self.documents, made, interrupted)?;
        let pending = match self.place {
            Place::Final(temporary) => {
                let size = output::folder_size(temporary.path())?;
                Pending::folder(temporary, size, index.digest)
            }
            Place::Staging(scratch) => {
                let pending = output::write_file(&self.path, interrupted, |sink| {
                    Ok(write_oci_tar(&self.layout, sink).map(drop)?)
                })?;
                scratch.close()?;
                pending
            }
        };
        Ok(vec![pending])
    }

    fn docker(
        &self,
        architecture: &str,
        image: &Descriptor,
        interrupted: &AtomicBool,
    ) -> Result<Pending, Error> {
        let path = PathBuf::from(self.path.to_string_lossy().replace("{arch}", architecture));
        // What is no name of an image has none; `docker load` then says its digest.
        let names = self.tags.iter().map(|tag| format!("{}:{tag}", self.recipe));
        let names: Vec<String> = names.filter(|name| name.parse::<Reference>().is_ok()).collect();
        output::write_file(&path, interrupted, |sink| {
            Ok(write_docker_tar(&self.layout, image, &names, sink).map(drop)?)
        })
    }

    /// A Docker archive has layers that are not compressed.
    fn compression(&self) -> Format {
        match (self.form, self.settings.compression) {
            (Form::DockerTar, _) => Format::Plain,
            (_, Compression::Gzip) => Format::Gzip,
            (_, Compression::Zstd) => Format::Zstd,
        }
    }
}

/// A folder of somebody else must not be taken for an image of an earlier build, and be replaced.
fn refuse_others(path: &Path) -> Result<(), Error> {
    let is_empty = std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        Layout::open(path)?;
    }
    Ok(())
}

/// Puts what a recipe says of how its image is run over what the image below it says.
fn describe(process: &mut Process, settings: &Settings) {
    let mut env = settings.env.clone();
    if !process.env.iter().any(|variable| variable.starts_with("PATH=")) {
        env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    }
    let given = |variable: &str| variable.split_once('=').is_some_and(|(name, _)| env.contains_key(name));
    process.env.retain(|variable| !given(variable));
    process.env.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    // As everywhere: arguments belong to the program that they were meant for.
    if !settings.entrypoint.is_empty() {
        process.entrypoint.clone_from(&settings.entrypoint);
        process.cmd.clear();
    }
    if !settings.cmd.is_empty() {
        process.cmd.clone_from(&settings.cmd);
    }
    for (mine, theirs) in [
        (&settings.user, &mut process.user),
        (&settings.workdir, &mut process.working_dir),
        (&settings.stop_signal, &mut process.stop_signal),
    ] {
        if !mine.is_empty() {
            theirs.clone_from(mine);
        }
    }
    let port = |port: &String| if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
    process.exposed_ports.extend(settings.ports.iter().map(|name| (port(name), Empty {})));
    process.volumes.extend(settings.volumes.iter().map(|path| (path.clone(), Empty {})));
    process.labels.extend(settings.labels.clone());
}
