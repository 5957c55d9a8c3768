//! Servers that fail, lie, or dawdle: each ends in an error that names the file and the archive, and nothing is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Failure, Status};
use ovmlayer_archive::client::{Client, Options};
use ovmlayer_archive::{Cancel, Error};

use crate::archive::{PACKAGE, PACKAGES, Shape, answer, client, options, package, source};
use crate::server::{Answer, Server};

/// A server of a good archive, but for one answer.
fn server_with(path: &'static str, fault: impl Fn(usize, &[u8]) -> Answer + Send + Sync + 'static) -> Server {
    let files = Shape::default().files();
    let turn = AtomicUsize::new(0);
    Server::start(move |asked| {
        if asked.target.contains(path) {
            let body = files.get(&asked.target).map_or(&[][..], Vec::as_slice);
            return fault(turn.fetch_add(1, Ordering::SeqCst), body);
        }
        answer(&files, asked)
    })
}

fn failure(error: &Error) -> &Failure {
    match error {
        Error::Fetch { failure, .. } => failure,
        other => panic!("{other}"),
    }
}

type Fault = fn(usize, &[u8]) -> Answer;
type Expected = fn(&Failure) -> bool;

#[test]
fn each_fault_of_a_package_has_its_error() {
    let faults: [(&str, Fault, Expected); 9] = [
        ("forbidden", |_, _| Answer::status(403), |f| matches!(f, Failure::Status(Status::Forbidden))),
        ("overloaded", |_, _| Answer::status(503), |f| matches!(f, Failure::Status(Status::Passing(503)))),
        (
            "cut off",
            |_, body| Answer::Cut { promised: body.len(), body: body[..9].to_vec() },
            |f| matches!(f, Failure::Truncated { held: 9, .. }),
        ),
        ("another length", |_, body| Answer::ok(&body[1..]), |f| matches!(f, Failure::WrongSize { .. })),
        (
            "other bytes",
            |_, body| Answer::ok(&body.iter().rev().copied().collect::<Vec<_>>()),
            |f| matches!(f, Failure::WrongDigest { .. }),
        ),
        (
            "a circle",
            |_, _| Answer::status(302).with("Location", "/pool/one_1_amd64.deb"),
            |f| matches!(f, Failure::Redirects { limit: 5, .. }),
        ),
        (
            "out of the web",
            |_, _| Answer::status(302).with("Location", "file:///etc/passwd"),
            |f| matches!(f, Failure::BadRedirect(_)),
        ),
        (
            "silence",
            |_, body| Answer::Stall { promised: body.len(), body: body[..4].to_vec() },
            |f| matches!(f, Failure::Stalled(_)),
        ),
        (
            "nonsense",
            |_, _| Answer::status(206).with("Content-Range", "bytes 7-8/99"),
            |f| matches!(f, Failure::Protocol(_)),
        ),
    ];
    for (summary, fault, expected) in faults {
        let server = server_with("/pool/", fault);
        let base = tempfile::tempdir().unwrap();
        let wanted = package(&server.address);
        let mut options = options(base.path());
        if summary == "silence" {
            options.http.stall_timeout = Duration::from_millis(300);
        }
        let error = Client::new(options).unwrap().download(std::slice::from_ref(&wanted)).unwrap_err();
        assert!(expected(failure(&error)), "{summary}: {error:?}");
        let message = error.to_string();
        assert!(
            message.contains("pool/one_1_amd64.deb") && message.contains("tester"),
            "{summary}: {message}"
        );
        assert!(!client(base.path()).cache().contains(&wanted.sha256).unwrap(), "{summary}");
    }
}

#[test]
fn a_server_that_sends_more_than_promised_is_stopped() {
    let base = tempfile::tempdir().unwrap();
    for answer in [Answer::Trickle, Answer::Flood] {
        let fault = answer.clone();
        let server = server_with("InRelease", move |_, _| fault.clone());
        let error = client(base.path()).releases(&[source(&server.address)]).unwrap_err();
        assert!(matches!(failure(&error), Failure::TooLarge { .. }), "{answer:?}: {error}");
    }
    let server = server_with("/pool/", |_, _| Answer::Flood);
    let error = client(base.path()).download(&[package(&server.address)]).unwrap_err();
    assert!(matches!(failure(&error), Failure::TooLarge { .. }), "{error}");
}

#[test]
fn a_server_that_trickles_is_given_up() {
    let server = server_with("/pool/", |_, _| Answer::Trickle);
    let base = tempfile::tempdir().unwrap();
    let mut wanted = package(&server.address);
    wanted.size = 1 << 30;
    let mut options = options(base.path());
    (options.http.slow_window, options.http.minimum_rate) = (Duration::from_millis(200), 100_000);
    let error = Client::new(options).unwrap().download(&[wanted]).unwrap_err();
    assert!(matches!(failure(&error), Failure::TooSlow { .. }), "{error}");
    assert!(error.to_string().contains("--mirror"), "{error}");
}

#[test]
fn nobody_listens() {
    let base = tempfile::tempdir().unwrap();
    // Port 1 of loopback: nobody has it.
    let error = client(base.path()).releases(&[source("http://127.0.0.1:1")]).unwrap_err();
    assert!(matches!(failure(&error), Failure::Connect(_)), "{error:?}");
    assert!(error.to_string().contains("proxy settings"), "{error}");
}

