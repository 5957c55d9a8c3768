//! One connection of the server: requests in, answers and faults out.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use super::fault::{Fault, Faults};
use super::files::Found;
use super::http::{Head, date, write_head};
use super::{Log, Request, locate};

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) root: PathBuf,
    pub(super) log: Arc<Log>,
    pub(super) faults: Arc<Faults<Fault>>,
}

/// Whether a connection goes on after an answer.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Keep,
    Close,
}

/// An answer before it is sent.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Where in the file the body begins.
    offset: u64,
}

impl Answer {
    fn short(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: format!("status {status}\n").into_bytes(), offset: 0 }
    }

    fn redirect(to: &str) -> Self {
        let mut answer = Self::short(302);
        answer.headers.push(("Location", to.to_owned()));
        answer
    }
}

impl Service {
    /// Answers requests until either side ends the connection. A client that goes away is no fault of the test.
    pub(super) fn serve(&self, stream: TcpStream) {
        let Ok(mut out) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        while let Ok(Some(head)) = Head::read(&mut reader) {
            match self.answer(&head, &mut reader, &mut out) {
                Ok(Next::Keep) if !head.wants_close() => {}
                _ => break,
            }
        }
        let _ = out.shutdown(std::net::Shutdown::Both);
    }

    fn answer(&self, head: &Head, reader: &mut impl Read, out: &mut TcpStream) -> io::Result<Next> {
        let [method, target, _] = head.words();
        let place = self.log.note(Request::of(head));
        let fault = self.faults.take(target);
        if fault == Some(Fault::Drop) {
            return Ok(Next::Close);
        }
        let answer = self.prepare(head, fault.as_ref());
        self.log.set_status(place, answer.status);
        let bodiless = method == "HEAD" || answer.status == 304;
        send(answer, fault.as_ref(), bodiless, reader, out)
    }

    fn prepare(&self, head: &Head, fault: Option<&Fault>) -> Answer {
        let [method, target, _] = head.words();
        match fault {
            Some(Fault::Status(status)) => return Answer::short(*status),
            Some(Fault::Redirect(to)) => return Answer::redirect(to),
            Some(Fault::RedirectLoop) => return Answer::redirect(target),
            _ => {}
        }
        if method != "GET" && method != "HEAD" {
            return Answer::short(405);
        }
        let Some(mut found) = locate(&self.root, target).and_then(|path| Found::read(&path)) else {
            return Answer::short(404);
        };
        if let Some(Fault::Replace(other)) = fault {
            found.body.clone_from(other);
        }
        file_answer(found, head, fault == Some(&Fault::IgnoreRange))
    }
}

fn file_answer(found: Found, head: &Head, ignore_range: bool) -> Answer {
    let ranges = if ignore_range { "none" } else { "bytes" };
    let mut headers = vec![
        ("ETag", found.etag.clone()),
        ("Last-Modified", date(found.modified)),
        ("Accept-Ranges", ranges.to_owned()),
    ];
    if found.unchanged(head) {
        return Answer { status: 304, headers, body: Vec::new(), offset: 0 };
    }
    let part = if ignore_range { Ok(None) } else { found.part(head) };
    let length = found.body.len();
    match part {
        Ok(None) => Answer { status: 200, headers, body: found.body, offset: 0 },
        Ok(Some(part)) => {
            headers.push(("Content-Range", format!("bytes {}-{}/{length}", part.start, part.end - 1)));
            let offset = part.start as u64;
            Answer { status: 206, headers, body: found.body[part].to_vec(), offset }
        }
        Err(()) => {
            let mut answer = Answer::short(416);
            answer.headers.push(("Content-Range", format!("bytes */{length}")));
            answer
        }
    }
}

/// Sends an answer, spoilt as the fault says.
fn send(
    mut answer: Answer,
    fault: Option<&Fault>,
    bodiless: bool,
    reader: &mut impl Read,
    out: &mut TcpStream,
) -> io::Result<Next> {
    let length = answer.body.len();
    match fault {
        Some(Fault::Chunked) => answer.headers.push(("Transfer-Encoding", "chunked".to_owned())),
        Some(Fault::NoLength) => answer.headers.push(("Connection", "close".to_owned())),
        _ if answer.status == 304 => {}
        _ => answer.headers.push(("Content-Length", length.to_string())),
    }
    write_head(out, answer.status, &answer.headers)?;
    if bodiless {
        return Ok(if fault == Some(&Fault::NoLength) { Next::Close } else { Next::Keep });
    }
    match fault {
        Some(Fault::Truncate(after)) => {
            out.write_all(&answer.body[..clamp(*after, length)])?;
            Ok(Next::Close)
        }
        Some(Fault::Stall(after)) => {
            out.write_all(&answer.body[..clamp(*after, length)])?;
            // Ends when the client closes its side or the server shuts the connection down.
            while reader.read(&mut [0; 1024])? > 0 {}
            Ok(Next::Close)
        }
        Some(Fault::Corrupt(at)) => {
            let place = at.checked_sub(answer.offset).map(|at| clamp(at, length));
            if let Some(byte) = place.and_then(|place| answer.body.get_mut(place)) {
                *byte = !*byte;
            }
            out.write_all(&answer.body).map(|()| Next::Keep)
        }
        Some(Fault::Chunked) => {
            for chunk in answer.body.chunks(8 * 1024) {
                out.write_all(format!("{:x}\r\n", chunk.len()).as_bytes())?;
                out.write_all(chunk)?;
                out.write_all(b"\r\n")?;
            }
            out.write_all(b"0\r\n\r\n").map(|()| Next::Keep)
        }
        Some(Fault::NoLength) => out.write_all(&answer.body).map(|()| Next::Close),
        _ => out.write_all(&answer.body).map(|()| Next::Keep),
    }
}

fn clamp(at: u64, length: usize) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX).min(length)
}
