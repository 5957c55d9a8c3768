//! `cargo xtask bench layers`: `ovmlayer` beside bubblewrap, runc, GNU tar, buildah and umoci.

mod contests;
mod page;
mod stage;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::Args;

use super::timing::{once, quietly, spread};
use super::{build, publish};
use crate::step::step;
use crate::{Error, needs, report};
use stage::Stage;

/// Options of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds for what takes milliseconds; what takes seconds has a tenth of them, and 3 at least.
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// Only the situations with this text in their name, such as `run`, `merge` or `export`; the section is then printed and
    /// not written.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Folder for stores, trees and archives; a fast file system with 45 GB of space that can be an overlay's upper.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Commands that are made anew for each round, run one after the other.
type Commands = Box<dyn Fn() -> Vec<Command>>;

/// One thing that several programs do.
struct Contest {
    situation: String,
    /// Whether it takes seconds.
    long: bool,
    entrants: Vec<Entrant>,
}

/// One program in it. Ours comes first.
struct Entrant {
    program: &'static str,
    /// Sets the stage; not timed.
    before: Commands,
    timed: Commands,
}

/// What one program did in one situation.
struct Outcome {
    situation: String,
    program: &'static str,
    times: Vec<Duration>,
}

/// Runs all contests and writes their section.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    step("packages the benchmarks need", needs::for_benches)?;
    let (program, rootfs) = (build("ovmlayer")?, build("ovmlayer-rootfs")?);
    // buildah takes no path with capitals for an image, and random names have them.
    let mut name = tempfile::Builder::new();
    let prefix = format!("ovmlayer-bench-{}", std::process::id());
    name.prefix(&prefix).rand_bytes(0);
    let scratch = match &options.scratch {
        Some(folder) => name.tempdir_in(folder),
        None => name.tempdir(),
    };
    let scratch = scratch.map_err(Error::io("make a scratch folder"))?;
    let stage = Stage::set(program, &rootfs, scratch.path())?;
    let outcomes =
        contests::all(&stage, options.only.as_deref(), |contest| measure(&contest, &stage, options));
    // Nothing may be left mounted in the folder that is about to go.
    stage.strike()?;
    publish(page::HEADING, &page::section(&outcomes?), options.only.is_none())
}

fn measure(contest: &Contest, stage: &Stage, options: &Options) -> Result<Vec<Outcome>, Error> {
    report::line(&format!("\n== {}", contest.situation));
    let rounds = if contest.long { (options.runs / 10).max(3) } else { options.runs };
    let outcome = |entrant: &Entrant| Outcome {
        situation: contest.situation.clone(),
        program: entrant.program,
        times: Vec::new(),
    };
    let mut outcomes: Vec<Outcome> = contest.entrants.iter().map(outcome).collect();
    // The first round warms caches and is not counted.
    for round in 0..=rounds {
        for (entrant, outcome) in contest.entrants.iter().zip(&mut outcomes) {
            (entrant.before)().iter_mut().try_for_each(quietly)?;
            let commands = (entrant.timed)().into_iter();
            let time =
                commands.map(|command| once(command, &stage.log())).sum::<Result<Duration, Error>>()?;
            if round > 0 {
                outcome.times.push(time);
            }
        }
    }
    for outcome in &outcomes {
        if let Some((median, ..)) = spread(&outcome.times) {
            report::line(&format!(
                "{}: {} in the median of {rounds}",
                outcome.program,
                page::milliseconds(median)
            ));
        }
    }
    Ok(outcomes)
}
