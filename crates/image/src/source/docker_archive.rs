//! What `docker save` writes: a tar with `manifest.json`, configurations, and layers as tars.
//!
//! An image in it has no manifest, so one is made. Layers that are plain tars go by the digests that the configuration has
//! for them, which is checked when they are read; compressed ones, which other programs write, are hashed when opened.

use std::collections::HashMap;
use std::io::{self, Read};

use cache::{Digest, Hasher};
use serde::Deserialize;
use tree::codec::Format;

use super::TarFile;
use super::tar_file::Span;
use crate::manifest::{LAYER_LIMIT, parse};
use crate::{Blobs, Config, Descriptor, Error, Manifest, Place, Result, Verified, media};

/// The list of images.
const LIST: &str = "manifest.json";

/// How much is hashed at a time, in bytes.
const BUFFER: usize = 256 * 1024;

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// One image of an archive.
pub(super) struct DockerArchive {
    archive: TarFile,
    manifest: Vec<u8>,
    root: Digest,
    contents: HashMap<Digest, Span>,
}

impl DockerArchive {
    /// Whether `archive` is one.
    pub(super) fn is_in(archive: &TarFile) -> bool {
        archive.find(LIST).is_some()
    }

    /// The image called `tag` or the only one, its manifest, and all tags.
    pub(super) fn open(archive: TarFile, tag: Option<&str>) -> Result<(Self, Descriptor, Vec<String>)> {
        let place = name(&archive);
        let Some(span) = archive.find(LIST) else { return Err(Error::NoArchive { place }) };
        let what = format!("`{LIST}` in {}", archive.path().display());
        let images: Vec<Listed> = parse(&archive.read_small(LIST, span)?, &what)?;
        let tags: Vec<String> =
            images.iter().flat_map(|image| image.repo_tags.iter().flatten().cloned()).collect();
        let listed = choose(&images, tag, &place, &tags)?;
        let mut open =
            Self { archive, manifest: Vec::new(), root: Digest::of(b""), contents: HashMap::new() };
        let manifest = open.manifest(listed)?;
        open.manifest = manifest.to_bytes();
        let root = Descriptor::of(media::MANIFEST, &open.manifest);
        open.root = root.digest;
        Ok((open, root, tags))
    }

    fn manifest(&mut self, listed: &Listed) -> Result<Manifest> {
        let what = format!("the image in {}", name(&self.archive));
        if listed.layers.len() > LAYER_LIMIT {
            return Err(Error::TooManyLayers { what, count: listed.layers.len() });
        }
        let span = self.find(&listed.config)?;
        let bytes = self.archive.read_small(&listed.config, span)?;
        let config = Config::parse(&bytes, &format!("`{}` in {}", listed.config, name(&self.archive)))?;
        let count = config.rootfs.diff_ids.len();
        if count != listed.layers.len() {
            return Err(Error::LayerCount { what, layers: listed.layers.len(), diff_ids: count });
        }
        let descriptor = Descriptor::of(media::CONFIG, &bytes);
        self.contents.insert(descriptor.digest, span);
        let mut layers = Vec::new();
        for (layer, diff_id) in listed.layers.iter().zip(&config.rootfs.diff_ids) {
            let span = self.find(layer)?;
            let format = self.format(span).map_err(Error::io("read", self.archive.path()))?;
            let Some(media_type) = media::layer(format) else {
                return Err(Error::NoLayer { what: format!("`{layer}`"), found: format!("{format:?}") });
            };
            let digest = if format == Format::Plain {
                *diff_id
            } else {
                self.digest(span).map_err(Error::io("read", self.archive.path()))?
            };
            layers.push(Descriptor::new(media_type, digest, span.size));
            self.contents.insert(digest, span);
        }
        Ok(Manifest::new(descriptor, layers))
    }

    fn find(&self, path: &str) -> Result<Span> {
        let missing = || {
            let shown: String = path.chars().take(200).collect();
            Error::NoBlob { what: format!("`{shown}`"), place: name(&self.archive) }
        };
        self.archive.find(path).ok_or_else(missing)
    }

    fn format(&self, span: Span) -> io::Result<Format> {
        let mut start = Vec::new();
        self.archive.read(span).take(6).read_to_end(&mut start)?;
        Ok(Format::sniff(&start))
    }

    fn digest(&self, span: Span) -> io::Result<Digest> {
        let (mut source, mut hasher) = (self.archive.read(span), Hasher::new());
        let mut buffer = vec![0; BUFFER];
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }
}

fn name(archive: &TarFile) -> String {
    format!("docker-archive:{}", archive.path().display())
}

/// The image that has the tag, or the only one.
fn choose<'l>(images: &'l [Listed], tag: Option<&str>, place: &str, tags: &[String]) -> Result<&'l Listed> {
    let named = |image: &&Listed| {
        tag.is_none_or(|tag| image.repo_tags.iter().flatten().any(|name| is_called(name, tag)))
    };
    let mut found = images.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (one, _) => Err(Error::NoImage {
            place: place.to_owned(),
            wanted: tag.map(str::to_owned),
            several: one.is_some(),
            tags: tags.to_vec(),
        }),
    }
}

/// Whether a name in `manifest.json` is what somebody means: the same image, however short it is said.
fn is_called(name: &str, wanted: &str) -> bool {
    let full = |text: &str| text.parse::<crate::Reference>().ok();
    name == wanted || full(name).is_some_and(|name| Some(name) == full(wanted))
}

impl Place for DockerArchive {
    fn name(&self) -> String {
        name(&self.archive)
    }
}

impl Blobs for DockerArchive {
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        if blob.digest == self.root {
            return Ok(Box::new(Verified::new(&self.manifest[..], blob)));
        }
        match self.contents.get(&blob.digest) {
            Some(span) => Ok(Box::new(Verified::new(self.archive.read(*span), blob))),
            None => Err(Error::NoBlob { what: blob.digest_text(), place: self.name() }),
        }
    }
}
