//! Work that is done by several threads and used in order.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::tar::BLOCK;
use crate::{Error, Result};

type Done = Result<Buffer>;

/// Bytes in the making, in memory that is used again and so need not be cleared.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// The next `length` bytes, whatever is in them; [`Buffer::advance`] makes them count.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.bytes.len() < end {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
        &mut self.bytes[self.filled..end]
    }

    pub(super) fn advance(&mut self, length: usize) {
        self.filled = (self.filled + length).min(self.bytes.len());
    }

    /// Fills up to a whole block of a tar with zeros.
    pub(super) fn pad(&mut self) {
        let length = self.filled.next_multiple_of(BLOCK) - self.filled;
        self.room(length).fill(0);
        self.filled += length;
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }
}

/// Takes jobs in order.
pub(super) struct Jobs<J> {
    jobs: Sender<(J, SyncSender<Done>)>,
    order: SyncSender<Receiver<Done>>,
}

/// The other end is gone: something has failed there, and nobody wants any more.
#[derive(Debug)]
pub(super) struct Unwanted;

impl<J> Jobs<J> {
    /// Queues a job; waits while too many of them are on their way.
    pub(super) fn send(&self, job: J) -> Result<(), Unwanted> {
        let (done, result) = sync_channel(1);
        self.order.send(result).map_err(|_| Unwanted)?;
        self.jobs.send((job, done)).map_err(|_| Unwanted)
    }
}

/// Calls `produce` in a thread of its own, `work` in `threads` threads for each of its jobs, and `consume` here with the
/// results, in the order of the jobs. A few results per thread are ahead of `consume` at most; their buffers are used again.
///
/// # Errors
/// The first in the order of the jobs, from whichever of the three.
pub(super) fn in_order<J: Send, P: Send>(
    threads: usize,
    produce: impl FnOnce(&Jobs<J>) -> Result<P> + Send,
    work: impl Fn(J, &mut Buffer) -> Result<()> + Sync,
    mut consume: impl FnMut(&[u8]) -> Result<()>,
) -> Result<P> {
    let spare = Mutex::new(VecDeque::new());
    let (jobs, queue) = channel::<(J, SyncSender<Done>)>();
    let queue = Mutex::new(queue);
    let (order, results) = sync_channel(2 * threads.max(1) + 2);
    std::thread::scope(|scope| {
        // What is dropped when this closure returns lets the threads end.
        let results = results;
        for _ in 0..threads.max(1) {
            spawn(scope, || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((job, done)) = job else { return };
                    let mut buffer = spare
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front()
                        .unwrap_or_else(Buffer::default);
                    // Nobody wants the result when something else has failed.
                    let _ = done.send(work(job, &mut buffer).map(|()| buffer));
                }
            })?;
        }
        let producer = spawn(scope, move || {
            let jobs = Jobs { jobs, order };
            produce(&jobs)
        })?;
        for result in &results {
            let mut buffer = result.recv().map_err(|_| ended_early())??;
            consume(buffer.bytes())?;
            buffer.clear();
            spare.lock().unwrap_or_else(PoisonError::into_inner).push_back(buffer);
        }
        producer.join().map_err(|_| ended_early())?
    })
}

/// Starts a thread.
pub(super) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().name("layer".to_owned()).spawn_scoped(scope, run).map_err(Error::Thread)
}

pub(super) fn ended_early() -> Error {
    Error::Thread(io::Error::other("a thread ended early"))
}
