//! What can go wrong with contents on their way to a registry: what has a tag is whole and right.

use ovmlayer_image::copy::Copied;
use ovmlayer_image::registry::{Access, Options};
use ovmlayer_image::{Error, read_small};
use testkit::{Registry, RegistrySetup, Relay, Trouble};

use crate::stage::{Made, open, open_with, read_all, send, single};

/// Five chunks and a bit.
const CHUNK: usize = 60_000;

struct Stage {
    registry: Registry,
    relay: Relay,
    made: Made,
}

fn stage(seed: u64) -> Stage {
    let registry = Registry::start(&RegistrySetup::default());
    let relay = Relay::start(registry.address());
    Stage { registry, relay, made: single(seed, &[300_000]) }
}

impl Stage {
    fn push(&self) -> Result<Copied, Error> {
        let target = open_with(self.relay.address(), "app", Access::Push, |options| Options {
            chunk: CHUNK,
            ..options
        });
        send(&self.made.layout, &self.made.root, &target.repository, "v1")
    }

    /// A push through this trouble goes well.
    fn passes(&self, pattern: &str, trouble: Trouble, times: u32) {
        let summary = format!("{pattern} {trouble:?}");
        self.relay.forget_requests();
        self.relay.trouble(pattern, trouble, Some(times));
        self.push().unwrap_or_else(|error| panic!("{summary}: {error}"));
        let source = open(self.registry.name(), "app", Access::Pull);
        assert_eq!(source.repository.resolve_tag("v1").unwrap().digest, self.made.root.digest);
        assert_eq!(read_all(&source.repository, &self.made.root).unwrap(), 2);
    }

    /// A push through this trouble, which does not end, fails and leaves no tag.
    fn fails(&self, pattern: &str, trouble: Trouble, words: &str) {
        self.relay.trouble(pattern, trouble, None);
        let text = self.push().unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
        let source = open(self.registry.name(), "app", Access::Pull);
        assert!(source.repository.resolve_tag("v1").is_err(), "nothing has the tag");
    }
}

#[test]
fn chunks_that_did_not_arrive_are_sent_again() {
    let stage = stage(1);
    stage.passes("PATCH *", Trouble::Drop, 2);
    // What the registry had was not sent again: five chunks and one that is not full.
    let patches = stage.relay.requests().into_iter().filter(|asked| asked.method == "PATCH");
    assert_eq!(patches.filter(|asked| asked.status == 202).count(), 6);
    assert_eq!(stage.relay.count("POST", "*"), 2, "one upload for each content");
}

#[test]
fn a_chunk_that_arrived_in_part() {
    for (seed, cut) in [(2, 0), (3, 1), (4, 20_000), (5, 59_999)] {
        stage(seed).passes("PATCH *", Trouble::CutRequest(cut), 1);
    }
}

#[test]
fn an_answer_that_did_not_arrive() {
    for (seed, pattern) in
        [(6, "POST *"), (7, "PATCH *"), (8, "PUT */blobs/*"), (9, "PUT */manifests/*"), (10, "HEAD *")]
    {
        stage(seed).passes(pattern, Trouble::Swallow, 1);
    }
}

#[test]
fn a_registry_that_is_busy_or_broken_for_a_while() {
    for (seed, status) in [(11, 429), (12, 500), (13, 502), (14, 503), (15, 504)] {
        stage(seed).passes("* *", Trouble::Status(status), 2);
        stage(seed).passes("PATCH *", Trouble::Status(status), 2);
        stage(seed).passes("PUT *", Trouble::Status(status), 2);
    }
    stage(16).passes("PATCH *", Trouble::Busy(429, "0".to_owned()), 2);
}

#[test]
fn a_registry_that_stays_broken() {
    for (seed, pattern) in [(17, "POST *"), (18, "PATCH *"), (19, "PUT *"), (20, "PUT */manifests/v1")] {
        stage(seed).fails(pattern, Trouble::Status(503), "the server answered 503; run again later");
    }
    stage(21).fails("PATCH *", Trouble::Drop, "the connection broke");
    stage(22).fails("PATCH *", Trouble::Busy(429, "3600".to_owned()), "asks to come back in 3600 s");
}

#[test]
fn a_registry_that_refuses() {
    stage(23).fails("POST *", Trouble::Status(405), "the registry answered 405");
    stage(24).fails("PATCH *", Trouble::Status(413), "the registry answered 413");
    stage(25).fails(
        "POST *",
        Trouble::Status(403),
        "answered 403 (forbidden) to somebody without credentials; log in",
    );
    stage(26).fails("PATCH *", Trouble::Status(404), "lost the upload (it answers 404)");
}

/// The registry compares digests as well, and what arrives altered is sent again.
#[test]
fn bytes_that_are_altered_on_the_way() {
    stage(27).passes("PATCH *", Trouble::CorruptRequest(100), 1);
    stage(28).passes("PUT */blobs/*", Trouble::CorruptRequest(3), 1);
    stage(29).fails("PATCH *", Trouble::CorruptRequest(100), "DIGEST_INVALID");
    stage(30).fails("PUT */manifests/*", Trouble::CorruptRequest(3), "cannot store the manifest");
}

#[test]
fn a_push_that_was_broken_off_goes_on_with_what_is_missing() {
    let stage = stage(31);
    stage.relay.trouble("PUT */manifests/*", Trouble::Status(503), None);
    stage.push().unwrap_err();
    stage.relay.calm();
    let copied = stage.push().unwrap();
    assert_eq!((copied.sent.blobs, copied.skipped.blobs), (0, 2));
    assert!(
        read_small(&open(stage.registry.name(), "app", Access::Pull).repository, &stage.made.root).is_ok()
    );
}
