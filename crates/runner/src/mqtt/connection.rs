//! The writing side of a connection: a queue and a thread that empties it.
//!
//! Nobody who sends waits for a reader that is slow. Parts of messages are shared, so a queue costs little more than what is
//! in it.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

/// Messages up to this size go out in one write.
const JOINED: usize = 32 << 10;

/// Something to be written.
enum Item {
    Bytes(Vec<Bytes>),
    Close,
}

/// The writing side of a connection.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    sender: Sender<Item>,
    waiting: Arc<AtomicUsize>,
}

impl Outbox {
    /// Starts the thread that writes to `stream`. When nothing was written for `idle`, `ping` is.
    pub(super) fn start(
        stream: TcpStream,
        idle: Option<(Duration, Vec<u8>)>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&waiting);
        let write = move || {
            // A broken connection is found by who reads it.
            let _ = write_all(&stream, &receiver, &counter, idle.as_ref());
            let _ = stream.shutdown(Shutdown::Write);
        };
        let thread = thread::Builder::new().name("mqtt-writer".to_owned()).spawn(write)?;
        Ok((Self { sender, waiting }, thread))
    }

    /// Puts a packet into the queue.
    pub(super) fn send(&self, parts: Vec<Bytes>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.sender.send(Item::Bytes(parts));
    }

    /// How many packets are in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends the connection when all has been written.
    pub(super) fn close(&self) {
        let _ = self.sender.send(Item::Close);
    }
}

fn write_all(
    mut stream: &TcpStream,
    receiver: &Receiver<Item>,
    waiting: &AtomicUsize,
    idle: Option<&(Duration, Vec<u8>)>,
) -> io::Result<()> {
    loop {
        let item = match idle {
            Some((time, ping)) => match receiver.recv_timeout(*time) {
                Err(RecvTimeoutError::Timeout) => {
                    stream.write_all(ping)?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(item) => item,
            },
            None => match receiver.recv() {
                Ok(item) => item,
                Err(_) => return Ok(()),
            },
        };
        let Item::Bytes(parts) = item else { return Ok(()) };
        waiting.fetch_sub(1, Ordering::Relaxed);
        if parts.len() > 1 && parts.iter().map(Bytes::len).sum::<usize>() <= JOINED {
            stream.write_all(&parts.concat())?;
        } else {
            for part in parts {
                stream.write_all(&part)?;
            }
        }
    }
}
