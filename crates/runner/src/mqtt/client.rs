//! A client of a broker that was there before, such as mosquitto.
//!
//! Messages go out at QoS 1 and come in by a thread that only reads, so the broker never has to keep anything for us. How many
//! of ours it has not acknowledged is bounded, and so are the reports that wait behind them.

use std::io::{self, BufReader, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

use super::broker::REPORT;
use super::bus::{Audience, Bus, BusEvent, TooLarge};
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
pub struct Client {
    address: String,
    outbox: Outbox,
    writer: Mutex<Option<JoinHandle<()>>>,
    state: Arc<State>,
    /// Whether user interfaces are to hear reports: nobody can ask this broker who listens.
    reporter: bool,
    answers: Mutex<Vec<String>>,
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
    pub fn connect(
        address: &str,
        client_id: &str,
        topics: &[&str],
        reporter: bool,
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
        let address = address.to_owned();
        let writer = Mutex::new(Some(writer));
        Ok(Self { address, outbox, writer, state, reporter, answers: Mutex::default() })
    }

    fn send(&self, topic: &str, payload: Payload, retain: bool) -> Result<(), TooLarge> {
        let size = payload.len();
        // 2.3.1: a number is not 0.
        let id = self.state.next.fetch_add(1, Ordering::Relaxed).max(1);
        let head = packet::write_publish(topic, Some(id), retain, size).ok_or(TooLarge { size })?;
        let mut parts = payload.into_parts();
        parts.insert(0, Bytes::from(head));
        self.state.unacknowledged.fetch_add(1, Ordering::Relaxed);
        self.outbox.send(parts);
        Ok(())
    }

    /// Waits until the broker has all that we sent, or has had the time for it.
    fn flush(&self) {
        let (lock, changed) = &self.state.acknowledged;
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = |_: &mut ()| self.state.unacknowledged.load(Ordering::Relaxed) > 0;
        drop(changed.wait_timeout_while(guard, Duration::from_secs(2), is_left));
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

impl Bus for Client {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn sees_subscriptions(&self) -> bool {
        false
    }

    fn publish(&self, topic: &str, payload: Payload) -> Result<(), TooLarge> {
        self.send(topic, payload, false)
    }

    /// A retained message waits at the broker for who asks later.
    fn answer(&self, topic: &str, payload: Payload) -> Result<(), TooLarge> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(topic.to_owned());
        self.send(topic, payload, true)
    }

    fn report(&self, payload: Payload, audience: Audience) {
        let is_essential = audience != Audience::People;
        if is_essential || self.state.unacknowledged.load(Ordering::Relaxed) < MAX_REPORTS {
            // One that is too large is of no use to a user interface.
            let _ = self.send(REPORT, payload, false);
        }
    }

    fn has_listeners(&self, audience: Audience) -> bool {
        self.reporter || audience != Audience::People
    }

    fn has_subscriber(&self, _: &str) -> bool {
        false
    }

    fn close(&self) {
        for topic in std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner)) {
            // An empty retained message takes the kept one away (3.3.1.3).
            let _ = self.send(&topic, Payload::new(), true);
        }
        self.flush();
        self.state.closing.store(true, Ordering::Relaxed);
        self.outbox.send(vec![packet::write_disconnect().into()]);
        self.outbox.close();
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::Relaxed);
        self.outbox.close();
    }
}
