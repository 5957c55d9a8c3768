//! Transfers that go well, by the ways there are: ranges, conditions, proxies, other mirrors, local files.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use cache::{Cache, Claim, Digest};
use http::Proxies;
use ovmlayer_archive::client::{Client, Event, Events, Options};

use crate::archive::{PACKAGE, Shape, answer, client, options, package, source};
use crate::server::{Answer, Asked, Server};

/// Cuts the first answer off, and then serves ranges as a real server does.
fn ranges(asked: &Asked, turn: usize, etag: &str) -> Answer {
    let Some(first) = asked
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
    else {
        return if turn == 0 {
            Answer::Cut { promised: PACKAGE.len(), body: PACKAGE[..10].to_vec() }
        } else {
            Answer::ok(PACKAGE).with("ETag", etag)
        };
    };
    let range = format!("bytes {first}-{}/{}", PACKAGE.len() - 1, PACKAGE.len());
    Answer::Full {
        status: 206,
        headers: vec![("Content-Range".to_owned(), range)],
        body: PACKAGE[first..].to_vec(),
    }
}

fn kept(base: &Path) -> bool {
    Cache::open(base).unwrap().contains(&Digest::of(PACKAGE)).unwrap()
}

#[test]
fn a_transfer_goes_on_where_it_broke_off() {
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |asked| ranges(asked, turn.fetch_add(1, Ordering::SeqCst), "\"a\""));
    let base = tempfile::tempdir().unwrap();
    client(base.path()).download(&[package(&server.address)]).unwrap();
    assert!(kept(base.path()));
    assert_eq!(server.asked()[1].header("range"), Some("bytes=10-"));
}

#[test]
fn what_an_earlier_run_began_is_used_if_it_fits() {
    for (summary, begun, expected) in [
        ("a true beginning", &PACKAGE[..7], vec![Some("bytes=7-")]),
        ("something else", b"1234567", vec![Some("bytes=7-"), None]),
        ("everything, but it never was checked", PACKAGE, vec![None]),
    ] {
        let server = Server::start(|asked| ranges(asked, 1, "\"a\""));
        let base = tempfile::tempdir().unwrap();
        let Claim::Mine(mut partial) =
            Cache::open(base.path()).unwrap().partial(&Digest::of(PACKAGE)).unwrap()
        else {
            panic!("should be ours")
        };
        partial.append(begun).unwrap();
        drop(partial);
        client(base.path()).download(&[package(&server.address)]).unwrap();
        assert!(kept(base.path()), "{summary}");
        let asked = server.asked();
        let asked: Vec<_> = asked.iter().map(|asked| asked.header("range")).collect();
        assert_eq!(asked, expected, "{summary}");
    }
}

#[test]
fn a_server_that_ignores_ranges_begins_again() {
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::Cut { promised: PACKAGE.len(), body: PACKAGE[..10].to_vec() },
        _ => Answer::ok(PACKAGE),
    });
    let base = tempfile::tempdir().unwrap();
    client(base.path()).download(&[package(&server.address)]).unwrap();
    assert!(kept(base.path()));
    assert_eq!(server.count(".deb"), 2);
}

#[test]
fn an_unchanged_release_file_is_asked_for_by_its_validators() {
    let files = Shape::default().files();
    let server = Server::start(move |asked| {
        let known = asked.header("if-none-match") == Some("\"v1\"")
            && asked.header("if-modified-since") == Some("Sat, 15 Jun 2030 06:00:00 GMT");
        let full = answer(&files, asked)
            .with("ETag", "\"v1\"")
            .with("Last-Modified", "Sat, 15 Jun 2030 06:00:00 GMT");
        if known { Answer::status(304) } else { full }
    });
    let base = tempfile::tempdir().unwrap();
    let first = client(base.path()).releases(&[source(&server.address)]).unwrap();
    let second = client(base.path()).releases(&[source(&server.address)]).unwrap();
    assert_eq!(first[0].digest, second[0].digest);
    assert_eq!(server.asked().len(), 2);
    assert!(server.asked()[1].header("if-none-match").is_some());
}

#[test]
fn redirects_are_followed_also_to_another_host() {
    let target = Server::start(|_| Answer::ok(PACKAGE));
    let there = format!("{}/elsewhere", target.address);
    let server = Server::start(move |asked| match asked.target.as_str() {
        "/second" => Answer::status(307).with("Location", &there),
        _ => Answer::status(301).with("Location", "../second"),
    });
    let base = tempfile::tempdir().unwrap();
    client(base.path()).download(&[package(&server.address)]).unwrap();
    assert!(kept(base.path()));
}

