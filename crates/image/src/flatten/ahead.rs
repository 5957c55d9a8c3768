//! Layers on their way: fetched, checked, decompressed and hashed by threads of their own, while lower ones are put
//! together.

use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope};

use cache::{Digest, Hasher};
use tree::codec::{Bounded, Format, decoder};

use super::Limits;
use crate::{Blobs, Descriptor, Error, Result};

/// How much is handed on at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// How many chunks wait between two threads at most: with 4 layers on their way, all together hold 10 MiB.
const WAITING: usize = 4;

/// A piece of a layer's tar.
type Chunk = io::Result<Vec<u8>>;

/// Where layers come from, and what they may be.
pub(super) struct Kitchen<'a> {
    blobs: &'a dyn Blobs,
    limits: Limits,
    interrupted: &'a AtomicBool,
    spare: Spare,
}

/// Chunks to be used again.
#[derive(Debug, Clone, Default)]
struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    fn take(&self) -> Vec<u8> {
        let chunk = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        chunk.unwrap_or_else(|| vec![0; CHUNK])
    }

    fn put(&self, mut chunk: Vec<u8>) {
        chunk.resize(CHUNK, 0);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(chunk);
    }
}

impl<'a> Kitchen<'a> {
    pub(super) fn new(blobs: &'a dyn Blobs, limits: Limits, interrupted: &'a AtomicBool) -> Self {
        Self { blobs, limits, interrupted, spare: Spare::default() }
    }

    /// Begins to read a layer, whose tar must have the digest `diff_id`.
    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        layer: &'scope Descriptor,
        diff_id: Digest,
    ) -> Result<Ahead<'scope>> {
        let (decoded, hashing) = sync_channel(WAITING);
        let (hashed, chunks) = sync_channel(WAITING);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send + 'scope>| {
            let builder = Builder::new().name(name.to_owned());
            builder.spawn_scoped(scope, run).map_err(|error| Error::Tree(tree::Error::Thread(error)))
        };
        spawn("decode", Box::new(move || self.decode(layer, &decoded)))?;
        spawn("hash", Box::new(move || hash(&hashing, &hashed, layer, diff_id)))?;
        let (interrupted, spare) = (self.interrupted, self.spare.clone());
        Ok(Ahead { chunks, chunk: Vec::new(), position: 0, length: 0, unfinished: 0, spare, interrupted })
    }

    /// Sends the layer's tar in pieces. When nobody takes them any more, something has failed elsewhere.
    fn decode(&self, layer: &Descriptor, decoded: &SyncSender<Chunk>) {
        if let Err(error) = self.decode_all(layer, decoded) {
            let _ = decoded.send(Err(error));
        }
    }

    fn decode_all(&self, layer: &Descriptor, decoded: &SyncSender<Chunk>) -> io::Result<()> {
        let mut source = self.blobs.open(layer).map_err(io::Error::other)?;
        // What a layer is, it says itself: its media type may say "gzip" of what is not compressed.
        let mut start = vec![0; 6];
        let known = fill(&mut source, &mut start)?;
        start.truncate(known);
        let format = Format::sniff(&start);
        let source = decoder(format, Cursor::new(start).chain(source))?;
        let mut source = Bounded::new(source, self.limits.expanded(layer.size));
        loop {
            let mut chunk = self.spare.take();
            let length = fill(&mut source, &mut chunk)?;
            chunk.truncate(length);
            if length == 0 || decoded.send(Ok(chunk)).is_err() {
                return Ok(());
            }
        }
    }
}

/// Passes chunks on, and after the last one an error if they were not the ones that were promised.
fn hash(decoded: &Receiver<Chunk>, hashed: &SyncSender<Chunk>, layer: &Descriptor, diff_id: Digest) {
    // A layer that is not compressed has one digest, which is checked as it is read.
    let mut hasher = (layer.digest != diff_id).then(Hasher::new);
    for chunk in decoded {
        if let (Ok(bytes), Some(hasher)) = (&chunk, &mut hasher) {
            hasher.update(bytes);
        }
        let failed = chunk.is_err();
        if hashed.send(chunk).is_err() || failed {
            return;
        }
    }
    let found = hasher.map_or(diff_id, Hasher::finish);
    if found != diff_id {
        let (found, promised) = (crate::digest::spell(&found), crate::digest::spell(&diff_id));
        let message = format!("its tar has the digest {found}, but the configuration promises {promised}");
        let _ = hashed.send(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
    }
}

/// Reads until `buffer` is full or there is no more; says how much there was.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The tar of a layer. Whoever reads to its end has read what was promised.
pub(super) struct Ahead<'a> {
    chunks: Receiver<Chunk>,
    chunk: Vec<u8>,
    position: usize,
    length: usize,
    /// How much there is of the last block, in bytes.
    unfinished: usize,
    spare: Spare,
    interrupted: &'a AtomicBool,
}

impl Read for Ahead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.length {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(io::Error::other("interrupted"));
            }
            let chunk = match self.chunks.recv() {
                Ok(chunk) => chunk?,
                // The other end is gone when the layer is. `umoci insert` leaves out the zeros after the last contents.
                Err(_) if self.unfinished > 0 => vec![0; tree::tar::BLOCK - self.unfinished],
                Err(_) => return Ok(0),
            };
            self.unfinished = (self.unfinished + chunk.len()) % tree::tar::BLOCK;
            let used = std::mem::replace(&mut self.chunk, chunk);
            if !used.is_empty() {
                self.spare.put(used);
            }
            (self.position, self.length) = (0, self.chunk.len());
        }
        let count = buffer.len().min(self.length - self.position);
        buffer[..count].copy_from_slice(&self.chunk[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}
