//! Docker archives: what `docker save` writes and `docker load` takes (`docker-archive:` of containers-transports(5)).

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cache::{Digest, Hasher};
use serde_json::json;
use tree::codec::{Bounded, Format, decoder};
use tree::{Entry, EntryPath, Kind, Metadata, tar};

use super::staging::Staging;
use crate::{Blobs, Config, Descriptor, Error, Index, Manifest, Place, Platform, Result, Target};
use crate::{media, read_small};

/// The longest tar that a layer may expand to, in bytes.
const LAYER_LIMIT: u64 = 64 << 30;

/// A Docker archive that is being written. It is there, under its name, after [`DockerTar::finish`].
#[derive(Debug)]
pub struct DockerTar {
    staging: Staging,
    names: Vec<String>,
    image: Mutex<Option<Descriptor>>,
}

impl DockerTar {
    /// Begins the archive at `path`; `names` are what `docker load` calls the image, such as `app:latest`.
    ///
    /// # Errors
    /// When nothing can be written beside it.
    pub fn create(path: &Path, names: Vec<String>) -> Result<Self> {
        Ok(Self { staging: Staging::beside(path)?, names, image: Mutex::new(None) })
    }

    /// Writes the archive of the image that was tagged last, in the place of what was there.
    ///
    /// # Errors
    /// [`Error::OnePlatform`] for an index of several images, [`Error::NoImage`] when none was tagged, and when it cannot be
    /// written; what was there is still there then.
    pub fn finish(self) -> Result<()> {
        let image = self.image.lock().unwrap_or_else(PoisonError::into_inner).take();
        let place = self.name();
        let image = image.ok_or_else(|| Error::NoImage {
            place: place.clone(),
            wanted: None,
            several: false,
            tags: Vec::new(),
        })?;
        self.staging.finish(|layout, sink| {
            let image = only(layout, image, &place)?;
            write_docker_tar(layout, &image, &self.names, sink).map(drop)
        })
    }
}

impl Place for DockerTar {
    fn name(&self) -> String {
        format!("docker-archive:{}", self.staging.path().display())
    }
}

impl Target for DockerTar {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        self.staging.layout().has(blob)
    }

    fn put(&self, blob: &Descriptor, contents: &mut (dyn Read + Send)) -> Result<()> {
        self.staging.layout().put(blob, contents)
    }

    fn put_manifest(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<()> {
        self.staging.layout().put_manifest(manifest, bytes)
    }

    fn tag(&self, manifest: &Descriptor, _: &[u8], _: &str) -> Result<()> {
        *self.image.lock().unwrap_or_else(PoisonError::into_inner) = Some(manifest.clone());
        Ok(())
    }
}

/// The image, or the only one of an index.
fn only(blobs: &dyn Blobs, image: Descriptor, place: &str) -> Result<Descriptor> {
    if !media::is_index(&image.media_type) {
        return Ok(image);
    }
    let index = Index::parse(&read_small(blobs, &image)?, "the image's index")?;
    let count = index.manifests.len();
    match <[Descriptor; 1]>::try_from(index.manifests) {
        Ok([image]) => Ok(image),
        Err(images) => {
            let platforms =
                images.iter().filter_map(|image| image.platform.as_ref().map(Platform::to_string));
            let platforms: Vec<String> = platforms.collect();
            Err(Error::OnePlatform { place: place.to_owned(), count, platforms: platforms.join(", ") })
        }
    }
}

/// Writes the image that `manifest` describes as a Docker archive to `sink`: its configuration, its layers, not compressed,
/// each by its digest, and `manifest.json`, by name, of 1970, so that the same image gives the same bytes.
///
/// # Errors
/// When the image cannot be read, is not what it promises, or the sink fails.
pub fn write_docker_tar<W: Write>(
    blobs: &dyn Blobs,
    manifest: &Descriptor,
    names: &[String],
    sink: W,
) -> Result<W> {
    let manifest = Manifest::parse(&read_small(blobs, manifest)?, "the image's manifest")?;
    let config_bytes = read_small(blobs, &manifest.config)?;
    let config = Config::parse(&config_bytes, "the image's configuration")?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let message = format!("it names {} layers of {}", diff_ids.len(), manifest.layers.len());
        return Err(Error::Json { what: "the image's configuration".to_owned(), message });
    }
    let layer_name = |diff_id: &Digest| format!("{diff_id}.tar");
    let config_name = format!("{}.json", manifest.config.digest);
    let image = json!([{
        "Config": config_name,
        "RepoTags": names,
        "Layers": diff_ids.iter().map(layer_name).collect::<Vec<_>>(),
    }]);
    let mut members: BTreeMap<String, Member<'_>> = BTreeMap::new();
    members.insert(config_name, Member::Bytes(config_bytes));
    members.insert("manifest.json".to_owned(), Member::Bytes(format!("{image}\n").into_bytes()));
    for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
        members.insert(layer_name(diff_id), Member::Layer(layer, diff_id));
    }
    let mut writer = tar::Writer::new(sink);
    for (name, member) in members {
        let path = EntryPath::parse(name.as_bytes()).map_err(tree::Error::from)?;
        let entry = |size| Entry { path, kind: Kind::File { size }, metadata: Metadata::new(0o644, 0) };
        match member {
            Member::Bytes(bytes) => writer.append(&entry(bytes.len() as u64), &mut &bytes[..])?,
            Member::Layer(layer, diff_id) => {
                let size = measure(blobs, layer, diff_id)?;
                writer.append(&entry(size), &mut plain(blobs, layer)?)?;
            }
        }
    }
    Ok(writer.finish()?)
}

/// A member of the archive.
enum Member<'a> {
    Bytes(Vec<u8>),
    Layer(&'a Descriptor, &'a Digest),
}

/// The length of a layer's tar, which its header needs, and whether it is the promised one. It is read twice for that; who
/// wants to save the time has layers that are not compressed.
fn measure(blobs: &dyn Blobs, layer: &Descriptor, diff_id: &Digest) -> Result<u64> {
    // Verified while it is read.
    if layer.digest == *diff_id {
        return Ok(layer.size);
    }
    let mut hasher = Hasher::new();
    let read = |source| Error::Read { what: layer.digest_text(), place: blobs.name(), source };
    let size = io::copy(&mut plain(blobs, layer)?, &mut hasher).map_err(read)?;
    let found = hasher.finish();
    if found == *diff_id {
        return Ok(size);
    }
    let (found, promised) = (crate::digest::spell(&found), crate::digest::spell(diff_id));
    let message = format!("it has the digest {found}, but the configuration promises {promised}");
    Err(read(io::Error::new(io::ErrorKind::InvalidData, message)))
}

/// The tar of a layer. What it begins with says better than its media type how it is compressed.
fn plain<'b>(blobs: &'b dyn Blobs, layer: &Descriptor) -> Result<Box<dyn Read + Send + 'b>> {
    let read = |source| Error::Read { what: layer.digest_text(), place: blobs.name(), source };
    let mut contents = blobs.open(layer)?;
    let mut start = Vec::new();
    contents.by_ref().take(6).read_to_end(&mut start).map_err(read)?;
    let format = Format::sniff(&start);
    let whole = io::Cursor::new(start).chain(contents);
    Ok(Box::new(Bounded::new(decoder(format, whole).map_err(read)?, LAYER_LIMIT)))
}
