//! Changes of a tree into one layer.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use cache::Digest;
use tree::codec::{Encoder, Format};
use tree::layer::{Change, pack_changes};
use tree::{Root, tar};

use super::blob::NewBlob;
use super::hashing::Hashing;
use crate::{Descriptor, Error, Layout, Result, media};

/// A layer that is in its layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The compressed layer, as a manifest names it.
    pub descriptor: Descriptor,
    /// The digest of the tar in it, as a configuration names it.
    pub diff_id: Digest,
    /// The length of the tar in bytes.
    pub size: u64,
}

/// Packs changes of a tree into layers of a layout.
#[derive(Debug)]
pub struct LayerBuilder<'a> {
    /// Where contents are read.
    pub root: &'a Root,
    /// Where the layer is written to.
    pub layout: &'a Layout,
    /// How it is compressed. OCI has no xz.
    pub compression: Format,
    /// How many threads read and compress, 1 or more; the bytes do not depend on it.
    pub threads: usize,
    /// Set from outside to stop.
    pub interrupted: &'a AtomicBool,
}

impl LayerBuilder<'_> {
    /// Packs `changes`, which are in path order, in one pass: what is read goes through the tar, both digests and the
    /// compression to the disk, and the layer is there under its name when it is whole.
    ///
    /// # Errors
    /// [`Error::Tree`] when the tree cannot be read, is changed meanwhile, or holds what an OCI layer cannot (names that begin
    /// with `.wh.`); [`Error::Io`]; [`Error::Interrupted`]; [`Error::Compression`].
    pub fn pack(&self, changes: impl IntoIterator<Item = Change, IntoIter: Send>) -> Result<Layer> {
        let media_type = media::layer(self.compression)
            .ok_or_else(|| Error::Compression { format: self.compression.to_string() })?;
        let new = NewBlob::create(self.layout)?;
        let write = |error| Error::io("write", new.path())(error);
        let stored = Hashing::new(Stopping { inner: new.file(), interrupted: self.interrupted });
        let encoder = Encoder::new(self.compression, stored.map_err(write)?, self.threads).map_err(write)?;
        let mut writer = tar::Writer::new(Hashing::new(encoder).map_err(write)?);
        let packed = pack_changes(self.root, changes, self.threads, &mut writer);
        packed.map_err(|error| self.explain(error))?;
        let plain = writer.finish().map_err(|error| self.explain(error))?;
        let (encoder, plain_size, diff_id) = plain.finish().map_err(write)?;
        let (_, size, digest) = encoder.finish().and_then(Hashing::finish).map_err(write)?;
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let descriptor = Descriptor::new(media_type, digest, size);
        new.store(self.layout, &descriptor)?;
        Ok(Layer { descriptor, diff_id, size: plain_size })
    }

    fn explain(&self, error: tree::Error) -> Error {
        if self.interrupted.load(Ordering::Relaxed) {
            return Error::Interrupted;
        }
        match error {
            tree::Error::Write(source) => Error::io("write a layer into", self.layout.path())(source),
            error => Error::Tree(error),
        }
    }
}

/// Passes bytes on until it is told to stop.
struct Stopping<'a, W> {
    inner: W,
    interrupted: &'a AtomicBool,
}

impl<W: Write> Write for Stopping<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
