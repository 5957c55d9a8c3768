//! A relay before another server: what goes through it can go wrong in either direction.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fault::Faults;
use super::http::{Head, read_body, write_head};
use super::{Listener, Log, Request, lock};
use crate::Random;

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server is not asked; this is the answer's status.
    Status(u16),
    /// The same, with `Retry-After`.
    Busy(u16, String),
    /// The connection ends before the server is asked.
    Drop,
    /// The server is asked, and its answer is thrown away.
    Swallow,
    /// The server gets this many bytes of the body, and then the connections end.
    CutRequest(usize),
    /// The byte at this place of the request's body is another one.
    CorruptRequest(usize),
    /// The connection ends after this many bytes of the answer's body.
    Truncate(usize),
    /// The byte at this place of the answer's body is another one.
    Corrupt(usize),
    /// After this many bytes of the answer's body nothing comes until the client or the relay ends.
    Stall(usize),
    /// The answer comes late.
    Delay(Duration),
    /// The answer says that its body has this many bytes.
    Announce(u64),
    /// The server is not asked; the answer leads to this address.
    Redirect(String),
    /// The same, to the same address, for ever.
    RedirectLoop,
}

/// What happens by chance.
#[derive(Debug)]
struct Chance {
    random: Random,
    /// Of a thousand requests.
    share: u64,
    troubles: Vec<Trouble>,
}

#[derive(Debug, Default)]
struct State {
    log: Log,
    faults: Faults<Trouble>,
    chance: Mutex<Option<Chance>>,
}

/// Listens on an ephemeral port of 127.0.0.1 and hands requests to another server, until it is dropped.
///
/// Patterns are matched with `METHOD TARGET`, such as `PATCH /v2/*`.
#[derive(Debug)]
pub struct Relay {
    listener: Listener,
    state: Arc<State>,
}

