//! One module per command.

mod build;
mod diff;
mod doctor;
mod fetch;
mod inspect;
mod list;
mod lock;
mod look;
mod package;
mod registries;
mod sbom;
mod transfer;

use std::error::Error;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Command, From, Network};
use crate::printer;

/// Runs the command that `cli` names.
pub(crate) fn run(cli: &Cli) -> Result<ExitCode, Box<dyn Error>> {
    match &cli.command {
        Command::Build(build) => build::run(cli, build),
        Command::List => list::run(cli.json),
        Command::Lock(lock) => lock::run(cli, lock),
        Command::Pull(pull) => transfer::pull(cli, pull),
        Command::Push(push) => transfer::push(cli, push),
        Command::Copy(copy) => transfer::copy_image(cli, copy),
        Command::Inspect(inspect) => inspect::run(cli, inspect),
        Command::Diff(diff) => Ok(diff::run(cli, diff)),
        Command::Sbom(sbom) => sbom::run(cli, sbom),
        Command::Package(command) => package::run(cli, command),
        Command::Fetch(fetch) => fetch::run(cli, fetch),
        Command::Doctor(doctor) => doctor::run(doctor, cli.json),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "ovmlayer-rootfs", &mut script);
            printer::result(String::from_utf8_lossy(&script).trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Manual { folder } => {
            clap_mangen::generate_to(Cli::command(), folder)
                .map_err(|error| format!("cannot write manual pages to {}: {error}", folder.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Where packages come from, as the library wants it.
fn origin(from: &From, network: &Network) -> recipe::plan::Origin {
    recipe::plan::Origin {
        architectures: from.arch.clone(),
        distro: from.distro,
        suite: from.suite.clone(),
        mirror: from.mirror.clone(),
        security_mirror: from.security_mirror.clone(),
        keyring: from.keyring.clone(),
        snapshot: from.snapshot.clone(),
        offline: network.offline,
        timeout: network.timeout,
    }
}
