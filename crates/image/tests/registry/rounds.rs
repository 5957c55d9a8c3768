//! Pushes and pulls through a relay that does harm by chance. `OVMLAYER_IMAGE_FAULT_ROUNDS` sets how many,
//! `OVMLAYER_IMAGE_FAULT_SEED` which; a failure prints the seed of its round.

use std::time::Duration;

use ovmlayer_image::registry::{Access, Options};
use testkit::{Registry, RegistrySetup, Relay, Trouble, number};

use crate::stage::{open, open_with, read_all, send, single};

/// How often the same is tried again by its user before the round ends without it.
const RUNS: usize = 30;

fn troubles() -> Vec<Trouble> {
    vec![
        Trouble::Drop,
        Trouble::Swallow,
        Trouble::CutRequest(0),
        Trouble::CutRequest(10_000),
        Trouble::CorruptRequest(17),
        Trouble::Truncate(0),
        Trouble::Truncate(40),
        Trouble::Truncate(30_000),
        Trouble::Corrupt(0),
        Trouble::Corrupt(25_000),
        Trouble::Announce(7),
        Trouble::Announce(1 << 20),
        Trouble::Delay(Duration::from_millis(3)),
        Trouble::Status(404),
        Trouble::Status(416),
        Trouble::Status(429),
        Trouble::Status(500),
        Trouble::Status(502),
        Trouble::Status(503),
        Trouble::Busy(429, "0".to_owned()),
        Trouble::Busy(503, "soon".to_owned()),
        Trouble::Redirect("http://127.0.0.1:1/".to_owned()),
        Trouble::RedirectLoop,
    ]
}

/// What says that it went well is right, in the registry and here; what does not says what to do.
#[test]
fn never_a_wrong_byte() {
    let registry = Registry::start(&RegistrySetup::default());
    let first = number("OVMLAYER_IMAGE_FAULT_SEED", 0);
    let mut fine = 0;
    let rounds = number("OVMLAYER_IMAGE_FAULT_ROUNDS", 20);
    for seed in first..first + rounds {
        let made = single(10_000 + seed, &[60_000, 2000]);
        let relay = Relay::start(registry.address());
        relay.trouble_by_chance(seed, 100 + seed % 4 * 100, &troubles());
        let name = format!("round-{seed}");
        let target = open_with(relay.address(), &name, Access::Push, |mut options| {
            options.http.retries = 2;
            Options { chunk: 25_000, ..options }
        });
        let pushed = attempts(seed, || send(&made.layout, &made.root, &target.repository, "v1").map(|_| ()));
        if pushed {
            // What is there is right when one looks without a relay.
            let source = open(registry.name(), &name, Access::Pull);
            let root = source.repository.resolve_tag("v1").unwrap();
            assert_eq!(root.digest, made.root.digest, "seed {seed}");
            assert_eq!(read_all(&source.repository, &root).unwrap(), 3, "seed {seed}");
        } else {
            relay.calm();
            send(&made.layout, &made.root, &target.repository, "v1").unwrap();
        }
        relay.trouble_by_chance(seed + 1_000_000, 100 + seed % 4 * 100, &troubles());
        let source = open(relay.address(), &name, Access::Pull);
        let pulled = attempts(seed, || {
            let root = source.repository.resolve_digest(&made.root.digest)?;
            assert_eq!(read_all(&source.repository, &root)?, 3, "seed {seed}");
            Ok(())
        });
        fine += u64::from(pushed && pulled);
    }
    println!("soak: registry: {rounds} rounds through a faulty line, {fine} to a good end");
    assert!(fine * 2 >= rounds, "{fine} of {rounds} rounds ended well");
}

/// Tries until it goes well; every error on the way is one that its reader can do something about.
fn attempts(seed: u64, work: impl Fn() -> ovmlayer_image::Result<()>) -> bool {
    for _ in 0..RUNS {
        let Err(error) = work() else { return true };
        let text = error.to_string();
        let helps = [
            "run again",
            "check ",
            "tell who runs it",
            "have it pushed again",
            "among its tags are",
            "it shows no tags",
            "the registry answered",
            "the registry's answer makes no sense",
            "altered or damaged",
        ];
        assert!(helps.iter().any(|words| text.contains(words)), "seed {seed}: {text}");
    }
    false
}
