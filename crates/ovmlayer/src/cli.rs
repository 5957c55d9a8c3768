//! The command line. [`crate::spelling`] brings what callers write into the form that is parsed here.

mod archive;
mod layer;
mod run;
mod setup;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use archive::{Export, Form, Import};
pub(crate) use layer::{
    Create, Delete, Diff, DiskUse, Flatten, Fsck, Inspect, List, ListLayers, Merge, Move, Unmerge,
};
pub(crate) use run::{Copy, Direction, Run};
pub(crate) use setup::{Folder, Mode, Setup, Start};

/// Stacks layers over a root filesystem and runs programs in the stack.
///
/// A layer is a folder of changes. `merge` mounts layers over the root filesystem at a merge point: the first `-l` is the
/// lowest, the last is the top, where everything is written. `run` runs a command there. Nothing but mounts and folders
/// is left between two calls: there is no daemon.
///
/// Flags may be written with one dash or two, and their values after `=` or a space.
#[derive(Debug, Parser)]
#[command(
    name = "ovmlayer",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(after_help = "Examples:
  ovmlayer setup --runtime ~/layers --rootfs-path ~/rootfs --rootfs-tar amd64-rootfs.tar
  ovmlayer create python
  ovmlayer merge -l python -m work
  ovmlayer run --merged-point work sh -c 'apt-get update && apt-get install -y python3'
  ovmlayer unmerge work
  ovmlayer export -l python --dest python.tar.zst

Exit status: 0 done, 1 failed, 2 wrong usage; `run` gives that of the command.
Environment: OVMLAYER_LOG names a file, by absolute path, that is told what happens.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How results are printed.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Print results on stdout as JSON.
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Setup(Setup),
    Start(Start),
    /// Test whether something works.
    #[command(subcommand)]
    Test(Test),
    Create(Create),
    Delete(Delete),
    /// List layers or merge points.
    #[command(subcommand)]
    List(List),
    Merge(Merge),
    Unmerge(Unmerge),
    Run(Run),
    Cp(Copy),
    Export(Export),
    Import(Import),
    Move(Move),
    Inspect(Inspect),
    Diff(Diff),
    Du(DiskUse),
    Flatten(Flatten),
    Fsck(Fsck),
    /// Remove what killed commands left: staging folders, trash, work folders, stale leases.
    ///
    /// Layers and merge points are never touched. Other commands do the same in passing; this does all of it now.
    Gc,
    /// Print a completion script for a shell.
    #[command(after_help = "Example: ovmlayer completions zsh > ~/.zfunc/_ovmlayer")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands into a folder, for those who package the program.
    #[command(hide = true)]
    Manual {
        /// The folder, which is there.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// What can be tested.
#[derive(Debug, Subcommand)]
pub(crate) enum Test {
    /// Exit with 0 when layers can be used here, with 1 and the reason when not.
    ///
    /// Nothing is changed, and any number of these may run at the same time.
    System,
}

#[cfg(test)]
mod tests;
