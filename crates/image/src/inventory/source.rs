//! Where inventories are read from: tars, and the layers of images.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use cache::{Digest, Hasher};
use serde::Serialize;
use tree::codec::{Format, decoder};

use super::{Collector, Digests, Inventory};
use crate::{Blobs, Error, History, Image, Result};

/// As many first bytes as tell how a stream is compressed.
const MAGIC: usize = 6;

/// What one layer of an image is and does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerFacts {
    /// The digest of the layer as it is stored.
    #[serde(with = "crate::digest")]
    pub digest: Digest,
    /// Its type.
    pub media_type: String,
    /// Its stored length in bytes.
    pub size: u64,
    /// The command that made it, as far as the configuration says.
    pub created_by: Option<String>,
    /// How many files, links and devices are in it.
    pub files: u64,
    /// The bytes of its files.
    pub bytes: u64,
    /// How many names it removes from the layers beneath it.
    pub removed: u64,
}

/// Reads a tar, compressed in any way this project knows or not at all. Returns also the digest and length of the bytes as
/// they were given.
///
/// # Errors
/// [`Error::Tree`], [`Error::Add`].
pub fn read_tree(
    source: impl Read + Send,
    digests: Digests,
    interrupted: &AtomicBool,
) -> Result<(Inventory, Digest, u64)> {
    let mut hashing = Hashing::new(source, interrupted);
    let mut collector = Collector::new(digests);
    collector.tree(decoded(&mut hashing)?)?;
    let (digest, size) = hashing.finish()?;
    Ok((collector.finish()?, digest, size))
}

/// Reads the layers of an image, the lowest first, as one tree. Each is held to its digest, and its contents to what the
/// configuration promises.
///
/// # Errors
/// [`Error::Layer`] with what is wrong; [`Error::Tree`].
pub fn read_image(
    blobs: &dyn Blobs,
    image: &Image,
    digests: Digests,
    interrupted: &AtomicBool,
) -> Result<(Inventory, Vec<LayerFacts>)> {
    let mut collector = Collector::new(digests);
    let changes = collector.image(blobs, image, interrupted)?;
    let Image { manifest, config, .. } = image;
    let history: Vec<&History> = config.history.iter().filter(|step| !step.empty_layer).collect();
    // One that has more or fewer steps than layers says nothing about which is which.
    let history = if history.len() == manifest.layers.len() { history } else { Vec::new() };
    let layers = manifest.layers.iter().zip(changes).enumerate();
    let facts = layers.map(|(number, (layer, changes))| LayerFacts {
        digest: layer.digest,
        media_type: layer.media_type.clone(),
        size: layer.size,
        created_by: history.get(number).and_then(|step| step.created_by.clone()),
        files: changes.files,
        bytes: changes.bytes,
        removed: changes.removed,
    });
    let facts = facts.collect();
    Ok((collector.finish()?, facts))
}

/// The plain contents of what is perhaps compressed.
fn decoded<'a>(mut source: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let mut magic = Vec::with_capacity(MAGIC);
    let read = |error| Error::Tree(tree::Error::Read(error));
    source.by_ref().take(MAGIC as u64).read_to_end(&mut magic).map_err(read)?;
    let format = Format::sniff(&magic);
    decoder(format, io::Cursor::new(magic).chain(source)).map_err(read)
}

/// Knows what has passed through it, and ends when it is asked to.
struct Hashing<'a, R> {
    inner: R,
    interrupted: &'a AtomicBool,
    hasher: Hasher,
    size: u64,
}

impl<'a, R: Read> Hashing<'a, R> {
    fn new(inner: R, interrupted: &'a AtomicBool) -> Self {
        Self { inner, interrupted, hasher: Hasher::new(), size: 0 }
    }

    /// The digest and length of everything there is.
    fn finish(mut self) -> Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| Error::Tree(tree::Error::Read(error)))?;
        Ok((self.hasher.finish(), self.size))
    }
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}
