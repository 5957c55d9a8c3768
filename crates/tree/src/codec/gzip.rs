//! Gzip compressed by several threads.
//!
//! Contents are cut into blocks of 1 MiB, each a gzip member of its own (RFC 1952, 2.2: members simply follow one another).
//! As no block looks back into the one before, its bytes do not depend on who compressed it. Every gzip reader reads such
//! files: those for lazy pulling of images (estargz) have many more members.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use libdeflater::{CompressionLvl, Compressor};

/// The level of libdeflate: smaller than other programs at their usual level 6, in half the time. Part of
/// [`super::Format::id`].
pub(super) const LEVEL: i32 = 4;

/// Contents per member in bytes. Part of [`super::Format::id`].
const BLOCK: usize = 1 << 20;

struct Job {
    contents: Vec<u8>,
    done: SyncSender<io::Result<Vec<u8>>>,
}

/// Compresses into `W`; the sink is only used by the calling thread.
pub(super) struct GzipEncoder<W: Write> {
    sink: W,
    block: Vec<u8>,
    /// Whether a member was begun: without any a file would be empty, and no gzip file.
    begun: bool,
    /// Members on their way, in their order.
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    workers: Workers,
}

impl<W: Write> GzipEncoder<W> {
    pub(super) fn new(sink: W, threads: usize) -> io::Result<GzipEncoder<W>> {
        let workers = Workers::start(threads)?;
        Ok(GzipEncoder { sink, block: Vec::new(), begun: false, pending: VecDeque::new(), workers })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || !self.begun {
            self.send_block()?;
        }
        while !self.pending.is_empty() {
            self.write_next()?;
        }
        Ok(self.sink)
    }

    fn send_block(&mut self) -> io::Result<()> {
        // Two blocks per worker keep all of them busy and bound the memory.
        if self.pending.len() >= 2 * self.workers.threads.len() {
            self.write_next()?;
        }
        self.begun = true;
        let contents = std::mem::take(&mut self.block);
        let (done, result) = sync_channel(1);
        self.workers.send(Job { contents, done })?;
        self.pending.push_back(result);
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        let Some(result) = self.pending.pop_front() else { return Ok(()) };
        let member = result.recv().map_err(|_| io::Error::other("a compressing thread ended early"))??;
        self.sink.write_all(&member)
    }
}

impl<W: Write> Write for GzipEncoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.capacity() == 0 {
            self.block.reserve_exact(BLOCK);
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.send_block()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The compressing threads; they end when this is dropped.
struct Workers {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(count: usize) -> io::Result<Workers> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let mut workers = Workers { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name("gzip".to_owned()).spawn(move || work(&queue))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    fn send(&self, job: Job) -> io::Result<()> {
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(io::Error::other("the compressing threads ended early")),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic of a worker has been reported by its missing result.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    let Ok(level) = CompressionLvl::new(LEVEL) else { return };
    let mut compressor = Compressor::new(level);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The other end is gone when writing failed; nobody wants the block then.
        let _ = job.done.send(member(&mut compressor, &job.contents));
    }
}

/// A member with no name, no flags and the time 0.
fn member(compressor: &mut Compressor, contents: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; compressor.gzip_compress_bound(contents.len())];
    let length = compressor.gzip_compress(contents, &mut bytes).map_err(io::Error::other)?;
    bytes.truncate(length);
    Ok(bytes)
}
