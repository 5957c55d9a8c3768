//! A client of a broker that was there before, such as mosquitto.
//!
//! Reports go out at QoS 1, and what comes is taken by a thread that only reads, so the broker never has to keep anything for us.
//! How many of ours it has not acknowledged is bounded: reports beyond that are dropped, because such a broker itself drops what
//! it would have to keep for listeners that are slow.

use std::io::{self, BufReader, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

use super::broker::REPORT;
use super::bus::{Audience, BusEvent};
use super::connection::Outbox;
use super::packet::{self, Packet};
use crate::Payload;
use crate::event::Event;

/// How long the broker may take to answer at the beginning.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may be idle, in seconds, and when to say that we are still there.
const KEEP_ALIVE: u16 = 60;
const PING_AFTER: Duration = Duration::from_secs(25);

/// The most reports of ours that the broker has not acknowledged; further ones are dropped.
const MAX_REPORTS: usize = 256;

/// A connection to a broker.
#[derive(Debug)]
pub(super) struct Client {
    outbox: Outbox,
    writer: Mutex<Option<JoinHandle<()>>>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    next: AtomicU16,
    unacknowledged: AtomicUsize,
    acknowledged: (Mutex<()>, Condvar),
    closing: AtomicBool,
}

impl Client {
    /// Connects as `client_id`, asks for messages of `topics` and waits until they are granted.
    ///
    /// # Errors
    /// When there is no broker, or it does not want us.
    pub(super) fn connect(
        address: &str,
        client_id: &str,
        topics: &[&str],
        events: Sender<Event>,
    ) -> io::Result<Self> {
        let mut stream = connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&packet::write_connect(client_id, KEEP_ALIVE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        match packet::read(&mut reader)? {
            Some(Packet::ConnAck { code: 0 }) => {}
            Some(Packet::ConnAck { code }) => {
                return Err(io::Error::other(format!("the broker refuses us with code {code}")));
            }
            _ => return Err(io::Error::other("what answers there is no MQTT broker")),
        }
        stream.write_all(&packet::write_subscribe(1, topics))?;
        match packet::read(&mut reader)? {
            Some(Packet::SubAck { granted: true, .. }) => {}
            _ => return Err(io::Error::other("the broker does not let us have messages")),
        }
        stream.set_read_timeout(None)?;
        let (outbox, writer) = Outbox::start(stream, Some((PING_AFTER, packet::write_pingreq())))?;
        let state = Arc::new(State { next: AtomicU16::new(2), ..State::default() });
        let (own, replies) = (Arc::clone(&state), outbox.clone());
        let read = move || read(&mut reader, &own, &replies, &events);
        thread::Builder::new().name("mqtt-reader".to_owned()).spawn(read)?;
        Ok(Self { outbox, writer: Mutex::new(Some(writer)), state })
    }

    /// Sends a report. Only those that everyone has to hear are sent however many are on their way; one that is too large for
    /// MQTT is of no use to a user interface.
    pub(super) fn report(&self, payload: Payload, audience: Audience) {
        let waiting = self.state.unacknowledged.load(Ordering::Relaxed);
        if audience == Audience::People && waiting >= MAX_REPORTS {
            return;
        }
        // 2.3.1: a number is not 0.
        let id = self.state.next.fetch_add(1, Ordering::Relaxed).max(1);
        let Some(head) = packet::write_publish(REPORT, Some(id), payload.len()) else { return };
        let mut parts = payload.into_parts();
        parts.insert(0, Bytes::from(head));
        self.state.unacknowledged.fetch_add(1, Ordering::Relaxed);
        self.outbox.send(parts);
    }

    /// Waits until the broker has all that we sent, or has had the time for it.
    fn flush(&self) {
        let (lock, changed) = &self.state.acknowledged;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = |_: &mut ()| self.state.unacknowledged.load(Ordering::Relaxed) > 0;
        drop(changed.wait_timeout_while(guard, Duration::from_secs(2), is_left));
    }

    /// Sends what is still to be sent, and ends.
    pub(super) fn close(&self) {
        self.flush();
        self.state.closing.store(true, Ordering::Relaxed);
        self.outbox.send(vec![packet::write_disconnect().into()]);
        self.outbox.close();
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read(reader: &mut BufReader<TcpStream>, state: &State, replies: &Outbox, events: &Sender<Event>) {
    let why = loop {
        match packet::read(reader) {
            Ok(Some(Packet::Publish { topic, id, payload })) => {
                if let Some(id) = id {
                    replies.send(vec![packet::write_puback(id).into()]);
                }
                let _ = events.send(Event::Bus(BusEvent::Message { topic, payload }));
            }
            Ok(Some(Packet::PubAck(_))) => {
                let _guard = state.acknowledged.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.unacknowledged.fetch_sub(1, Ordering::Relaxed);
                state.acknowledged.1.notify_all();
            }
            Ok(Some(_)) => {}
            Ok(None) => break "it has closed the connection".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    if !state.closing.load(Ordering::Relaxed) {
        let _ = events.send(Event::Bus(BusEvent::Lost { why }));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::Relaxed);
        self.outbox.close();
    }
}
