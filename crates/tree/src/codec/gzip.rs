//! One gzip member compressed by several threads.
//!
//! Contents are cut into blocks of 1 MiB, each deflated by itself and ended at a byte boundary by a flush, so that the
//! parts can follow one another in one deflate stream. Any gzip reader reads it; as no block looks back into the one
//! before, its bytes do not depend on who compressed it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// The level of deflate. Part of [`super::Format::id`].
pub(super) const LEVEL: u32 = 6;

/// Contents per block in bytes. Part of [`super::Format::id`].
const BLOCK: usize = 1 << 20;

/// Deflate, no flags, time 0, no extra flags, operating system "unknown" (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty final block with fixed codes: ends the deflate stream.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// What a worker makes of a block.
struct Compressed {
    bytes: Vec<u8>,
    crc: Crc,
}

struct Job {
    contents: Vec<u8>,
    done: SyncSender<io::Result<Compressed>>,
}

/// Compresses into `W`; the sink is only used by the calling thread.
pub(super) struct GzipEncoder<W: Write> {
    sink: W,
    block: Vec<u8>,
    crc: Crc,
    /// Blocks on their way, in their order.
    pending: VecDeque<Receiver<io::Result<Compressed>>>,
    workers: Workers,
}

impl<W: Write> GzipEncoder<W> {
    pub(super) fn new(mut sink: W, threads: usize) -> io::Result<GzipEncoder<W>> {
        sink.write_all(&HEADER)?;
        let workers = Workers::start(threads)?;
        Ok(GzipEncoder { sink, block: Vec::new(), crc: Crc::new(), pending: VecDeque::new(), workers })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.send_block()?;
        }
        while !self.pending.is_empty() {
            self.write_next()?;
        }
        self.sink.write_all(&LAST_BLOCK)?;
        self.sink.write_all(&self.crc.sum().to_le_bytes())?;
        self.sink.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.sink)
    }

    fn send_block(&mut self) -> io::Result<()> {
        // Two blocks per worker keep all of them busy and bound the memory.
        if self.pending.len() >= 2 * self.workers.threads.len() {
            self.write_next()?;
        }
        let contents = std::mem::take(&mut self.block);
        let (done, result) = sync_channel(1);
        self.workers.send(Job { contents, done })?;
        self.pending.push_back(result);
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        let Some(result) = self.pending.pop_front() else { return Ok(()) };
        let compressed =
            result.recv().map_err(|_| io::Error::other("a compressing thread ended early"))??;
        self.crc.combine(&compressed.crc);
        self.sink.write_all(&compressed.bytes)
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
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // The other end is gone when writing failed; nobody wants the block then.
        let _ = job.done.send(compress(&job.contents));
    }
}

fn compress(contents: &[u8]) -> io::Result<Compressed> {
    let mut crc = Crc::new();
    crc.update(contents);
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    let mut bytes = Vec::with_capacity(contents.len() / 2);
    let mut used = 0;
    loop {
        bytes.reserve(BLOCK / 8);
        let before = (deflate.total_in(), deflate.total_out());
        let status = deflate
            .compress_vec(&contents[used..], &mut bytes, FlushCompress::Full)
            .map_err(io::Error::other)?;
        used += (deflate.total_in() - before.0) as usize;
        let stuck = status == Status::BufError || deflate.total_out() == before.1;
        // The flush is complete once there is room left behind it.
        if used == contents.len() && (bytes.len() < bytes.capacity() || stuck) {
            return Ok(Compressed { bytes, crc });
        }
    }
}
