//! The solver against the suite's own apt: random sets of packages, in an empty root.
//!
//! A root of the suite is made once with `mmdebstrap` below cargo's target folder and kept; its apt, run with an empty
//! dpkg status, answers first, then our solver answers from the same index files. Needs root, `mmdebstrap` and a
//! Debian mirror in `/etc/apt/sources.list.d/debian.sources`.
//!
//! `OVMLAYER_APT_SETS` sets how many sets are tried (25 unless set; a third of that for the other suites and
//! architectures), `OVMLAYER_SEED` which ones. The names are drawn uniformly from all names of the suite, 1 to 12 of
//! them, so that what is asked for together is as unrelated as it gets.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its counts"
)]

#[path = "apt_oracle/oracle.rs"]
mod oracle;
#[path = "apt_oracle/sample.rs"]
mod sample;

use std::collections::BTreeSet;

use oracle::{Oracle, Suite};
use ovmlayer_archive::solver::{Request, solve};
use ovmlayer_archive::universe::{Package, Universe};
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

fn variable(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not `{text}`"))
}

fn sets() -> usize {
    usize::try_from(variable("OVMLAYER_APT_SETS", 25)).unwrap()
}

fn compare(suite: Suite, architecture: &str, count: usize) {
    let oracle = Oracle::prepare(suite, architecture);
    let universe = oracle.universe();
    let sets = random_sets(&universe, count);
    let answers = oracle.ask(&sets);
    let (mut resolved, mut refused, mut differ) = (0, 0, 0);
    for (set, apt) in sets.iter().zip(answers) {
        match (apt, ours(&universe, set)) {
            (Some(apt), Ok(ours)) if apt == ours => resolved += 1,
            (None, Err(_)) => refused += 1,
            (apt, ours) => {
                differ += 1;
                println!("{}", difference(set, apt, ours));
            }
        }
    }
    println!(
        "{} {architecture}: {resolved} resolved, {refused} refused by both, {differ} differ",
        suite.name
    );
    assert!(differ * 100 < count, "{differ} of {count} sets differ from apt's answer");
    assert!(resolved * 300 >= count * 250, "only {resolved} of {count} sets can be installed at all");
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
