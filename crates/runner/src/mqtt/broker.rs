//! The broker that a run has of its own.
//!
//! It listens on a loopback port that the system chose. It grants QoS 0 to all, which saves an acknowledgement for each
//! message on a connection where nothing is lost, and acknowledges what comes at QoS 1. It tells the engine who wants which
//! messages: an executor is ready when it can be told to run something, and not when it says so.
//!
//! Clients may not send what only the runner has to say: whoever could would run programs in its name.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

use super::bus::{Audience, Bus, BusEvent, TooLarge};
use super::connection::Outbox;
use super::packet::{self, Packet};
use crate::Payload;
use crate::event::Event;

/// How long a client may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most clients at a time; each has two threads.
const MAX_CLIENTS: usize = 4096;

/// The most reports that wait for one client; further ones are dropped.
const MAX_REPORTS: usize = 10_000;

/// The topic of reports.
pub(crate) const REPORT: &str = "report";

/// A broker with a port of its own; it ends with the value.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    clients: Mutex<Clients>,
    events: Sender<Event>,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    by_number: HashMap<u64, Client>,
    /// Answers whose reader has not asked for them yet.
    kept: HashMap<String, Vec<Bytes>>,
}

#[derive(Debug)]
struct Client {
    id: String,
    topics: HashSet<String>,
    outbox: Outbox,
    stream: TcpStream,
}

impl Client {
    /// Whether it only wants to hear what executors have to. Services go by a hash of 16 digits.
    fn is_executor(&self) -> bool {
        let is_service = self.id.len() == 16 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_service || self.is_executor_process()
    }

    fn is_executor_process(&self) -> bool {
        self.id.starts_with("python-executor") || self.id.starts_with("nodejs-executor")
    }
}

impl Broker {
    /// Starts a broker that tells `events` what happens.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub fn start(events: Sender<Event>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            clients: Mutex::new(Clients::default()),
            events,
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let accept = move || accept(&listener, &own);
        let accepting = Some(thread::Builder::new().name("mqtt-broker".to_owned()).spawn(accept)?);
        Ok(Self { shared, address, accepting })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for client in self.shared.clients().by_number.values() {
            let _ = client.stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that waits for clients.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        // Nothing that holds the lock can panic half-way through a change.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: BusEvent) {
        let _ = self.events.send(Event::Bus(event));
    }
}

/// A whole packet of a message at QoS 0.
fn message(topic: &str, payload: Payload) -> Result<Vec<Bytes>, TooLarge> {
    let size = payload.len();
    let head = packet::write_publish(topic, None, size).ok_or(TooLarge { size })?;
    let mut parts = payload.into_parts();
    parts.insert(0, head.into());
    Ok(parts)
}

impl Bus for Broker {
    fn address(&self) -> String {
        self.address.to_string()
    }

    fn publish(&self, topic: &str, payload: Payload) -> Result<(), TooLarge> {
        let packet = message(topic, payload)?;
        for client in self.shared.clients().by_number.values() {
            if client.topics.contains(topic) {
                client.outbox.send(packet.clone());
            }
        }
        Ok(())
    }

    fn answer(&self, topic: &str, payload: Payload) -> Result<(), TooLarge> {
        let packet = message(topic, payload)?;
        let mut clients = self.shared.clients();
        let mut readers =
            clients.by_number.values().filter(|client| client.topics.contains(topic)).peekable();
        if readers.peek().is_none() {
            drop(readers);
            clients.kept.insert(topic.to_owned(), packet);
            return Ok(());
        }
        readers.for_each(|client| client.outbox.send(packet.clone()));
        Ok(())
    }

    fn report(&self, payload: Payload, audience: Audience) {
        let Ok(packet) = message(REPORT, payload) else { return };
        for client in self.shared.clients().by_number.values() {
            // An executor whose SUBSCRIBE was lost in its own start listens all the same.
            let listens = client.topics.contains(REPORT) || client.is_executor_process();
            let is_meant = match audience {
                Audience::Everyone => true,
                Audience::People => !client.is_executor(),
                Audience::Executors => client.is_executor(),
            };
            if listens && is_meant && client.outbox.waiting() < MAX_REPORTS {
                client.outbox.send(packet.clone());
            }
        }
    }

    fn has_listeners(&self, audience: Audience) -> bool {
        let clients = self.shared.clients();
        clients.by_number.values().any(|client| match audience {
            Audience::Everyone | Audience::Executors => true,
            Audience::People => client.topics.contains(REPORT) && !client.is_executor(),
        })
    }

    fn has_subscriber(&self, topic: &str) -> bool {
        self.shared.clients().by_number.values().any(|client| client.topics.contains(topic))
    }

    /// Its own clients have heard it already.
    fn pass_on(&self, _: &Bytes) {}

