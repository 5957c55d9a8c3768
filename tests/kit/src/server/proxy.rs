//! A forwarding HTTP proxy on the loopback interface.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use super::http::{Head, write_head};
use super::{Listener, Log, Request, lock};

/// Forwards requests in absolute form (RFC 9112, section 3.2.2), to loopback servers or to where their address says.
///
/// With [`route`](Self::route) a name that nobody else knows leads to a [`Server`](super::Server), so a client can be
/// tested with the addresses that its users have.
#[derive(Debug)]
pub struct Proxy {
    listener: Listener,
    log: Arc<Log>,
    settings: Arc<Settings>,
}

#[derive(Debug, Default)]
struct Settings {
    routes: Mutex<HashMap<String, SocketAddr>>,
    credentials: Mutex<Option<String>>,
    upstreams: Mutex<Upstreams>,
}

/// Open connections to servers: one that never answers must not hold the proxy when it ends.
#[derive(Debug, Default)]
struct Upstreams {
    closed: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// Starts a proxy that knows no routes: it connects to what the address names.
    #[must_use]
    pub fn start() -> Self {
        let log = Arc::new(Log::default());
        let settings = Arc::new(Settings::default());
        let service = Service { log: log.clone(), settings: settings.clone() };
        let listener = Listener::start(move |stream| service.serve(&stream));
        Self { listener, log, settings }
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listener.address)
    }

    /// Sends requests for `host` (`NAME` or `NAME:PORT`, as in the address) to this server.
    pub fn route(&self, host: &str, server: SocketAddr) {
        lock(&self.settings.routes).insert(host.to_owned(), server);
    }

    /// From now on demands this value of `Proxy-Authorization`, such as `Basic dXNlcjpwYXNz`.
    pub fn require_credentials(&self, value: &str) {
        *lock(&self.settings.credentials) = Some(value.to_owned());
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// How many requests had an address that matches `pattern`.
    #[must_use]
    pub fn count(&self, pattern: &str) -> usize {
        self.log.count(pattern)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut upstreams = lock(&self.settings.upstreams);
        upstreams.closed = true;
        for stream in &upstreams.open {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[derive(Debug)]
struct Service {
    log: Arc<Log>,
    settings: Arc<Settings>,
}

impl Service {
    fn serve(&self, stream: &TcpStream) {
        let (Ok(input), Ok(mut out)) = (stream.try_clone(), stream.try_clone()) else { return };
        let mut reader = BufReader::new(input);
        while let Ok(Some(head)) = Head::read(&mut reader) {
            match self.forward(&head, &mut out) {
                Ok(true) if !head.wants_close() => {}
                _ => break,
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// Forwards one request; true when the connection may go on.
    fn forward(&self, head: &Head, out: &mut TcpStream) -> io::Result<bool> {
        let [method, target, _] = head.words();
        let place = self.log.note(Request::of(head));
        let refuse = |out: &mut TcpStream, status: u16, extra: &[(&str, String)]| {
            self.log.set_status(place, status);
            let mut headers = vec![("Content-Length", "0".to_owned())];
            headers.extend_from_slice(extra);
            write_head(out, status, &headers).map(|()| true)
        };
        let demanded = lock(&self.settings.credentials).clone();
        if demanded.is_some() && head.header("proxy-authorization") != demanded.as_deref() {
            return refuse(out, 407, &[("Proxy-Authenticate", "Basic realm=\"test\"".to_owned())]);
        }
        let Some((host, path)) = split_address(target) else { return refuse(out, 400, &[]) };
        let Ok(upstream) = self.connect(host) else { return refuse(out, 502, &[]) };
        let mut reader = ask(upstream, head, method, path)?;
        let Some(answer) = Head::read(&mut reader)? else { return refuse(out, 502, &[]) };
        self.log.set_status(place, answer.words()[1].parse().unwrap_or(0));
        relay(method, &answer, &mut reader, out)
    }

    fn connect(&self, host: &str) -> io::Result<TcpStream> {
        let route = lock(&self.settings.routes).get(host).copied();
        let stream = match route {
            Some(address) => TcpStream::connect(address),
            None if host.contains(':') => TcpStream::connect(host),
            None => TcpStream::connect((host, 80)),
        }?;
        let mut upstreams = lock(&self.settings.upstreams);
        if upstreams.closed {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        upstreams.open.push(stream.try_clone()?);
        Ok(stream)
    }
}

/// Sends the request on, for one answer only, without what concerns the proxy alone.
fn ask(mut upstream: TcpStream, head: &Head, method: &str, path: &str) -> io::Result<BufReader<TcpStream>> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    let own = ["connection", "proxy-connection", "proxy-authorization", "keep-alive"];
    for (name, value) in head.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    upstream.write_all(text.as_bytes())?;
    Ok(BufReader::new(upstream))
}

/// Hands the answer through; true when the client can tell where it ends.
fn relay(method: &str, answer: &Head, reader: &mut impl BufRead, out: &mut TcpStream) -> io::Result<bool> {
    let status: u16 = answer.words()[1].parse().unwrap_or(502);
    let headers: Vec<(&str, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| name != "connection")
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let length = answer.header("content-length").and_then(|value| value.parse::<u64>().ok());
    let bodiless = method == "HEAD" || status == 304;
    write_head(out, status, &headers)?;
    if bodiless {
        return Ok(true);
    }
    let copied = io::copy(&mut reader.take(length.unwrap_or(u64::MAX)), out)?;
    Ok(length == Some(copied))
}

/// `http://HOST/PATH` in its two parts.
fn split_address(target: &str) -> Option<(&str, &str)> {
    let rest = target.strip_prefix("http://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let path = if end == rest.len() { "/" } else { &rest[end..] };
    Some((&rest[..end], path))
}