#[test]
fn a_release_file_or_index_that_is_not_there() {
    let base = tempfile::tempdir().unwrap();
    let server = server_with("InRelease", |_, _| Answer::status(404));
    let error = client(base.path()).releases(&[source(&server.address)]).unwrap_err();
    assert!(failure(&error).is_absence() && error.to_string().contains("InRelease"), "{error}");

    let server = server_with("Packages", |_, _| Answer::status(404));
    let server_by_hash = server_with("by-hash", |_, _| Answer::status(404));
    let online = client(base.path());
    let archives = online.releases(&[source(&server.address), source(&server_by_hash.address)]).unwrap();
    // The first has the index by its hash, the second by its name: either will do.
    for archive in &archives {
        let index = &client(tempfile::tempdir().unwrap().path())
            .indices(std::slice::from_ref(archive), "amd64")
            .unwrap()[0];
        assert_eq!(index.size(), PACKAGES.len() as u64);
    }
    let server = server_with("main/", |_, _| Answer::status(410));
    let archives = online.releases(&[source(&server.address)]).unwrap();
    let error = online.indices(&archives, "arm64").unwrap_err();
    assert!(matches!(error, Error::Gone { .. } | Error::Fetch { .. }), "{error}");
    assert!(error.to_string().contains("main/binary-arm64/Packages.xz"), "{error}");
}

#[test]
fn an_altered_index_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let server = server_with("main/", |_, body| {
        let mut altered = body.to_vec();
        altered[20] ^= 1;
        Answer::ok(&altered)
    });
    let client = client(base.path());
    let archives = client.releases(&[source(&server.address)]).unwrap();
    let error = client.indices(&archives, "amd64").unwrap_err();
    assert!(matches!(failure(&error), Failure::WrongDigest { .. }), "{error}");
    assert!(error.to_string().contains("main/binary-amd64/Packages.xz"), "{error}");
}

#[test]
fn an_index_that_unpacks_to_something_else_is_refused() {
    for promised in ["Package: other\nVersion: 1\nArchitecture: amd64\n\n\n\n", "short"] {
        let files = Shape { promised: Some(promised.to_owned()), ..Shape::default() }.files();
        let server = Server::start(move |asked| answer(&files, asked));
        let base = tempfile::tempdir().unwrap();
        let client = client(base.path());
        let archives = client.releases(&[source(&server.address)]).unwrap();
        let error = client.indices(&archives, "amd64").unwrap_err();
        assert!(matches!(error, Error::Index { .. }), "{error}");
        assert!(error.to_string().contains("main/binary-amd64/Packages.xz"), "{error}");
    }
}

#[test]
fn a_package_that_is_gone_is_named() {
    for status in [404, 410] {
        let server = server_with("/pool/", move |_, _| Answer::status(status));
        let base = tempfile::tempdir().unwrap();
        let error = client(base.path()).download(&[package(&server.address)]).unwrap_err();
        assert!(matches!(error, Error::Gone { .. }), "{error}");
        let message = error.to_string();
        for part in ["one 1 (amd64)", "/pool/one_1_amd64.deb", "--update", "--snapshot"] {
            assert!(message.contains(part), "{message}");
        }
        // It will not come back by asking again.
        assert_eq!(server.count("one_1_amd64.deb"), 1);
    }
}

#[test]
fn failures_that_pass_are_tried_again() {
    let server =
        server_with("/pool/", |turn, body| if turn < 2 { Answer::status(503) } else { Answer::ok(body) });
    let base = tempfile::tempdir().unwrap();
    let client = client(base.path());
    client.download(&[package(&server.address)]).unwrap();
    assert_eq!(server.count(".deb"), 3);
    assert!(client.cache().contains(&cache::Digest::of(PACKAGE)).unwrap());
}

#[test]
fn a_wish_to_stop_is_heard_while_the_server_is_silent() {
    let cancel = Cancel::default();
    let wish = cancel.clone();
    let server = server_with("/pool/", move |_, body| {
        wish.cancel();
        Answer::Stall { promised: body.len(), body: Vec::new() }
    });
    let base = tempfile::tempdir().unwrap();
    let mut patient = options(base.path());
    patient.http.stall_timeout = Duration::from_secs(3600);
    patient.cancel = cancel;
    let error = Client::new(patient).unwrap().download(&[package(&server.address)]).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
}

#[test]
fn the_wrong_key_or_an_altered_release_file() {
    let base = tempfile::tempdir().unwrap();
    let server = server_with("InRelease", |_, body| {
        Answer::ok(String::from_utf8_lossy(body).replace("arm64", "armhf").as_bytes())
    });
    let error = client(base.path()).releases(&[source(&server.address)]).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("it was altered") && message.contains("/dists/tester/InRelease"), "{message}");
    let other = Options {
        keyring: Arc::new(ovmlayer_archive::keyring::Keyring::ubuntu().unwrap()),
        ..options(base.path())
    };
    let server = server_with("nothing", |_, _| Answer::status(500));
    let error = Client::new(other).unwrap().releases(&[source(&server.address)]).unwrap_err();
    assert!(error.to_string().contains("not in the keyring"), "{error}");
}

/// What `a_full_disk_is_told_as_such` runs on a file system of 512 KiB.
#[test]
fn child_on_a_full_disk() {
    let Some(root) = std::env::var_os("FULL_CACHE") else { return };
    let big = vec![7; 1 << 20];
    let mut wanted = package("");
    (wanted.size, wanted.sha256) = (big.len() as u64, cache::Digest::of(&big));
    let server = Server::start(move |_| Answer::ok(&big));
    wanted.urls = package(&server.address).urls;
    let error = client(std::path::Path::new(&root)).download(&[wanted]).unwrap_err();
    let full = matches!(&error, Error::Cache(error) if matches!(**error, cache::Error::NoSpace { .. }));
    assert!(full && error.to_string().contains("XDG_CACHE_HOME"), "{error:?}");
    println!("full");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let base = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=512k none \"$FULL_CACHE\" && exec \"$0\" --exact faults::child_on_a_full_disk --nocapture";
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("FULL_CACHE", base.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("full"), "{said}{complained}");
}
