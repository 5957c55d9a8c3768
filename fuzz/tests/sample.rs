//! A sample of damaged inputs for every target, the same in every run.
//!
//! `OVMLAYER_FUZZ_ROUNDS` sets the inputs per target (default 10,000), `OVMLAYER_FUZZ_SEED` the seed.

#![expect(clippy::print_stdout, reason = "counts for `cargo xtask soak`")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use ovmlayer_fuzz::mutate::Mutator;
use ovmlayer_fuzz::{TARGETS, Target};

const ROUNDS: u64 = 10_000;
const SEED: u64 = 2;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
        Err(_) => default,
    }
}

fn sample(name: &str) {
    sample_part(name, 1);
}

/// One of `part` inputs, for targets that write files and so take that much longer.
fn sample_part(name: &str, part: u64) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target exists");
    let (rounds, seed) = (number("OVMLAYER_FUZZ_ROUNDS", ROUNDS) / part, number("OVMLAYER_FUZZ_SEED", SEED));
    let seeds = (target.seeds)();
    for input in &seeds {
        (target.run)(input);
    }
    let mut mutator = Mutator::new(seed, &seeds, target.words);
    for round in 0..rounds {
        let input = mutator.next_input();
        attempt(target, &input, &format!("seed {seed}, round {round}"));
    }
    println!("soak: fuzz {name}: {rounds} inputs, seed {seed}");
}

fn attempt(target: &Target, input: &[u8], which: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("`{}` panics at {which} on {} bytes:\n{}", target.name, input.len(), input.escape_ascii());
    }
}

#[test]
fn tar() {
    sample("tar");
}

#[test]
fn layers() {
    sample("layers");
}

#[test]
fn oci() {
    sample("oci");
}

#[test]
fn images() {
    sample("images");
}

#[test]
fn flatten() {
    sample("flatten");
}

#[test]
fn deb() {
    sample("deb");
}

#[test]
fn control() {
    sample("control");
}

#[test]
fn version() {
    sample("version");
}

#[test]
fn packages() {
    sample("packages");
}

#[test]
fn release() {
    sample("release");
}

/// The seeds are what the parsers accept, so that changes to them reach deep.
#[test]
fn seeds_are_accepted() {
    let seeds = |name: &str| (TARGETS.iter().find(|target| target.name == name).expect("exists").seeds)();
    for seed in seeds("deb") {
        archive::deb::Deb::open(&seed[..]).expect("a package");
    }
    for (number, members) in [(0, 9), (2, 1), (3, 1), (4, 1)] {
        let seeds = seeds("tar");
        let limits = tree::tar::Limits { sparse: 1 << 20, ..Default::default() };
        let mut reader = tree::tar::Reader::with_limits(&seeds[number][..], limits);
        let mut count = 0;
        while reader.next().expect("a member").is_some() {
            count += 1;
        }
        assert_eq!(count, members);
    }
    for seed in seeds("layers") {
        assert!(ovmlayer_fuzz::targets::layers_accept(&seed), "our archive");
    }
    for seed in seeds("oci") {
        assert!(ovmlayer_fuzz::targets::oci_accepts(&seed), "a layer");
    }
    for seed in seeds("images") {
        assert!(ovmlayer_fuzz::images::images_accept(&seed), "an archive of images");
    }
    for seed in seeds("flatten").iter().take(1) {
        assert!(ovmlayer_fuzz::images::flattened_accepts(seed), "a layer over another one");
    }
    for seed in seeds("wheel") {
        assert!(ovmlayer_fuzz::deps::wheel_accepts(&seed), "a wheel");
    }
    for seed in seeds("npm") {
        assert!(ovmlayer_fuzz::deps::npm_accepts(&seed), "the tar of a package");
    }
    for seed in seeds("packages") {
        let mut universe = archive::universe::Universe::new("amd64");
        universe.add_index(archive::universe::Origin::new("x"), seed).expect("an index");
        assert!(!universe.is_empty());
    }
    for seed in seeds("release") {
        archive::release::Release::parse(std::str::from_utf8(&seed).expect("text")).expect("a release file");
    }
}

#[test]
fn wheel() {
    sample_part("wheel", 10);
}

#[test]
fn npm() {
    sample_part("npm", 10);
}

#[test]
fn locks() {
    sample("locks");
}

#[test]
fn headers() {
    sample("headers");
}

#[test]
fn manifest() {
    sample("manifest");
}

#[test]
fn packets() {
    sample("packets");
}
