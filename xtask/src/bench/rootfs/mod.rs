//! `cargo xtask bench rootfs`: our program beside mmdebstrap and debootstrap.
//!
//! Each situation first has every program run once, which fills its package cache and measures memory; then come the timed
//! runs. Sampling memory costs time, so no timed run is sampled.

mod contestant;
mod page;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;
use testkit::MachineEmulation;

use super::timing::{self, quietly};
use super::{build, memory, publish};
use crate::step::{seconds, step};
use crate::{Error, needs, report};
use contestant::{Contestant, Place};

/// Options of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Timed runs of each program in a native situation.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Timed runs of each program in a foreign situation, which take minutes.
    #[arg(long, default_value_t = 2)]
    foreign_runs: usize,
    /// Only the situations with this text in their name, such as `native`, `cached` or `locked`; the page is then printed
    /// and not written.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Debian suite.
    #[arg(long, default_value = "trixie")]
    suite: String,
    /// Folder for build folders and caches; a fast file system with 5 GB of space.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// What is built, and with which caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Situation {
    name: &'static str,
    foreign: bool,
    cached: bool,
    /// Whether the peers can do it at all.
    peers: bool,
}

const SITUATIONS: &[Situation] = &[
    Situation { name: "native, packages cached", foreign: false, cached: true, peers: true },
    Situation { name: "native, nothing cached", foreign: false, cached: false, peers: true },
    Situation {
        name: "native, locked, nothing changed, offline",
        foreign: false,
        cached: true,
        peers: false,
    },
    Situation { name: "foreign, packages cached", foreign: true, cached: true, peers: true },
    Situation { name: "foreign, nothing cached", foreign: true, cached: false, peers: true },
];

/// What one program did in one situation.
#[derive(Debug)]
struct Outcome {
    situation: Situation,
    contestant: Contestant,
    times: Vec<Duration>,
    /// Highest sum over all processes, in KiB.
    peak_memory: u64,
}

/// Runs all situations and writes their section.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    step("packages the benchmarks need", needs::for_benches)?;
    let program = build("ovmlayer-rootfs")?;
    let scratch = match &options.scratch {
        Some(folder) => TempDir::new_in(folder),
        None => TempDir::new(),
    };
    let scratch = scratch.map_err(Error::io("make a scratch folder"))?;
    let place = Place::new(program, scratch.path(), &options.suite)?;
    let mut outcomes = Vec::new();
    for situation in SITUATIONS {
        if options.only.as_ref().is_none_or(|text| situation.name.contains(text.as_str())) {
            outcomes.extend(measure(*situation, &place, options)?);
        }
    }
    publish(page::HEADING, &page::section(&outcomes, options), options.only.is_none())
}

fn measure(situation: Situation, place: &Place, options: &Options) -> Result<Vec<Outcome>, Error> {
    report::line(&format!("\n== {}", situation.name));
    let contestants = if situation.peers { &Contestant::ALL[..] } else { &[Contestant::Ours] };
    let runs = if situation.foreign { options.foreign_runs } else { options.runs };
    // For the peers: our program needs none of this, it registers emulation in a user namespace of its own.
    let emulation = situation.foreign.then(MachineEmulation::present);
    if let Some(remedy) = emulation.as_ref().and_then(MachineEmulation::remedy) {
        // A signal ends this program without taking anything back.
        report::line(&format!("registered emulation with the kernel; after an interruption: {remedy}"));
    }
    let mut outcomes = Vec::new();
    for contestant in contestants {
        place.prepare(*contestant, situation)?;
        let (time, peak_memory) = memory::watch(|| once(*contestant, situation, place))?;
        let mebibytes = peak_memory / 1024;
        report::line(&format!("{contestant}: first run {}, {mebibytes} MiB at most", seconds(time?)));
        outcomes.push(Outcome { situation, contestant: *contestant, times: Vec::new(), peak_memory });
    }
    for round in 1..=runs {
        for outcome in &mut outcomes {
            let time = once(outcome.contestant, situation, place)?;
            report::line(&format!("{}: run {round} of {runs}: {}", outcome.contestant, seconds(time)));
            outcome.times.push(time);
        }
    }
    Ok(outcomes)
}

/// One whole process from start to end, into a fresh folder.
fn once(contestant: Contestant, situation: Situation, place: &Place) -> Result<Duration, Error> {
    place.clear(contestant, situation)?;
    timing::once(place.command(contestant, situation), &place.log())
}
