//! Release files that are signed, and yet not those that were asked for, or not now.

use std::sync::Arc;

use ovmlayer_archive::client::{Client, Options};
use ovmlayer_archive::keyring::Keyring;
use ovmlayer_archive::release::ReleaseProblem;
use ovmlayer_archive::source::Source;
use ovmlayer_archive::{Clock, Error};
use tree::codec::Format;

use crate::archive::{PACKAGES, Shape, answer, client, options, source};
use crate::server::Server;

fn serve(shape: &Shape) -> Server {
    let files = shape.files();
    Server::start(move |asked| answer(&files, asked))
}

fn problem(error: Error) -> ReleaseProblem {
    match error {
        Error::Release { problem, url, archive, .. } => {
            assert!(
                url.ends_with("/dists/tester/InRelease") && archive.ends_with(" tester"),
                "{url} {archive}"
            );
            *problem
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_good_archive_in_every_compression() {
    for format in [Format::Xz, Format::Zstd, Format::Gzip, Format::Plain] {
        let server = serve(&Shape { format, ..Shape::default() });
        let base = tempfile::tempdir().unwrap();
        let client = client(base.path());
        let archives = client.releases(&[source(&server.address)]).unwrap();
        let indices = client.indices(&archives, "arm64").unwrap();
        assert_eq!(indices[0].read().unwrap(), PACKAGES.as_bytes(), "{format:?}");
        // Once more: the index is known by its digest.
        let before = server.asked().len();
        client.indices(&archives, "arm64").unwrap();
        assert_eq!(server.asked().len(), before, "{format:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Shape::default;
    for (summary, shape, expected) in [
        ("by suite instead of codename", shape().with("Suite", "tester").with("Codename", ""), None),
        ("no end of validity", shape().with("Valid-Until", ""), None),
        ("Debian's security archive", shape().with("Components", "updates/main updates/contrib"), None),
        ("another suite", shape().with("Codename", "other"), Some("OtherSuite")),
        ("no such component", shape().with("Components", "universe"), Some("NoComponent")),
        ("expired", shape().with("Valid-Until", "Sat, 15 Jun 2030 11:59:59 UTC"), Some("Expired")),
        ("from the future", shape().with("Date", "Sun, 16 Jun 2030 13:00:00 UTC"), Some("FromTheFuture")),
        ("a clock that is a little off", shape().with("Date", "Sun, 16 Jun 2030 11:00:00 +0000"), None),
        ("no date", shape().with("Date", ""), Some("Syntax")),
        ("a date that is none", shape().with("Date", "yesterday"), Some("Syntax")),
        (
            "a field twice over",
            shape().with("Date", "Sat, 15 Jun 2030 06:00:00 UTC\n\nSuite: tester"),
            Some("Syntax"),
        ),
    ] {
        let server = serve(&shape);
        let base = tempfile::tempdir().unwrap();
        let found = client(base.path()).releases(&[source(&server.address)]);
        match (found, expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => {
                let found = format!("{:?}", problem(error));
                assert!(found.starts_with(expected), "{summary}: {found}");
            }
            (found, _) => panic!("{summary}: {found:?}"),
        }
    }
}

#[test]
fn an_architecture_or_index_that_is_missing() {
    let server = serve(&Shape::default().with("Architectures", "amd64 armhf"));
    let base = tempfile::tempdir().unwrap();
    let client = client(base.path());
    let archives = client.releases(&[source(&server.address)]).unwrap();
    assert!(matches!(
        problem(client.indices(&archives, "s390x").unwrap_err()),
        ReleaseProblem::NoArchitecture { .. }
    ));
    assert!(matches!(
        problem(client.indices(&archives, "armhf").unwrap_err()),
        ReleaseProblem::NoIndex { .. }
    ));
    // A source that is limited to other architectures has nothing to say.
    let limited = Source { architectures: vec!["amd64".to_owned()], ..source(&server.address) };
    let archives = client.releases(&[limited]).unwrap();
    assert!(client.indices(&archives, "s390x").unwrap().is_empty());
}

#[test]
fn another_key_is_refused_and_a_source_may_bring_its_own() {
    let server = serve(&Shape::default());
    let base = tempfile::tempdir().unwrap();
    let debian = Arc::new(Keyring::debian().unwrap());
    let strict = Client::new(Options { keyring: debian, ..options(base.path()) }).unwrap();
    let error = strict.releases(&[source(&server.address)]).unwrap_err();
    assert!(error.to_string().contains("not in the keyring"), "{error}");
    assert!(matches!(problem(error), ReleaseProblem::Signature(_)));
    let keyring = base.path().join("own.gpg");
    std::fs::write(&keyring, &crate::keys::signer().keyring).unwrap();
    let signed_by = ovmlayer_archive::source::SignedBy::File(keyring);
    assert!(strict.releases(&[Source { signed_by, ..source(&server.address) }]).is_ok());
}

#[test]
fn an_older_release_file_is_a_replay_unless_a_snapshot_is_asked_for() {
    let new = Shape::default().files();
    let old = Shape::default().with("Date", "Fri, 14 Jun 2030 06:00:00 UTC").files();
    let replay = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&replay);
    let server = Server::start(move |asked| {
        let replay = flag.load(std::sync::atomic::Ordering::SeqCst);
        answer(if replay { &old } else { &new }, asked)
    });
    let base = tempfile::tempdir().unwrap();
    client(base.path()).releases(&[source(&server.address)]).unwrap();
    replay.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = client(base.path()).releases(&[source(&server.address)]).unwrap_err();
    assert!(error.to_string().contains("2030-06-14"), "{error}");
    assert!(matches!(problem(error), ReleaseProblem::Replayed { .. }));

    let pinned = |date: &str| {
        let options = Options { snapshot: Some(date.parse().unwrap()), ..options(base.path()) };
        Client::new(options).unwrap().releases(&[source(&server.address)])
    };
    assert!(pinned("20300615").is_ok());
    // A server that knows nothing of snapshots, and sends what is newer.
    let error = pinned("20300601").unwrap_err();
    assert!(matches!(problem(error), ReleaseProblem::NewerThanSnapshot { .. }));
    // The validity that counts is that of the pinned date, whatever the clock says.
    let late = Options {
        snapshot: Some("20300616".parse().unwrap()),
        clock: Clock::Fixed("2040-01-01T00:00:00Z".parse().unwrap()),
        ..options(base.path())
    };
    assert!(Client::new(late).unwrap().releases(&[source(&server.address)]).is_ok());
}

#[test]
fn offline_the_cache_must_do() {
    let server = serve(&Shape::default());
    let base = tempfile::tempdir().unwrap();
    let offline = || Client::new(Options { offline: true, ..options(base.path()) }).unwrap();
    let error = offline().releases(&[source(&server.address)]).unwrap_err();
    assert!(matches!(error, Error::Offline { .. }) && error.to_string().contains("--offline"), "{error}");
    let online = client(base.path());
    let archives = online.releases(&[source(&server.address)]).unwrap();
    let error = offline().indices(&archives, "amd64").unwrap_err();
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    online.indices(&archives, "amd64").unwrap();
    let before = server.asked().len();
    let archives = offline().releases(&[source(&server.address)]).unwrap();
    assert_eq!(offline().indices(&archives, "amd64").unwrap()[0].read().unwrap(), PACKAGES.as_bytes());
    assert_eq!(server.asked().len(), before);
    // What expired meanwhile is refused here too.
    let late = Options {
        offline: true,
        clock: Clock::Fixed("2031-01-01T00:00:00Z".parse().unwrap()),
        ..options(base.path())
    };
    let error = Client::new(late).unwrap().releases(&[source(&server.address)]).unwrap_err();
    assert!(matches!(problem(error), ReleaseProblem::Expired { .. }));
}
