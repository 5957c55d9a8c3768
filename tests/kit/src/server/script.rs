//! A server that answers as a test says.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::http::{Head, read_body, write_head};
use super::{Listener, Log, Request};

/// One request, as a test is asked about it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its first line and its headers; the status is not known yet.
    pub request: Request,
    /// Its body.
    pub body: Vec<u8>,
}

/// What a test answers.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header fields; the length is added.
    pub headers: Vec<(String, String)>,
    /// The body; of a `HEAD` request, only its length is sent.
    pub body: Vec<u8>,
    /// Whether the connection ends instead, without an answer.
    pub hangs_up: bool,
}

impl Reply {
    /// An answer with this status and body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), hangs_up: false }
    }

    /// No answer: the connection ends.
    #[must_use]
    pub fn hang_up() -> Self {
        Self { hangs_up: true, ..Self::new(0, "") }
    }

    /// The same with one more header field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A server on an ephemeral port of 127.0.0.1 that asks a function for every answer, until it is dropped.
#[derive(Debug)]
pub struct Script {
    listener: Listener,
    log: Arc<Log>,
}

impl Script {
    /// Starts to answer.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let log = Arc::new(Log::default());
        let noted = log.clone();
        let listener = Listener::start(move |stream| serve(&stream, &answer, &noted));
        Self { listener, log }
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

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }
}

fn serve(stream: &TcpStream, answer: &impl Fn(&Asked) -> Reply, log: &Log) {
    let (Ok(input), Ok(mut out)) = (stream.try_clone(), stream.try_clone()) else { return };
    let mut reader = BufReader::new(input);
    while let Ok(Some(head)) = Head::read(&mut reader) {
        let Ok(body) = read_body(&mut reader, &head) else { break };
        let request = Request::of(&head);
        let place = log.note(request.clone());
        let reply = answer(&Asked { request, body });
        if reply.hangs_up {
            break;
        }
        log.set_status(place, reply.status);
        let mut headers: Vec<(&str, String)> =
            reply.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        headers.push(("Content-Length", reply.body.len().to_string()));
        let bodiless = head.words()[0] == "HEAD";
        let sent = write_head(&mut out, reply.status, &headers)
            .and_then(|()| if bodiless { Ok(()) } else { out.write_all(&reply.body) });
        if sent.is_err() {
            break;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}
