//! `cargo xtask bench layers`: `ovmlayer` beside bubblewrap, runc, GNU tar, buildah and umoci.

mod contests;
mod page;
mod stage;

use std::path::PathBuf;

use clap::Args;

use super::{build, publish};
use crate::step::step;
use crate::{Error, needs};
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
    let log = stage.log();
    let outcomes =
        contests::all(&stage, options.runs, options.only.as_deref(), |contest| contest.measure(&log));
    // Nothing may be left mounted in the folder that is about to go.
    stage.strike()?;
    publish(page::HEADING, &page::section(&outcomes?), options.only.is_none())
}
