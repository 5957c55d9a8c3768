//! One module per group of commands.

mod archive;
mod check;
mod copy;
mod layer;
mod merge;
mod run;
mod setup;
mod show;
mod start;

use std::error::Error;
use std::process::ExitCode;

use clap::CommandFactory as _;
use layers::{Engine, Environment};

use crate::cli::{Cli, Command, List, Test};
use crate::{log, printer};

/// What a command gives: an exit code, or an error to be printed.
type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Runs the command that `cli` names.
pub(crate) fn run(cli: &Cli) -> ExitCode {
    let json = cli.output.json;
    let outcome = match &cli.command {
        // Its exit codes are those of the command inside.
        Command::Run(run) => return run::run(run),
        // Those of the command that it becomes.
        Command::Start(start) => return start::start(start),
        Command::Setup(setup) => setup::setup(setup, json),
        Command::Test(Test::System) => setup::test_system(),
        Command::Create(create) => layer::create(create),
        Command::Delete(delete) => layer::delete(delete),
        Command::List(List::Layers(list)) => layer::list(list, json),
        Command::List(List::MergedPoints) => merge::list(json),
        Command::Merge(merge) => merge::merge(merge, json),
        Command::Unmerge(unmerge) => merge::unmerge(unmerge),
        Command::Cp(copy) => copy::copy(copy),
        Command::Export(export) => archive::export(export),
        Command::Import(import) => archive::import(import),
        Command::Move(moved) => layer::move_to_external(moved),
        Command::Inspect(inspect) => show::inspect(inspect, json),
        Command::Diff(diff) => show::diff(diff, json),
        Command::Du(usage) => show::disk_use(usage, json),
        Command::Flatten(flatten) => layer::flatten(flatten),
        Command::Fsck(fsck) => check::fsck(fsck, json),
        Command::Gc => check::gc(json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "ovmlayer", &mut script);
            printer::result(String::from_utf8_lossy(&script).trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Manual { folder } => clap_mangen::generate_to(Cli::command(), folder)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| format!("cannot write manual pages to {}: {error}", folder.display()).into()),
    };
    outcome.unwrap_or_else(|error| {
        printer::error(&*error);
        ExitCode::FAILURE
    })
}

/// The stores of whoever runs this program.
fn engine() -> Result<Engine, layers::Error> {
    Engine::open(&Environment::of_process()?)
}

/// As [`engine`], with the right to read and write the contents of layers.
fn engine_inside() -> Result<Engine, layers::Error> {
    let engine = engine()?;
    engine.enter()?;
    Ok(engine)
}

/// Tells the log, and nobody else, what was done.
fn done(what: &str) -> Outcome {
    log::line(what);
    Ok(ExitCode::SUCCESS)
}
