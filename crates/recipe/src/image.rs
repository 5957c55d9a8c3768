//! Writes images: the layers of each architecture, and at the end the index of all of them.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use cache::Scratch;
use image::build::{ImageBuilder, LayerBuilder, put_index, write_docker_tar, write_oci_tar};
use image::{Descriptor, Empty, Layout, Platform, Process, Reference};
use tree::Root;
use tree::codec::Format;

use crate::Error;
use crate::concerns::Concerns;
use crate::find::Found;
use crate::format::{Compression, Form, Image};
use crate::layering;
use crate::output::{self, Pending, Shape};
use crate::temporary::Temporary;

/// What the image is called in its layout.
const TAG: &str = "latest";

/// The `PATH` of images that say nothing else: Debian's, for root.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image in the making.
#[derive(Debug)]
pub(crate) struct ImageOutput<'a> {
    recipe: &'a str,
    settings: Image,
    /// The file or folder that it becomes.
    path: PathBuf,
    form: Form,
    layout: Layout,
    place: Place,
    /// Each with its architecture.
    images: Vec<(String, Descriptor)>,
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
    /// Begins the image of `found`, which will be in the folder `out`.
    ///
    /// # Errors
    /// When a folder that is no image has its name, or nothing can be written there.
    pub(crate) fn begin(found: &'a Found, out: &Path) -> Result<Self, Error> {
        let recipe = &found.recipe;
        let name = if recipe.output.is_empty() { &found.name } else { &recipe.output };
        let (path, form) = (out.join(name), Form::of(name));
        let (layout, place) = if form == Form::Layout {
            refuse_others(&path)?;
            let temporary = Temporary::folder(&path)?;
            (Layout::create(temporary.path())?, Place::Final(temporary))
        } else {
            let scratch = Scratch::new(out, "image")?;
            (Layout::create(&scratch.path().join("layout"))?, Place::Staging(scratch))
        };
        let settings = recipe.image.clone().unwrap_or_default();
        Ok(Self { recipe: &found.name, settings, path, form, layout, place, images: Vec::new() })
    }

    /// Adds the image of one architecture: the tree beneath `root`.
    pub(crate) fn add(
        &mut self,
        architecture: &str,
        root: &Root,
        concerns: &Concerns,
        shape: &Shape<'_>,
    ) -> Result<(), Error> {
        let entries = output::entries(root, shape)?;
        let parts = layering::parts(self.settings.layers, root, &entries, concerns)?;
        drop(entries);
        let builder = LayerBuilder {
            root,
            layout: &self.layout,
            compression: self.compression(),
            threads: shape.threads,
            interrupted: shape.interrupted,
        };
        let mut image = ImageBuilder::new(&Platform::linux(architecture), shape.epoch)?;
        *image.process() = process(&self.settings);
        for (name, value) in &self.settings.annotations {
            image.annotate(name, value);
        }
        for part in parts {
            let layer = builder.pack(part.changes)?;
            image.push(&layer, &format!("ovmlayer-rootfs build {}: {}", self.recipe, part.origin));
        }
        self.images.push((architecture.to_owned(), image.write(&self.layout)?));
        Ok(())
    }

    /// Completes the image: nothing but the final names are missing then.
    pub(crate) fn finish(self, interrupted: &AtomicBool) -> Result<Vec<Pending>, Error> {
        if self.form == Form::DockerTar {
            return self
                .images
                .iter()
                .map(|(architecture, image)| self.docker(architecture, image, interrupted))
                .collect();
        }
        let images = self.images.into_iter().map(|(_, image)| image).collect();
        let index = put_index(&self.layout, images, self.settings.annotations, TAG)?;
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
        let name = format!("{}:{TAG}", self.recipe);
        let names: Vec<String> = name.parse::<Reference>().is_ok().then_some(name).into_iter().collect();
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

/// How the image is run.
fn process(settings: &Image) -> Process {
    let mut env = settings.env.clone();
    env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    let port = |port: &String| if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
    Process {
        user: settings.user.clone(),
        exposed_ports: settings.ports.iter().map(|name| (port(name), Empty {})).collect(),
        env: env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        entrypoint: settings.entrypoint.clone(),
        cmd: settings.cmd.clone(),
        volumes: settings.volumes.iter().map(|path| (path.clone(), Empty {})).collect(),
        working_dir: settings.workdir.clone(),
        labels: settings.labels.clone(),
        stop_signal: settings.stop_signal.clone(),
    }
}
