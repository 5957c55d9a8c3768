//! A loopback HTTP/1.1 server for a folder, with faults by path and a memory of what was asked, a proxy, a
//! relay before another server, and a server that answers as a test says.

mod connection;
mod fault;
mod files;
mod http;
mod proxy;
mod relay;
mod script;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use fault::Fault;
pub(crate) use http::percent_decode;
pub use proxy::Proxy;
pub use relay::{Relay, Trouble};
pub use script::{Asked, Reply, Script};

/// One request that a server or a proxy has seen, together with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD` …
    pub method: String,
    /// The target as sent: a path for a server, a whole address for a proxy.
    pub target: String,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The status of the answer; 0 when the connection was closed without one.
    pub status: u16,
}

impl Request {
    /// The request with this head, before it is answered.
    fn of(head: &http::Head) -> Self {
        let [method, target, _] = head.words();
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: head.headers.clone(),
            status: 0,
        }
    }

    /// A header field by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Serves a folder on an ephemeral port of 127.0.0.1 until it is dropped.
///
/// Knows `HEAD`, ranges, `ETag` and `Last-Modified` with their conditions, and connections that stay open. Each
/// connection has a thread of its own.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    log: Arc<Log>,
    faults: Arc<fault::Faults<Fault>>,
}

impl Server {
    /// Starts to serve what lies beneath `root`, now or later.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(root: &Path) -> Self {
        let log = Arc::new(Log::default());
        let faults = Arc::new(fault::Faults::default());
        let service = connection::Service { root: root.to_owned(), log: log.clone(), faults: faults.clone() };
        let listener = Listener::start(move |stream| service.serve(stream));
        Self { listener, log, faults }
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// From now on treats requests whose path matches `pattern` (`*` stands for any run of characters) so. Of several
    /// faults that match, the last one given wins.
    pub fn fault(&self, pattern: &str, fault: Fault) {
        self.faults.add(pattern, fault, None);
    }

    /// The same for the next `times` matching requests only.
    pub fn fault_times(&self, pattern: &str, fault: Fault, times: u32) {
        self.faults.add(pattern, fault, Some(times));
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.faults.clear();
    }

    /// All requests so far, in the order in which they were answered.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// How many requests had a target that matches `pattern`.
    #[must_use]
    pub fn count(&self, pattern: &str) -> usize {
        self.log.count(pattern)
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.log.clear();
    }

    /// Waits until `count` requests with a target that matches `pattern` have come in, so that a test can act in the
    /// midst of a download without guessing when that is.
    ///
    /// # Panics
    /// When they have not come within a minute.
    pub fn wait_for(&self, pattern: &str, count: usize) {
        self.log.wait_for(pattern, count);
    }
}

/// What has been asked so far.
#[derive(Debug, Default)]
struct Log {
    requests: Mutex<Vec<Request>>,
    changed: Condvar,
}

impl Log {
    /// Notes a request and gives the place where its status goes.
    fn note(&self, request: Request) -> usize {
        let mut requests = lock(&self.requests);
        requests.push(request);
        self.changed.notify_all();
        requests.len() - 1
    }

    fn set_status(&self, place: usize, status: u16) {
        if let Some(request) = lock(&self.requests).get_mut(place) {
            request.status = status;
        }
    }

    fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }

    fn count(&self, pattern: &str) -> usize {
        lock(&self.requests).iter().filter(|request| fault::matches(pattern, &request.target)).count()
    }

    fn clear(&self) {
        lock(&self.requests).clear();
    }

    fn wait_for(&self, pattern: &str, count: usize) {
        let too_few = |requests: &mut Vec<Request>| {
            requests.iter().filter(|request| fault::matches(pattern, &request.target)).count() < count
        };
        let requests = lock(&self.requests);
        let (_requests, result) = self
            .changed
            .wait_timeout_while(requests, Duration::from_secs(60), too_few)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "fewer than {count} requests for {pattern:?} within a minute");
    }
}

/// A listening socket, its accepting thread, and all open connections, which end with it.
#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    connections: Arc<Mutex<Connections>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Connections {
    closed: bool,
    next: u64,
    open: HashMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Listener {
    fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let socket =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback interface");
        let address = socket.local_addr().expect("address of a bound socket");
        let connections = Arc::new(Mutex::new(Connections::default()));
        let (shared, serve) = (connections.clone(), Arc::new(serve));
        let accept = move || {
            for stream in socket.incoming() {
                let Ok(stream) = stream else { continue };
                if !admit(&shared, &serve, stream) {
                    return;
                }
            }
        };
        let thread = std::thread::spawn(accept);
        Self { address, connections, thread: Some(thread) }
    }
}

/// Starts a thread for a connection; false when the listener is closed.
fn admit<S>(connections: &Arc<Mutex<Connections>>, serve: &Arc<S>, stream: TcpStream) -> bool
where
    S: Fn(TcpStream) + Send + Sync + 'static,
{
    let mut open = lock(connections);
    if open.closed {
        return false;
    }
    let Ok(second) = stream.try_clone() else { return true };
    let id = open.next;
    open.next += 1;
    open.open.insert(id, second);
    let (shared, serve) = (connections.clone(), serve.clone());
    open.threads.push(std::thread::spawn(move || {
        serve(stream);
        // Dropping the last handle closes the connection.
        lock(&shared).open.remove(&id);
    }));
    true
}

impl Drop for Listener {
    fn drop(&mut self) {
        let threads = {
            let mut connections = lock(&self.connections);
            connections.closed = true;
            for stream in connections.open.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut connections.threads)
        };
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        for thread in threads.into_iter().chain(self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file that a request path means; `None` when it would leave the folder.
fn locate(root: &Path, path: &str) -> Option<PathBuf> {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let path = http::percent_decode(path)?;
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.into_iter().try_fold(root.to_owned(), |folder, part| (part != "..").then(|| folder.join(part)))
}