impl Relay {
    /// Starts to relay to the server at `upstream`, which speaks HTTP without TLS.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> Self {
        let state = Arc::new(State::default());
        let shared = state.clone();
        let listener = Listener::start(move |stream| shared.serve(&stream, upstream));
        Self { listener, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// From now on this happens to the next `times` requests that match `pattern`, or to all of them.
    pub fn trouble(&self, pattern: &str, trouble: Trouble, times: Option<u32>) {
        self.state.faults.add(pattern, trouble, times);
    }

    /// From now on one of `troubles` happens to `share` of a thousand requests, chosen by the seed.
    pub fn trouble_by_chance(&self, seed: u64, share: u64, troubles: &[Trouble]) {
        let chance = Chance { random: Random::new(seed), share, troubles: troubles.to_vec() };
        *lock(&self.state.chance) = Some(chance);
    }

    /// From now on all goes well.
    pub fn calm(&self) {
        self.state.faults.clear();
        *lock(&self.state.chance) = None;
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.log.requests()
    }

    /// How many requests so far were made with `method` to a target that matches `pattern`.
    #[must_use]
    pub fn count(&self, method: &str, pattern: &str) -> usize {
        let all = self.requests();
        all.iter().filter(|one| one.method == method && super::fault::matches(pattern, &one.target)).count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.state.log.clear();
    }
}

impl State {
    fn serve(&self, stream: &TcpStream, upstream: SocketAddr) {
        let (Ok(input), Ok(mut out)) = (stream.try_clone(), stream.try_clone()) else { return };
        let mut reader = BufReader::new(input);
        while let Ok(Some(head)) = Head::read(&mut reader) {
            match self.relay(&head, &mut reader, &mut out, upstream) {
                Ok(true) if !head.wants_close() => {}
                _ => break,
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn choose(&self, head: &Head) -> Option<Trouble> {
        let [method, target, _] = head.words();
        if let Some(trouble) = self.faults.take(&format!("{method} {target}")) {
            return Some(trouble);
        }
        let mut chance = lock(&self.chance);
        let chance = chance.as_mut()?;
        let hit = chance.random.below(1000) < chance.share;
        hit.then(|| chance.random.pick(&chance.troubles).clone())
    }

    /// Hands one request on; whether the connection can go on.
    fn relay(
        &self,
        head: &Head,
        reader: &mut BufReader<TcpStream>,
        out: &mut TcpStream,
        upstream: SocketAddr,
    ) -> io::Result<bool> {
        let mut body = read_body(reader, head)?;
        let place = self.log.note(Request::of(head));
        let trouble = self.choose(head);
        let target = head.words()[1];
        let short = |out: &mut TcpStream, status: u16, header: Option<(&str, String)>| {
            self.log.set_status(place, status);
            let mut headers = vec![("Content-Length", "0".to_owned())];
            headers.extend(header);
            write_head(out, status, &headers).map(|()| true)
        };
        let mut sent = body.len();
        match &trouble {
            Some(Trouble::Status(status)) => return short(out, *status, None),
            Some(Trouble::Busy(status, wait)) => {
                return short(out, *status, Some(("Retry-After", wait.clone())));
            }
            Some(Trouble::Redirect(to)) => return short(out, 307, Some(("Location", to.clone()))),
            Some(Trouble::RedirectLoop) => return short(out, 307, Some(("Location", target.to_owned()))),
            Some(Trouble::Drop) => return Ok(false),
            Some(Trouble::CorruptRequest(at)) => invert(&mut body, *at),
            Some(Trouble::CutRequest(at)) => sent = sent.min(*at),
            Some(Trouble::Delay(time)) => std::thread::sleep(*time),
            _ => {}
        }
        let mut server = TcpStream::connect(upstream)?;
        server.write_all(request(head, body.len()).as_bytes())?;
        server.write_all(&body[..sent])?;
        if sent < body.len() {
            return Ok(false);
        }
        let mut answer = BufReader::new(server);
        let Some(answered) = Head::read(&mut answer)? else { return Ok(false) };
        let mut contents = Vec::new();
        answer.read_to_end(&mut contents)?;
        if trouble == Some(Trouble::Swallow) {
            return Ok(false);
        }
        self.log.set_status(place, answered.words()[1].parse().unwrap_or(0));
        hand_back(head, &answered, contents, trouble.as_ref(), reader, out)
    }
}

/// The request's head for the server. In version 1.0 the answer ends with the connection, whatever its length.
fn request(head: &Head, length: usize) -> String {
    let [method, target, _] = head.words();
    let mut text = format!("{method} {target} HTTP/1.0\r\n");
    let own = ["connection", "content-length", "transfer-encoding"];
    for (name, value) in head.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !matches!(method, "GET" | "HEAD") {
        text.push_str(&format!("content-length: {length}\r\n"));
    }
    text.push_str("\r\n");
    text
}

fn hand_back(
    head: &Head,
    answered: &Head,
    mut contents: Vec<u8>,
    trouble: Option<&Trouble>,
    reader: &mut impl Read,
    out: &mut TcpStream,
) -> io::Result<bool> {
    let status: u16 = answered.words()[1].parse().unwrap_or(502);
    let is_head = head.words()[0] == "HEAD";
    let mut headers: Vec<(&str, String)> = answered
        .headers
        .iter()
        .filter(|(name, _)| name != "connection" && (is_head || name != "content-length"))
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let length = match trouble {
        Some(Trouble::Announce(length)) => *length,
        _ => contents.len() as u64,
    };
    if !is_head {
        headers.push(("content-length", length.to_string()));
    }
    write_head(out, status, &headers)?;
    if is_head {
        return Ok(true);
    }
    match trouble {
        Some(Trouble::Corrupt(at)) => invert(&mut contents, *at),
        Some(Trouble::Truncate(after)) => {
            out.write_all(&contents[..contents.len().min(*after)])?;
            return Ok(false);
        }
        Some(Trouble::Stall(after)) => {
            out.write_all(&contents[..contents.len().min(*after)])?;
            while reader.read(&mut [0; 1024])? > 0 {}
            return Ok(false);
        }
        _ => {}
    }
    out.write_all(&contents)?;
    Ok(length == contents.len() as u64)
}

/// Makes the byte at a place, or the last one, another.
fn invert(bytes: &mut [u8], at: usize) {
    let at = at.min(bytes.len().saturating_sub(1));
    if let Some(byte) = bytes.get_mut(at) {
        *byte = !*byte;
    }
}
