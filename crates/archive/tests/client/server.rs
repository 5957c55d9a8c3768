//! A small HTTP server on loopback that does what a test tells it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What a client asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The request target as written: a path, or for a proxy a whole address.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the server answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A whole answer; the length is added.
    Full { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// An answer that promises more than it sends, and then closes.
    Cut { promised: usize, body: Vec<u8> },
    /// An answer that begins, and then says nothing until the client goes away.
    Stall { promised: usize, body: Vec<u8> },
    /// One byte at a time, without end.
    Trickle,
    /// As much as the client takes, without end and without a promise.
    Flood,
}

impl Answer {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::Full { status: 200, headers: Vec::new(), body: body.to_vec() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Full { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Full { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server; it lives as long as the test's process.
pub(crate) struct Server {
    pub(crate) address: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (handler, seen): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&log));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                thread::spawn(move || {
                    // A client may go away at any moment; that is its right.
                    let _ = serve(&stream.unwrap(), &*handler, &seen);
                });
            }
        });
        Self { address, log }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// How many requests so far were for a path that ends so.
    pub(crate) fn count(&self, ending: &str) -> usize {
        self.asked().iter().filter(|asked| asked.target.ends_with(ending)).count()
    }
}

fn serve(stream: &TcpStream, handler: &Handler, log: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let asked = Asked { target, headers };
    log.lock().unwrap().push(asked.clone());
    reply(stream, handler(&asked))
}

fn reply(mut stream: &TcpStream, answer: Answer) -> std::io::Result<()> {
    let head = |status: u16, length: usize, more: &[(String, String)]| {
        let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
    };
    match answer {
        Answer::Full { status, headers, body } => {
            let length = if status == 304 { 0 } else { body.len() };
            stream.write_all(head(status, length, &headers).as_bytes())?;
            stream.write_all(&body)
        }
        Answer::Cut { promised, body } => {
            stream.write_all(head(200, promised, &[]).as_bytes())?;
            stream.write_all(&body)
        }
        Answer::Stall { promised, body } => {
            stream.write_all(head(200, promised, &[]).as_bytes())?;
            stream.write_all(&body)?;
            // Returns when the client closes.
            stream.read(&mut [0]).map(|_| ())
        }
        Answer::Flood => {
            stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 1 << 16])?;
            }
        }
        Answer::Trickle => {
            stream.write_all(head(200, 1 << 30, &[]).as_bytes())?;
            loop {
                stream.write_all(b"x")?;
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
