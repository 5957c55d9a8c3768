//! The real archives of Debian, from the mirror that this machine's apt uses.

#![expect(clippy::unwrap_used, reason = "a test may panic in its helpers too")]

use std::path::Path;
use std::sync::Arc;

use cache::Cache;
use ovmlayer_archive::Error;
use ovmlayer_archive::client::{Archive, Client, Download, Options};
use ovmlayer_archive::keyring::Keyring;
use ovmlayer_archive::mirror::{Decided, Distribution, Mirrors, Wanted, choose, standard_sources};
use ovmlayer_archive::release::ReleaseProblem;
use ovmlayer_archive::source::Source;

fn mirrors() -> Mirrors {
    let wanted = Wanted {
        distribution: Distribution::Debian,
        architecture: "arm64",
        mirror: None,
        security_mirror: None,
        snapshot: None,
        apt: Path::new("/etc/apt"),
    };
    let mirrors = choose(&wanted).expect("this machine's apt sources should name a Debian mirror");
    assert_eq!(mirrors.decided, Decided::Machine);
    mirrors
}

fn options(cache: &Path) -> Options {
    let keyring = Keyring::of(Distribution::Debian).unwrap();
    Options::new(Cache::open(cache).unwrap(), Arc::new(keyring))
}

fn sources(suite: &str) -> Vec<Source> {
    standard_sources(Distribution::Debian, suite, &["main".to_owned()], &mirrors())
}

fn codenames(archives: &[Archive]) -> Vec<&str> {
    archives.iter().map(|archive| archive.release.codename.as_deref().unwrap()).collect()
}

#[test]
fn stable_and_oldstable_are_verified_and_read_and_then_need_no_network() {
    let base = tempfile::tempdir().unwrap();
    let client = Client::new(options(base.path())).unwrap();
    let archives = client.releases(&sources("trixie")).unwrap();
    assert_eq!(codenames(&archives), ["trixie", "trixie-updates", "trixie-security"]);
    let known = Keyring::debian().unwrap().fingerprints();
    assert!(archives.iter().all(|archive| known.contains(&archive.signer)), "{archives:?}");

    let mut sizes = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let indices = client.indices(&archives, architecture).unwrap();
        assert_eq!(indices.iter().map(|index| index.archive).collect::<Vec<_>>(), [0, 1, 2]);
        let text = String::from_utf8(indices[0].read().unwrap()).unwrap();
        assert_eq!(text.len() as u64, indices[0].size());
        assert!(text.contains("\nPackage: zsh\n"));
        assert!(text.contains("\nArchitecture: all\n"));
        sizes.push(text.len());
    }

    let oldstable = client.releases(&sources("bookworm")[..1]).unwrap();
    assert_eq!(codenames(&oldstable), ["bookworm"]);

    let offline = Client::new(Options { offline: true, ..options(base.path()) }).unwrap();
    let again = offline.releases(&sources("trixie")).unwrap();
    assert_eq!(again[0].digest, archives[0].digest);
    let indices = offline.indices(&again, "amd64").unwrap();
    assert_eq!(indices[0].read().unwrap().len(), sizes[0]);
    let missing = offline.releases(&sources("forky")).unwrap_err();
    assert!(matches!(missing, Error::Offline { .. }), "{missing}");
}

/// A mirror whose unstable is no longer updated is past its `Valid-Until`; with any other, setting the clock ahead does it.
#[test]
fn an_expired_suite_is_refused_with_its_dates() {
    let base = tempfile::tempdir().unwrap();
    let future = "2099-01-01T00:00:00Z".parse().unwrap();
    let client =
        Client::new(Options { clock: ovmlayer_archive::Clock::Fixed(future), ..options(base.path()) })
            .unwrap();
    let error = client.releases(&sources("sid")).unwrap_err();
    let message = error.to_string();
    // Either is right, and the keys end before the year 2099.
    assert!(message.contains("expired"), "{message}");

    let client = Client::new(options(base.path())).unwrap();
    match client.releases(&sources("sid")) {
        Ok(archives) => assert!(archives[0].release.valid_until > Some(jiff::Timestamp::now())),
        Err(Error::Release { problem, url, .. }) => {
            assert!(matches!(*problem, ReleaseProblem::Expired { .. }), "{problem}");
            assert!(url.ends_with("/dists/sid/InRelease"), "{url}");
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn packages_come_side_by_side_and_a_missing_one_is_named() {
    let base = tempfile::tempdir().unwrap();
    let client = Client::new(options(base.path())).unwrap();
    let archives = client.releases(&sources("trixie")[..1]).unwrap();
    let index = &client.indices(&archives, "amd64").unwrap()[0];
    let text = String::from_utf8(index.read().unwrap()).unwrap();
    let field = |stanza: &str, name: &str| {
        stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let wanted = ["base-files", "zsh-common", "hostname", "libc-bin"];
    let downloads: Vec<Download> = text
        .split("\n\n")
        .filter(|stanza| wanted.contains(&field(stanza, "Package").unwrap_or_default().as_str()))
        .map(|stanza| {
            let path = field(stanza, "Filename").unwrap();
            Download {
                name: field(stanza, "Package").unwrap(),
                archive: archives[0].source.describe(),
                size: field(stanza, "Size").unwrap().parse().unwrap(),
                sha256: field(stanza, "SHA256").unwrap().parse().unwrap(),
                urls: vec![format!("{}/{path}", archives[0].source.uri)],
                path,
            }
        })
        .collect();
    let done = client.download(&downloads).unwrap();
    assert_eq!((done.fetched, done.cached), (4, 0));
    for download in &downloads {
        let file = client.cache().file(&download.sha256).unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().len(), download.size);
    }
    let done = client.download(&downloads).unwrap();
    assert_eq!((done.fetched, done.cached), (0, 4));

    let mut gone = downloads[0].clone();
    gone.sha256 = cache::Digest::of(b"no such package");
    gone.urls = vec![format!("{}/pool/main/n/none/none_1_all.deb", archives[0].source.uri)];
    let error = client.download(&[gone]).unwrap_err();
    assert!(matches!(&error, Error::Gone { name, .. } if *name == downloads[0].name), "{error}");
    assert!(error.to_string().contains("--snapshot"), "{error}");
}
