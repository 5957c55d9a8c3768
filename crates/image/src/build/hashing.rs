//! A writer that hashes what passes through it, on a thread of its own.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use cache::{Digest, Hasher};

/// How many pieces are on their way to the hashing thread at most.
const AHEAD: usize = 4;

/// The greatest piece, in bytes.
const PIECE: usize = 256 * 1024;

/// Writes into `W` and hashes the same bytes beside it. A layer is hashed twice, before and after its compression; on the
/// thread that compresses or writes, that would be a third of its work.
#[derive(Debug)]
pub(super) struct Hashing<W> {
    inner: W,
    size: u64,
    /// None once the end is reached.
    pieces: Option<SyncSender<Vec<u8>>>,
    /// Buffers to be used again.
    spare: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Digest>>,
}

impl<W: Write> Hashing<W> {
    /// Starts the thread.
    pub(super) fn new(inner: W) -> io::Result<Self> {
        let (pieces, queue) = sync_channel::<Vec<u8>>(AHEAD);
        let (give_back, spare) = channel();
        let thread = Builder::new().name("hash".to_owned()).spawn(move || {
            let mut hasher = Hasher::new();
            for piece in queue {
                hasher.update(&piece);
                // Nobody wants it back when the end is near.
                let _ = give_back.send(piece);
            }
            hasher.finish()
        })?;
        Ok(Self { inner, size: 0, pieces: Some(pieces), spare, thread: Some(thread) })
    }

    /// The writer below, how many bytes went into it, and their digest.
    pub(super) fn finish(mut self) -> io::Result<(W, u64, Digest)> {
        self.pieces = None;
        let digest = self.thread.take().and_then(|thread| thread.join().ok()).ok_or_else(ended_early)?;
        Ok((self.inner, self.size, digest))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        for part in bytes[..count].chunks(PIECE) {
            let mut piece = self.spare.try_recv().unwrap_or_default();
            piece.clear();
            piece.extend_from_slice(part);
            let sent = self.pieces.as_ref().map(|pieces| pieces.send(piece));
            if !matches!(sent, Some(Ok(()))) {
                return Err(ended_early());
            }
        }
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn ended_early() -> io::Error {
    io::Error::other("the hashing thread ended early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_what_is_hashed() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        let mut hashing = Hashing::new(Vec::new()).unwrap();
        for piece in bytes.chunks(300_001) {
            hashing.write_all(piece).unwrap();
        }
        let (written, size, digest) = hashing.finish().unwrap();
        assert!(written == bytes);
        assert_eq!((size, digest), (1_000_000, Digest::of(&bytes)));
        let (_, size, digest) = Hashing::new(Vec::new()).unwrap().finish().unwrap();
        assert_eq!((size, digest), (0, Digest::of(b"")));
    }
}
