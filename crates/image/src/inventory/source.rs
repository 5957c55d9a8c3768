//! Where inventories are read from: tars, and the layers of images.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use cache::{Digest, Hasher};
use serde::Serialize;
use tree::codec::{Format, decoder};

use super::{Collector, Digests, Inventory};
use crate::{Blobs, Descriptor, Error, History, Image, Result};

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
/// [`Error::Tree`], [`Error::TooLarge`].
pub fn read_tree(
    source: impl Read + Send,
    digests: Digests,
    interrupted: &AtomicBool,
) -> Result<(Inventory, Digest, u64)> {
    let mut hashing = Hashing::new(source, interrupted);
    let mut collector = Collector::new(digests);
    collector.tree(decoded(&mut hashing)?)?;
    let (digest, size) = hashing.finish()?;
    Ok((collector.finish(), digest, size))
}

/// Reads the layers of an image, the lowest first, as one tree. Each is held to its digest, and its contents to what the
/// configuration promises.
///
/// # Errors
/// Those of [`Blobs::open`] and [`read_tree`]; [`Error::Read`] when a layer is not what was promised.
pub fn read_image(
    blobs: &dyn Blobs,
    image: &Image,
    digests: Digests,
    interrupted: &AtomicBool,
) -> Result<(Inventory, Vec<LayerFacts>)> {
    let Image { manifest, config, .. } = image;
    let promised = &config.rootfs.diff_ids;
    let mut collector = Collector::new(digests);
    let mut facts = Vec::with_capacity(manifest.layers.len());
    let history: Vec<&History> = config.history.iter().filter(|step| !step.empty_layer).collect();
    // One that has more or fewer steps than layers says nothing about which is which.
    let history = if history.len() == promised.len() { history } else { Vec::new() };
    for (number, (layer, promised)) in manifest.layers.iter().zip(promised).enumerate() {
        let changes = read_layer(blobs, (layer, promised), &mut collector, interrupted)?;
        facts.push(LayerFacts {
            digest: layer.digest,
            media_type: layer.media_type.clone(),
            size: layer.size,
            created_by: history.get(number).and_then(|step| step.created_by.clone()),
            files: changes.files,
            bytes: changes.bytes,
            removed: changes.removed,
        });
    }
    Ok((collector.finish(), facts))
}

fn read_layer(
    blobs: &dyn Blobs,
    (layer, promised): (&Descriptor, &Digest),
    collector: &mut Collector,
    interrupted: &AtomicBool,
) -> Result<super::collect::Changes> {
    let read = |source| Error::Read { what: layer.digest_text(), place: blobs.name(), source };
    // What is wrong with a tar says nothing yet about which of them.
    let in_layer = |error| match error {
        Error::Tree(tree::Error::Read(source)) => read(source),
        Error::Tree(problem) => read(io::Error::new(io::ErrorKind::InvalidData, problem)),
        other => other,
    };
    let mut stored = blobs.open(layer)?;
    let mut hashing = Hashing::new(decoded(&mut stored).map_err(in_layer)?, interrupted);
    let changes = collector.layer(&mut hashing).map_err(in_layer)?;
    let (found, _) = hashing.finish().map_err(in_layer)?;
    // Whatever decoder it was may have stopped before the end, where wrong bytes are noticed.
    io::copy(&mut stored, &mut io::sink()).map_err(read)?;
    if found == *promised {
        return Ok(changes);
    }
    let (found, promised) = (crate::digest::spell(&found), crate::digest::spell(promised));
    let message = format!("its uncompressed contents are {found}, and the configuration promises {promised}");
    Err(read(io::Error::new(io::ErrorKind::InvalidData, message)))
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
