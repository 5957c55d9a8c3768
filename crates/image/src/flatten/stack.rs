//! Layers put over one another: names and metadata in memory, contents wherever a [`Store`] puts them.
//!
//! What a layer does to those below it is decided here and in [`super::files`], once for all who read images: those who
//! want the files, and those who want to know what is in them.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::AtomicBool;

use tree::{Entry, EntryPath, Kind};

use super::Limits;
use super::ahead::{Ahead, Kitchen};
use super::files::Files;
use crate::error::LayerProblem;
use crate::{Blobs, Error, Image, Result};

/// What keeps the contents of files, or what is wanted of them.
pub(crate) trait Store {
    /// Takes the `size` bytes of the file at `path`, all of them, and says where they are; the tree knows no more of them
    /// than that. `files` is what is there so far.
    fn store(
        &mut self,
        files: &Files,
        path: &EntryPath,
        contents: &mut dyn Read,
        size: u64,
    ) -> Result<u64, LayerProblem>;
}

/// A tree that is being put together.
#[derive(Debug)]
pub(crate) struct Stack<S> {
    pub(crate) files: Files,
    pub(crate) store: S,
    pub(super) limits: Limits,
    /// Bytes of contents so far.
    pub(super) contents: u64,
    /// The latest time of an entry, in seconds.
    pub(super) newest: i64,
}

/// What one layer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Entries in it, directories not counted.
    pub(crate) files: u64,
    /// Bytes of their contents.
    pub(crate) bytes: u64,
    /// Names that it removes from what is beneath it.
    pub(crate) removed: u64,
}

impl<S: Store> Stack<S> {
    /// An empty tree.
    pub(crate) fn new(store: S, limits: Limits) -> Self {
        Self { files: Files::new(limits.memory), store, limits, contents: 0, newest: 0 }
    }

    /// Puts all layers of `image` over what is there, the lowest first; `threads` of them are decompressed at the same
    /// time. Each must have the digest that the manifest promises, and its tar the one that the configuration promises.
    pub(crate) fn image(
        &mut self,
        blobs: &dyn Blobs,
        image: &Image,
        threads: usize,
        interrupted: &AtomicBool,
    ) -> Result<Vec<Changes>> {
        let kitchen = Kitchen::new(blobs, self.limits, interrupted);
        let layers = &image.manifest.layers;
        std::thread::scope(|scope| {
            let mut waiting: VecDeque<Ahead> = VecDeque::new();
            let mut coming = layers.iter().zip(&image.config.rootfs.diff_ids);
            let mut changes = Vec::with_capacity(layers.len());
            for layer in layers {
                while waiting.len() < threads.max(1) {
                    let Some((layer, diff_id)) = coming.next() else { break };
                    waiting.push_back(kitchen.start(scope, layer, *diff_id)?);
                }
                let Some(tar) = waiting.pop_front() else { break };
                changes.push(self.layer(tar).map_err(|source| Error::Layer {
                    digest: layer.digest_text(),
                    place: blobs.name(),
                    source,
                })?);
            }
            Ok(changes)
        })
    }

    /// Puts one entry into the tree. `contents` are those of a file.
    pub(crate) fn put(&mut self, entry: Entry, contents: &mut dyn Read) -> Result<(), LayerProblem> {
        let Entry { path, kind, metadata } = entry;
        if let Kind::HardLink { target } = kind {
            return self.files.link(&path, &target);
        }
        self.newest = self.newest.max(metadata.mtime);
        let offset = match kind {
            Kind::File { size } => {
                self.contents = self.contents.saturating_add(size);
                if self.contents > self.limits.contents {
                    return Err(LayerProblem::Limit { what: "bytes of files", limit: self.limits.contents });
                }
                self.store.store(&self.files, &path, contents, size)?
            }
            _ => 0,
        };
        self.files.insert(&path, &kind, offset, metadata)
    }
}
