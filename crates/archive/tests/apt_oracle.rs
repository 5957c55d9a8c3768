//! The solver against the suite's own apt: random sets of packages, in an empty root.
//!
//! A root of the suite is made once with `mmdebstrap` below cargo's target folder and kept; its apt, run with an empty
//! dpkg status, answers first, then our solver answers from the same index files. Needs root, `mmdebstrap` and a
//! Debian mirror in `/etc/apt/sources.list.d/debian.sources`.
//!
//! `OVMLAYER_APT_SETS` sets how many sets are tried (12 unless set; a third of that for the other suites and
//! architectures), `OVMLAYER_SEED` which ones. The names are drawn uniformly from all names of the suite, 1 to 12 of
//! them, so that what is asked for together is as unrelated as it gets.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its counts"
)]

#[path = "apt_oracle/made_up.rs"]
mod made_up;
#[path = "apt_oracle/oracle.rs"]
mod oracle;
#[path = "apt_oracle/sample.rs"]
mod sample;

use std::collections::BTreeSet;

use oracle::{Oracle, Suite};
use ovmlayer_archive::solver::{Request, solve};
use ovmlayer_archive::universe::{Origin, Package, Universe};
use sample::Random;

const SEED: u64 = 20_251;

/// Name and version of each package.
type Packages = BTreeSet<(String, String)>;

#[test]
fn same_as_trixie_for_amd64() {
    compare(Suite::TRIXIE, "amd64", sets());
}

#[test]
fn same_as_trixie_for_arm64() {
    compare(Suite::TRIXIE, "arm64", sets().div_ceil(3));
}

#[test]
fn same_as_bookworm_for_amd64() {
    compare(Suite::BOOKWORM, "amd64", sets().div_ceil(3));
}

/// Ten times as many as of real sets: they are small, and each has an archive of its own.
#[test]
fn same_for_made_up_archives() {
    let count = sets() * 10;
    let oracle = Oracle::prepare(Suite::TRIXIE, "amd64");
    let mut random = Random::new(variable("OVMLAYER_SEED", SEED));
    let made: Vec<_> =
        (0..count).map(|_| (made_up::index(&mut random), made_up::request(&mut random))).collect();
    let answers = oracle.ask_made_up(&made);
    let mut tally = Tally::default();
    for ((index, request), apt) in made.iter().zip(answers) {
        let mut universe = Universe::new("amd64");
        universe.add_index(Origin::new("made-up"), index.clone().into_bytes()).unwrap();
        if !tally.count(request, apt, ours(&universe, request)) {
            println!("  in the archive\n{index}");
        }
    }
    println!("soak: same set as apt, made-up archives: {tally}");
    assert_eq!(tally.differ, 0);
}

fn variable(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not `{text}`"))
}

fn sets() -> usize {
    usize::try_from(variable("OVMLAYER_APT_SETS", 12)).unwrap()
}

fn compare(suite: Suite, architecture: &str, count: usize) {
    let oracle = Oracle::prepare(suite, architecture);
    let universe = oracle.universe();
    let sets = random_sets(&universe, count);
    let answers = oracle.ask(&sets);
    let mut tally = Tally::default();
    for (set, apt) in sets.iter().zip(answers) {
        tally.count(set, apt, ours(&universe, set));
    }
    println!("soak: same set as apt, {} {architecture}: {tally}", suite.name);
    assert!(tally.differ * 100 < count, "{} of {count} sets differ from apt's answer", tally.differ);
    assert!(
        tally.resolved * 300 >= count * 250,
        "only {} of {count} sets can be installed at all",
        tally.resolved
    );
}

/// How often the answers were the same.
#[derive(Default)]
struct Tally {
    resolved: usize,
    refused: usize,
    differ: usize,
}

impl Tally {
    /// Counts a pair of answers; tells of a difference and returns `false`.
    fn count(&mut self, set: &[String], apt: Option<Packages>, ours: Result<Packages, String>) -> bool {
        match (apt, ours) {
            (Some(apt), Ok(ours)) if apt == ours => self.resolved += 1,
            (None, Err(_)) => self.refused += 1,
            (apt, ours) => {
                self.differ += 1;
                println!("{}", difference(set, apt, ours));
                return false;
            }
        }
        true
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resolved, refused, differ } = self;
        write!(f, "{resolved} resolved, {refused} refused by both, {differ} differ")
    }
}

fn ours(universe: &Universe, set: &[String]) -> Result<Packages, String> {
    let request = Request::with_essential(set.iter().map(String::as_str));
    let solution = solve(universe, &request).map_err(|error| error.to_string())?;
    Ok(solution.packages.iter().map(|p| (p.name().to_owned(), p.version().to_owned())).collect())
}

fn difference(set: &[String], apt: Option<Packages>, ours: Result<Packages, String>) -> String {
    let asked = set.join(" ");
    match (apt, ours) {
        (Some(apt), Ok(ours)) => {
            let only = |a: &Packages, b: &Packages| a.difference(b).cloned().collect::<Vec<_>>();
            format!(
                "for {asked}\n  only apt takes {:?}\n  only we take {:?}",
                only(&apt, &ours),
                only(&ours, &apt)
            )
        }
        (Some(_), Err(reason)) => format!("for {asked}\n  only we refuse: {reason}"),
        (None, _) => format!("for {asked}\n  only apt refuses"),
    }
}

/// Sets of 1 to 12 names, drawn uniformly from the names in the universe.
fn random_sets(universe: &Universe, count: usize) -> Vec<Vec<String>> {
    let names: BTreeSet<_> = universe.packages().map(Package::name).collect();
    let names: Vec<_> = names.into_iter().collect();
    let mut random = Random::new(variable("OVMLAYER_SEED", SEED));
    let draw = |random: &mut Random| names[random.below(names.len())].to_owned();
    let mut set = || {
        let size = 1 + random.below(12);
        let mut set = BTreeSet::new();
        while set.len() < size {
            set.insert(draw(&mut random));
        }
        set.into_iter().collect()
    };
    (0..count).map(|_| set()).collect()
}
