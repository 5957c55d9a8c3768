//! The server and the proxy, spoken to in plain HTTP.
#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test fails the test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use ovmlayer_testkit::{Fault, Proxy, Server};

/// Status, header fields and body of an answer; the body ends where the connection ends.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Sends one request on a connection of its own; `None` when it is closed without an answer.
fn request(address: SocketAddr, target: &str, headers: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return None;
        }
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, head, body })
}

fn served() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("pool")).unwrap();
    fs::write(folder.path().join("pool/a+b.deb"), b"0123456789").unwrap();
    let server = Server::start(folder.path());
    (folder, server)
}

#[test]
fn answers_by_request() {
    let (_folder, server) = served();
    let whole = request(server.address(), "/pool/a%2bb.deb", "").unwrap();
    let etag = whole.head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
    let modified =
        whole.head.lines().find_map(|line| line.strip_prefix("Last-Modified: ")).unwrap().to_owned();
    let cases = [
        ("the whole file", "", 200, "0123456789"),
        ("a part", "Range: bytes=2-4\r\n", 206, "234"),
        ("the rest", "Range: bytes=7-\r\n", 206, "789"),
        ("the end", "Range: bytes=-2\r\n", 206, "89"),
        ("a part that ends beyond the end", "Range: bytes=8-99\r\n", 206, "89"),
        ("nothing after the end", "Range: bytes=10-\r\n", 416, "status 416\n"),
        ("a part of another state", "Range: bytes=2-\r\nIf-Range: \"other\"\r\n", 200, "0123456789"),
        ("a part of this state", &format!("Range: bytes=8-\r\nIf-Range: {etag}\r\n"), 206, "89"),
        ("the same state by its tag", &format!("If-None-Match: {etag}\r\n"), 304, ""),
        ("another state by its tag", "If-None-Match: \"other\"\r\n", 200, "0123456789"),
        ("the same state by its time", &format!("If-Modified-Since: {modified}\r\n"), 304, ""),
        ("a state since long ago", "If-Modified-Since: Thu, 01 Jan 2004 00:00:00 GMT\r\n", 200, "0123456789"),
    ];
    for (summary, headers, status, body) in cases {
        let answer = request(server.address(), "/pool/a+b.deb", headers).unwrap();
        assert_eq!(
            (answer.status, String::from_utf8_lossy(&answer.body).as_ref()),
            (status, body),
            "{summary}"
        );
    }
    assert_eq!(request(server.address(), "/pool/none", "").unwrap().status, 404);
    assert_eq!(request(server.address(), "/../etc/passwd", "").unwrap().status, 404);
    assert_eq!(server.count("/pool/a+b.deb"), 12);
    assert_eq!(server.requests()[1].header("host"), Some("test"));
}

#[test]
fn faults_spoil_answers() {
    let (_folder, server) = served();
    let url = server.url();
    let cases = [
        ("a status", Fault::Status(503), Some((503, "status 503\n"))),
        ("a body cut short", Fault::Truncate(3), Some((200, "012"))),
        ("an altered byte", Fault::Corrupt(0), Some((200, "\u{fffd}123456789"))),
        ("another body", Fault::Replace(b"other".to_vec()), Some((200, "other"))),
        ("a redirect", Fault::Redirect(format!("{url}/x")), Some((302, "status 302\n"))),
        ("a redirect to itself", Fault::RedirectLoop, Some((302, "status 302\n"))),
        ("no answer", Fault::Drop, None),
        ("the whole instead of a part", Fault::IgnoreRange, Some((200, "0123456789"))),
        ("chunks", Fault::Chunked, Some((206, "4\r\n6789\r\n0\r\n\r\n"))),
        ("no length", Fault::NoLength, Some((206, "6789"))),
        ("an altered byte before the part", Fault::Corrupt(2), Some((206, "6789"))),
    ];
    for (summary, fault, expected) in cases {
        server.clear_faults();
        let part = matches!(fault, Fault::IgnoreRange | Fault::Chunked | Fault::NoLength | Fault::Corrupt(2));
        server.fault("/pool/*", fault);
        let range = if part { "Range: bytes=6-\r\n" } else { "" };
        let answer = request(server.address(), "/pool/a+b.deb", range);
        let answer = answer.map(|answer| (answer.status, String::from_utf8_lossy(&answer.body).into_owned()));
        assert_eq!(answer, expected.map(|(status, body)| (status, body.to_owned())), "{summary}");
    }
}

#[test]
fn a_fault_for_some_requests_ends() {
    let (_folder, server) = served();
    server.fault_times("*", Fault::Status(500), 2);
    let statuses: Vec<u16> =
        (0..3).map(|_| request(server.address(), "/pool/a+b.deb", "").unwrap().status).collect();
    assert_eq!(statuses, [500, 500, 200]);
}

#[test]
fn a_stalled_answer_ends_with_the_server() {
    let (_folder, server) = served();
    server.fault("*", Fault::Stall(4));
    let address = server.address();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /pool/a+b.deb HTTP/1.1\r\n\r\n").unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n0123") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        received.push(byte[0]);
    }
    drop(server);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn one_connection_serves_many_requests() {
    let (_folder, server) = served();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..3 {
        stream.write_all(b"GET /pool/a+b.deb HTTP/1.1\r\n\r\n").unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let mut body = [0; 10];
        reader.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"0123456789");
    }
}

#[test]
fn the_proxy_forwards_by_route_and_asks_for_credentials() {
    let (_folder, server) = served();
    let proxy = Proxy::start();
    let address = proxy.url().strip_prefix("http://").unwrap().parse().unwrap();
    proxy.route("archive.test", server.address());
    let target = "http://archive.test/pool/a+b.deb";
    let answer = request(address, target, "Range: bytes=1-2\r\n").unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (206, b"12".as_slice()));
    assert_eq!(request(address, &format!("{}/none", server.url()), "").unwrap().status, 404);
    assert_eq!(request(address, "/pool/a+b.deb", "").unwrap().status, 400, "not in absolute form");
    proxy.require_credentials("Basic dXNlcjpwYXNz");
    assert_eq!(request(address, target, "").unwrap().status, 407);
    assert_eq!(request(address, target, "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n").unwrap().status, 200);
    assert_eq!(proxy.count("http://archive.test/*"), 3);
    assert_eq!(server.count("*"), 3);
    assert!(server.requests().iter().all(|request| request.header("proxy-authorization").is_none()));
}

#[test]
fn a_proxy_ends_although_its_server_does_not_answer() {
    let (_folder, server) = served();
    server.fault("*", Fault::Stall(0));
    let proxy = Proxy::start();
    let address = proxy.url().strip_prefix("http://").unwrap().parse().unwrap();
    let target = format!("{}/pool/a+b.deb", server.url());
    let client = std::thread::spawn(move || request(address, &target, ""));
    server.wait_for("*", 1);
    drop(proxy);
    drop(client.join().unwrap());
}
