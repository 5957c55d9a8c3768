//! What can go wrong with contents and manifests on their way to us: either the right bytes or an error.

use std::io::Read as _;

use ovmlayer_image::registry::Access;
use ovmlayer_image::{Blobs as _, Descriptor, Manifest, read_small};
use testkit::{Registry, RegistrySetup, Relay, Reply, Script, Trouble};

use crate::stage::{Made, Opened, open, open_with, read_all, send, single};

/// A registry that holds an image with one layer of 300 kB, behind a relay.
struct Stage {
    _registry: Registry,
    relay: Relay,
    made: Made,
    layer: Descriptor,
}

fn stage(seed: u64) -> Stage {
    let registry = Registry::start(&RegistrySetup::default());
    let made = single(seed, &[300_000]);
    send(&made.layout, &made.root, &open(registry.name(), "app", Access::Push).repository, "v1").unwrap();
    let relay = Relay::start(registry.address());
    let bytes = read_small(&made.layout, &made.root).unwrap();
    let layer = Manifest::parse(&bytes, "manifest").unwrap().layers.remove(0);
    Stage { _registry: registry, relay, made, layer }
}

impl Stage {
    fn source(&self) -> Opened {
        open(self.relay.address(), "app", Access::Pull)
    }

    fn blob(&self) -> String {
        format!("GET /v2/app/blobs/{}", self.layer.digest_text())
    }

    fn manifest(&self) -> String {
        format!("GET /v2/app/manifests/{}", self.made.root.digest_text())
    }

    /// What a pull through this trouble, without end, comes to.
    fn fails(&self, pattern: &str, trouble: Trouble, words: &str) {
        self.relay.calm();
        self.relay.trouble(pattern, trouble, None);
        let text = read_all(&self.source().repository, &self.made.root).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    }

    /// The same with a trouble that ends, which changes nothing.
    fn passes(&self, pattern: &str, trouble: Trouble, times: u32) -> Opened {
        self.relay.calm();
        self.relay.forget_requests();
        self.relay.trouble(pattern, trouble, Some(times));
        let source = self.source();
        assert_eq!(read_all(&source.repository, &self.made.root).unwrap(), 2);
        source
    }

    fn ranges(&self) -> Vec<String> {
        let asked = self.relay.requests();
        asked.iter().filter_map(|request| request.header("range").map(str::to_owned)).collect()
    }
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    let stage = stage(1);
    stage.passes(&stage.blob(), Trouble::Truncate(100_000), 1);
    assert_eq!(stage.ranges(), ["bytes=100000-"]);
    stage.passes(&stage.blob(), Trouble::Truncate(100_000), 2);
    assert_eq!(stage.ranges(), ["bytes=100000-", "bytes=200000-"]);
}

#[test]
fn an_interrupted_pull_goes_on_in_another_run() {
    let stage = stage(2);
    stage.relay.trouble(&stage.blob(), Trouble::Truncate(100_000), None);
    let first = open_with(stage.relay.address(), "app", Access::Pull, |mut options| {
        options.http.retries = 0;
        options
    });
    let text = read_all(&first.repository, &stage.made.root).unwrap_err().to_string();
    assert!(text.contains("ended after 100000 of") && text.contains("run again later to go on"), "{text}");
    stage.relay.calm();
    stage.relay.forget_requests();
    let second =
        open_with(stage.relay.address(), "app", Access::Pull, |_| crate::stage::options(first.folder.path()));
    read_all(&second.repository, &stage.made.root).unwrap();
    assert_eq!(stage.ranges(), ["bytes=100000-"]);
}

#[test]
fn bytes_that_are_altered_are_noticed() {
    let stage = stage(3);
    for at in [0, 150_000, 299_999] {
        stage.passes(&stage.blob(), Trouble::Corrupt(at), 1);
        stage.fails(&stage.blob(), Trouble::Corrupt(at), "was altered or damaged on the way");
    }
    stage.fails(&stage.manifest(), Trouble::Corrupt(20), "was altered or damaged on the way");
}

#[test]
fn a_length_that_is_not_true_is_noticed() {
    let stage = stage(4);
    stage.fails(&stage.blob(), Trouble::Announce(100), "the server offers 100 bytes");
    stage.fails(&stage.blob(), Trouble::Announce(1 << 40), "the server offers 1099511627776 bytes");
    stage.fails(&stage.manifest(), Trouble::Announce(100), "was altered or damaged");
    stage.fails(&stage.manifest(), Trouble::Announce(100_000), "the transfer ended after");
    stage.fails(&stage.manifest(), Trouble::Truncate(30), "the transfer ended after 30");
}

#[test]
fn a_registry_that_stalls_is_asked_again_and_given_up() {
    let stage = stage(5);
    stage.passes(&stage.blob(), Trouble::Stall(100_000), 1);
    assert_eq!(stage.ranges(), ["bytes=100000-"]);
    stage.fails(&stage.manifest(), Trouble::Stall(10), "the server sent nothing for 0.4 s");
}

#[test]
fn a_registry_that_answers_late_is_waited_for() {
    let stage = stage(6);
    stage.passes("GET *", Trouble::Delay(std::time::Duration::from_millis(50)), 3);
}

#[test]
fn a_busy_registry_is_asked_again() {
    let stage = stage(7);
    for trouble in [Trouble::Busy(429, "0".to_owned()), Trouble::Status(429), Trouble::Status(502)] {
        stage.passes(&stage.blob(), trouble.clone(), 2);
        stage.passes(&stage.manifest(), trouble, 2);
    }
    stage.fails(&stage.blob(), Trouble::Busy(503, "999".to_owned()), "asks to come back in 999 s");
}

#[test]
fn a_content_that_is_gone() {
    let stage = stage(8);
    stage.fails(&stage.blob(), Trouble::Status(404), "the image is not complete there");
    stage.fails(&stage.blob(), Trouble::RedirectLoop, "sends us in a circle");
}

/// Contents often lie in another place, which is not to learn who we are.
#[test]
fn credentials_stay_with_the_registry() {
    let contents = b"contents".to_vec();
    let blob = Descriptor::of("application/octet-stream", &contents);
    let storage = Script::start(move |_| Reply::new(200, contents.clone()));
    let place = format!("{}/somewhere", storage.url());
    let registry = Script::start(move |asked| match asked.request.header("authorization") {
        None => Reply::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) if asked.request.method == "HEAD" => Reply::new(200, ""),
        Some(_) => Reply::new(307, "").with("Location", place.clone()),
    });
    let source = open_with(registry.address(), "app", Access::Pull, |options| {
        let find = |name: &str| (!name.ends_with("HOST")).then(|| "word".to_owned());
        let credentials = ovmlayer_image::registry::Credentials::of_environment(Vec::new(), find).unwrap();
        ovmlayer_image::registry::Options { credentials, ..options }
    });
    let mut bytes = Vec::new();
    source.repository.open(&blob).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"contents");
    let asked = storage.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

/// The cache is on a disk, and disks forget.
#[test]
fn a_damaged_cache_is_noticed_and_mended() {
    let stage = stage(9);
    let first = stage.passes("none", Trouble::Drop, 0);
    let path = first.folder.path().join("cache/files");
    let digest = stage.layer.digest.to_string();
    let path = path.join(&digest[..2]).join(&digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let text = read_all(&first.repository, &stage.made.root).unwrap_err().to_string();
    assert!(text.contains("altered or damaged"), "{text}");
    assert_eq!(read_all(&first.repository, &stage.made.root).unwrap(), 2);
}
