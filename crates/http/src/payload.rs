//! What is sent along with a request: bytes in memory, or a file that need not fit there.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How much of a body goes out at a time, in bytes: what is still to go is counted in these.
const PIECE: usize = 64 << 10;

/// What is sent along with a [`Call`](crate::Call). Its length is announced; a clone is the same bytes from their beginning.
#[derive(Clone)]
pub struct Payload(Source);

#[derive(Clone)]
enum Source {
    Bytes(Bytes),
    File { file: Arc<File>, length: u64 },
}

impl Payload {
    /// The first `length` bytes of a file. It is read where it stands, while it goes out; one that has become shorter by
    /// then breaks the connection.
    #[must_use]
    pub fn file(file: Arc<File>, length: u64) -> Self {
        Self(Source::File { file, length })
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::File { length, .. } => *length,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self(Source::Bytes(Bytes::new()))
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Source::Bytes(bytes))
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

/// A body that tells how much of it went out.
pub(crate) struct Counted {
    payload: Payload,
    gone: u64,
    sent: Arc<AtomicU64>,
}

impl Counted {
    pub(crate) fn new(payload: Payload, sent: Arc<AtomicU64>) -> Self {
        Self { payload, gone: 0, sent }
    }

    /// The next `count` bytes. Files are read on the thread of the network, which has nothing else to send meanwhile: a piece
    /// takes less time from a disk than on any line.
    fn piece(&self, count: usize) -> io::Result<Bytes> {
        match &self.payload.0 {
            Source::Bytes(bytes) => {
                let start = usize::try_from(self.gone).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(start..start + count))
            }
            Source::File { file, .. } => {
                let mut piece = vec![0; count];
                file.read_exact_at(&mut piece, self.gone)?;
                Ok(piece.into())
            }
        }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let left = self.payload.len().saturating_sub(self.gone);
        if left == 0 {
            return Poll::Ready(None);
        }
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let piece = match self.piece(count) {
            Ok(piece) => piece,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        self.gone += count as u64;
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.gone >= self.payload.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.payload.len().saturating_sub(self.gone))
    }
}