#[test]
fn the_next_address_is_tried() {
    let bad = Server::start(|_| Answer::ok(&PACKAGE.iter().rev().copied().collect::<Vec<_>>()));
    let absent = Server::start(|_| Answer::status(404));
    let good = Server::start(|_| Answer::ok(PACKAGE));
    let base = tempfile::tempdir().unwrap();
    let mut wanted = package(&bad.address);
    wanted.urls.extend(package(&absent.address).urls);
    wanted.urls.extend(package(&good.address).urls);
    client(base.path()).download(&[wanted]).unwrap();
    assert!(kept(base.path()));
}

/// A proxy gets the whole address of a plain request (RFC 9112, section 3.2.2), and its user's name.
#[test]
fn a_plain_request_goes_through_a_proxy_as_it_is() {
    let proxy = Server::start(|_| Answer::ok(PACKAGE));
    let apt = tempfile::tempdir().unwrap();
    let address = proxy.address.replace("http://", "http://user:word@");
    std::fs::write(apt.path().join("apt.conf"), format!("Acquire::http::Proxy \"{address}\";\n")).unwrap();
    let base = tempfile::tempdir().unwrap();
    let mut options = options(base.path());
    options.http.proxies = Proxies::of_machine(apt.path(), |_| None).unwrap();
    let wanted = package("http://archive.invalid");
    Client::new(options).unwrap().download(&[wanted]).unwrap();
    let asked = &proxy.asked()[0];
    assert_eq!(asked.target, "http://archive.invalid/pool/one_1_amd64.deb");
    assert_eq!(asked.header("proxy-authorization"), Some("Basic dXNlcjp3b3Jk"));
    assert_eq!(asked.header("host"), Some("archive.invalid"));
}

#[test]
fn local_archives() {
    let folder = tempfile::Builder::new().prefix("with blank ").tempdir().unwrap();
    for (path, body) in Shape::default().files() {
        let path = folder.path().join(&path[1..]);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }
    for scheme in ["file", "copy"] {
        let uri = format!("{scheme}://{}", folder.path().display()).replace(' ', "%20");
        let base = tempfile::tempdir().unwrap();
        let client = client(base.path());
        let archives = client.releases(&[source(&uri)]).unwrap();
        client.indices(&archives, "amd64").unwrap();
        client.download(&[package(&uri)]).unwrap();
        assert!(kept(base.path()), "{scheme}");
        let mut gone = package(&uri);
        gone.sha256 = Digest::of(b"other");
        gone.urls = vec![format!("{uri}/pool/none.deb")];
        assert!(matches!(client.download(&[gone]), Err(ovmlayer_archive::Error::Gone { .. })), "{scheme}");
    }
}

#[test]
fn several_clients_fetch_each_file_once() {
    let files = Shape::default().files();
    let server = Server::start(move |asked| answer(&files, asked));
    let base = tempfile::tempdir().unwrap();
    let clients: Vec<Client> = (0..6).map(|_| client(base.path())).collect();
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| client.download(&[package(&server.address)]).unwrap());
        }
    });
    assert_eq!(server.count(".deb"), 1);
}

/// Adds up what it is told.
#[derive(Default)]
struct Sum {
    planned: AtomicU64,
    received: AtomicU64,
    log: Mutex<Vec<String>>,
}

impl Events for Sum {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Planned { bytes, .. } => {
                self.planned.fetch_add(*bytes, Ordering::SeqCst);
            }
            Event::Received { bytes } => {
                self.received.fetch_add(*bytes, Ordering::SeqCst);
            }
            Event::Adjusted { bytes } => {
                // Wraps around, as negative numbers do.
                self.received.fetch_add(bytes.cast_unsigned(), Ordering::SeqCst);
            }
            Event::Retrying { name, failure } => {
                self.log.lock().unwrap().push(format!("again {name}: {failure}"));
            }
            Event::Finished { name } => self.log.lock().unwrap().push(format!("done {name}")),
            Event::Cached { name } => self.log.lock().unwrap().push(format!("had {name}")),
            _ => {}
        }
    }
}

#[test]
fn progress_adds_up_whatever_happens_on_the_way() {
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::Cut { promised: PACKAGE.len(), body: PACKAGE[..10].to_vec() },
        _ => Answer::ok(PACKAGE),
    });
    let base = tempfile::tempdir().unwrap();
    let sum = std::sync::Arc::new(Sum::default());
    let client = Client::new(Options { events: sum.clone(), ..options(base.path()) }).unwrap();
    client.download(&[package(&server.address)]).unwrap();
    client.download(&[package(&server.address)]).unwrap();
    assert_eq!(sum.planned.load(Ordering::SeqCst), PACKAGE.len() as u64);
    assert_eq!(sum.received.load(Ordering::SeqCst), PACKAGE.len() as u64);
    let log = sum.log.lock().unwrap();
    assert!(log[0].starts_with("again one 1 (amd64): the transfer ended after 10 of"), "{log:?}");
    assert_eq!(log[1..], ["done one 1 (amd64)", "had one 1 (amd64)"]);
}
