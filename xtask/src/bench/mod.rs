//! `cargo xtask bench rootfs`: our program beside mmdebstrap and debootstrap, in the same run on the same machine.
//!
//! Each situation first has every program run once, which fills its package cache and measures memory; then the timed
//! runs go round and round, so that whatever else the machine does meets all of them alike. Sampling memory costs time,
//! so no timed run is sampled.

mod contestant;
mod memory;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use tempfile::TempDir;
use testkit::MachineEmulation;

use crate::step::{cargo, root, seconds, step};
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

/// Runs all situations and writes `docs/performance.md`.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        let reason = "mmdebstrap and debootstrap are measured in the mode that is fastest for them, as root";
        return Err(Error::Missing(format!("run `cargo xtask bench rootfs` as root: {reason}")));
    }
    step("packages the benchmarks need", needs::for_benches)?;
    let program = build()?;
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
    let page = page::write(&outcomes, options);
    if options.only.is_some() {
        report::line(&format!("\n{page}"));
        return Ok(());
    }
    let path = root().join("docs/performance.md");
    fs::write(&path, page).map_err(Error::io(format!("write {}", path.display())))?;
    report::line(&format!("\nwrote {}", path.display()));
    Ok(())
}

/// Builds our program as users do and gives its path.
fn build() -> Result<PathBuf, Error> {
    let arguments = ["build", "--release", "--locked", "--package", "ovmlayer-rootfs"];
    let mut command = cargo(&arguments);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().map_err(Error::io("start cargo"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    };
    let found = text.lines().filter_map(executable).next_back();
    found.ok_or_else(|| Error::Missing(format!("`cargo {}` made no program", arguments.join(" "))))
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

/// One whole process from start to end, into a fresh folder; what it prints is shown when it fails.
fn once(contestant: Contestant, situation: Situation, place: &Place) -> Result<Duration, Error> {
    place.clear(contestant, situation)?;
    let mut command = place.command(contestant, situation);
    let log = place.log();
    let file = fs::File::create(&log).map_err(Error::io("make a log"))?;
    let second = file.try_clone().map_err(Error::io("share a log"))?;
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    let start = Instant::now();
    let status = command.status().map_err(Error::io(format!("start {contestant}")))?;
    let time = start.elapsed();
    if status.success() {
        return Ok(time);
    }
    let reason = format!("{contestant} ended with {status}; its output ends with\n{}", tail(&log));
    Err(Error::Step { step: situation.name.to_owned(), reason })
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Runs a command that must succeed, silently.
fn quietly(command: &mut Command) -> Result<(), Error> {
    let shown = crate::step::show(command);
    let output = command.output().map_err(Error::io(format!("start `{shown}`")))?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Step { step: shown, reason })
}
