//! `ovmlayer-rootfs`: builds root filesystems from recipes. Parses, calls, prints, exits.

mod cli;
mod command;
mod printer;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match command::run(cli) {
        Ok(code) => code,
        Err(error) => {
            printer::error(&*error);
            ExitCode::FAILURE
        }
    }
}
