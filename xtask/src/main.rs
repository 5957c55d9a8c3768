//! What a contributor runs: `cargo xtask test`, `cargo xtask soak`, `cargo xtask bench`, `cargo xtask dist`.
//!
//! What enters: the workspace and this machine. What leaves: an exit status that says whether all is well, with the
//! reason on the last line when it is not, and the pages in `docs/` that hold measurements.

mod bench;
mod checklist;
mod executors;
mod layout;
mod machine;
mod needs;
mod node;
mod page;
mod python;
mod release;
mod report;
mod soak;
mod step;
mod test;
mod test_programs;
mod workflows;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need, then run all of them: formatting, clippy, unit, property, whole-program, workflows.
    Test,
    /// Install the executors that tests of flows run: `cargo xtask test` does it too.
    Executors,
    /// Run the long checks in their full counts and write docs/soak.md.
    Soak(Soak),
    /// Measure against other programs on this machine.
    Bench(Bench),
    /// Build the archive of a release: static programs, manual pages, completions.
    Dist(release::Dist),
}

#[derive(Debug, Args)]
struct Soak {
    /// Only this part; the section of the other stays as it is.
    #[arg(long, value_enum)]
    part: Option<soak::Part>,
}

#[derive(Debug, Args)]
struct Bench {
    #[command(subcommand)]
    what: bench::Benchmark,
}

/// Why a task did not succeed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("step `{step}` failed: {reason}")]
    Step { step: String, reason: String },
    #[error("cannot {doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    #[error("{0}")]
    Missing(String),
}

impl Error {
    /// For `map_err`: what was being done when the system said no.
    fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

fn provide_executors() -> Result<(), Error> {
    step::step("Node.js executor", node::build)?;
    step::step("Python executor", executors::provide)
}

fn main() -> ExitCode {
    let result = match Command::parse().task {
        Task::Test => test::run(),
        Task::Executors => provide_executors(),
        Task::Soak(Soak { part }) => soak::run(part),
        Task::Bench(Bench { what }) => bench::run(&what),
        Task::Dist(dist) => release::run(&dist),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::line(&format!("FAILED: {error}"));
            ExitCode::FAILURE
        }
    }
}
