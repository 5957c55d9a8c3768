//! An image's layers into one tree.
//!
//! Each layer is read once, the lowest first. What is in it goes two ways: names, metadata and where contents are go into
//! memory, contents go one after the other into a working file without a name. Then the tree is written in path order,
//! contents out of the working file. Nothing is unpacked onto a disk, so no link and no name in a layer can lead anywhere.
//! An inventory is made the same way, but for the contents, of which it keeps the digests.
//!
//! What a layer does to those below it is what `umoci unpack` makes of it, which is what the image specification ("Image
//! Layer Filesystem Changeset") says where it says something:
//! * A whiteout and an opaque directory take away what lower layers have, wherever in its layer they stand.
//! * A directory over a directory keeps what is in it and has the new metadata. Anything else replaces what it meets.
//! * Symbolic links in the directories of a name are followed, within the image.
//! * A name that comes twice in a layer is what it was last.
//!
//! Files of AUFS's own (`.wh..wh.plnk` and the like) are passed over, and so are extended attributes that belong to a
//! machine, not to a file: `security.selinux`, `system.nfs4_acl` and what overlayfs keeps for itself.

mod about;
mod ahead;
mod apply;
mod files;
mod spool;
mod stack;
mod unpack;
mod write;

use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use spool::Spool;
use tree::Entry;

use crate::{Blobs, Error, Image, Result};

pub use about::DESCRIPTION;
pub(crate) use files::Files;
pub(crate) use stack::{Changes, Stack, Store};
pub use write::{Shape, Written};

/// What an image may ask of who flattens it. What exceeds a bound is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The greatest length of a layer's tar in bytes. Default 64 GiB.
    pub layer: u64,
    /// How many times as long as the compressed layer its tar may be. Default 500: gzip reaches 1032 with nothing but
    /// zeros, real layers 3 to 10.
    pub ratio: u64,
    /// A tar no longer than this may be any number of times as long. Default 8 GiB.
    pub free: u64,
    /// The greatest sum of the sizes of all files of all layers in bytes, holes included. Default 256 GiB.
    pub contents: u64,
    /// The greatest number of bytes of memory for names, metadata and links, estimated. Default 1 GiB; an entry of an
    /// ordinary image takes about 130 bytes.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { layer: 64 << 30, ratio: 500, free: 8 << 30, contents: 256 << 30, memory: 1 << 30 }
    }
}

impl Limits {
    /// The greatest length of the tar of a layer that has `size` bytes, in bytes.
    fn expanded(&self, size: u64) -> u64 {
        size.saturating_mul(self.ratio).max(self.free).min(self.layer)
    }
}

/// How an image is flattened.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The folder of the working file, which takes as much room as the contents of all layers.
    pub scratch: &'a Path,
    /// How many layers are decompressed at the same time.
    pub threads: usize,
    /// Bounds.
    pub limits: Limits,
    /// Set from outside to stop.
    pub interrupted: &'a AtomicBool,
}

/// The tree of an image: [`Flattened::describe`] and [`Flattened::add`] change it, [`Flattened::write`] writes it.
#[derive(Debug)]
pub struct Flattened {
    stack: Stack<Spool>,
}

/// Reads all layers of `image` from `blobs`. Each must have the digest that the manifest promises, and its tar the one that
/// the configuration promises.
///
/// # Errors
/// [`Error::Layer`] with what is wrong; [`Error::Io`] when there is no working file.
pub fn flatten(blobs: &dyn Blobs, image: &Image, options: &Options<'_>) -> Result<Flattened> {
    let spool = Spool::new(options.scratch).map_err(Error::io("create a file in", options.scratch))?;
    let mut stack = Stack::new(spool, options.limits);
    stack.image(blobs, image, options.threads, options.interrupted)?;
    Ok(Flattened { stack })
}

impl Flattened {
    /// Puts an entry over what is there, as if a further layer had it. `contents` are those of a file.
    ///
    /// # Errors
    /// [`Error::Add`].
    pub fn add(&mut self, entry: Entry, contents: &mut dyn Read) -> Result<()> {
        let path = entry.path.clone();
        self.stack.files.begin_layer();
        self.stack.put(entry, contents).map_err(|source| Error::Add { path, source })
    }

    /// The latest time of an entry of all layers, in seconds since 1970; 0 when all are earlier.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.stack.newest
    }

    /// The bytes of the contents of all files of all layers.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stack.contents
    }
}