    fn close(&self) {
        for client in self.shared.clients().by_number.values() {
            client.outbox.close();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        // One that is gone again, or no more file descriptors: others may still come.
        let Ok(stream) = stream else { continue };
        if shared.clients().by_number.len() >= MAX_CLIENTS {
            continue;
        }
        let shared = Arc::clone(shared);
        let serve = move || serve(&stream, &shared);
        let _ = thread::Builder::new().name("mqtt-reader".to_owned()).spawn(serve);
    }
}

/// Serves one client to its end.
fn serve(stream: &TcpStream, shared: &Arc<Shared>) {
    let Ok((number, id, mut reader)) = greet(stream, shared) else { return };
    while let Ok(Some(packet)) = packet::read(&mut reader) {
        if !handle(packet, number, &id, shared) {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    if shared.clients().by_number.remove(&number).is_some() && !shared.ended.load(Ordering::Relaxed) {
        shared.tell(BusEvent::Gone { client: id });
    }
}

/// Takes the first packet, which says who it is.
fn greet<'s>(
    stream: &'s TcpStream,
    shared: &Arc<Shared>,
) -> io::Result<(u64, String, BufReader<&'s TcpStream>)> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::with_capacity(16 << 10, stream);
    let Some(Packet::Connect { client_id }) = packet::read(&mut reader)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    stream.set_read_timeout(None)?;
    let (outbox, _) = Outbox::start(stream.try_clone()?, None)?;
    outbox.send(vec![packet::write_connack(0).into()]);
    let mut clients = shared.clients();
    // 3.1.4: a client that comes again takes the place of its former self.
    for former in clients.by_number.values().filter(|other| other.id == client_id) {
        let _ = former.stream.shutdown(Shutdown::Both);
    }
    let number = clients.next;
    clients.next += 1;
    let client =
        Client { id: client_id.clone(), topics: HashSet::new(), outbox, stream: stream.try_clone()? };
    clients.by_number.insert(number, client);
    Ok((number, client_id, reader))
}

/// Does what a packet asks for; `false` ends the connection.
fn handle(packet: Packet, number: u64, id: &str, shared: &Shared) -> bool {
    match packet {
        Packet::Publish { topic, id: acknowledge, payload } => {
            if let Some(acknowledge) = acknowledge {
                answer(shared, number, packet::write_puback(acknowledge));
            }
            pass_on(shared, number, &topic, &payload);
            shared.tell(BusEvent::Message { topic, payload });
        }
        Packet::Subscribe { id: acknowledge, topics } => {
            subscribe(shared, number, acknowledge, &topics);
            for topic in topics {
                shared.tell(BusEvent::Subscribed { client: id.to_owned(), topic });
            }
        }
        Packet::Unsubscribe { id: acknowledge, topics } => {
            let mut clients = shared.clients();
            if let Some(client) = clients.by_number.get_mut(&number) {
                client.topics.retain(|topic| !topics.contains(topic));
                client.outbox.send(vec![packet::write_unsuback(acknowledge).into()]);
            }
            drop(clients);
            for topic in topics {
                shared.tell(BusEvent::Unsubscribed { topic });
            }
        }
        Packet::PingReq => answer(shared, number, packet::write_pingresp()),
        Packet::PubAck(_) => {}
        _ => return false,
    }
    true
}

fn answer(shared: &Shared, number: u64, packet: Vec<u8>) {
    if let Some(client) = shared.clients().by_number.get(&number) {
        client.outbox.send(vec![packet.into()]);
    }
}

fn subscribe(shared: &Shared, number: u64, acknowledge: u16, topics: &[String]) {
    let mut clients = shared.clients();
    let kept: Vec<Vec<Bytes>> = topics.iter().filter_map(|topic| clients.kept.remove(topic)).collect();
    let Some(client) = clients.by_number.get_mut(&number) else { return };
    client.topics.extend(topics.iter().cloned());
    client.outbox.send(vec![packet::write_suback(acknowledge, topics.len()).into()]);
    kept.into_iter().for_each(|packet| client.outbox.send(packet));
}

/// Gives a client's message to the others.
fn pass_on(shared: &Shared, sender: u64, topic: &str, payload: &Bytes) {
    // What only the runner says.
    let is_ours =
        topic.starts_with("executor/") || topic.starts_with("inputs/") || topic.contains("/request/");
    let clients = shared.clients();
    let wanted =
        |client: &Client| client.topics.contains(topic) && (topic != REPORT || !client.is_executor());
    let mut readers =
        clients.by_number.iter().filter(|(number, client)| **number != sender && wanted(client)).peekable();
    if is_ours || readers.peek().is_none() {
        return;
    }
    let Some(head) = packet::write_publish(topic, None, payload.len()) else { return };
    let packet = vec![Bytes::from(head), payload.clone()];
    for (_, client) in readers {
        if topic != REPORT || client.outbox.waiting() < MAX_REPORTS {
            client.outbox.send(packet.clone());
        }
    }
}
