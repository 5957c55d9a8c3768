//! `ovmlayer-rootfs`: builds root filesystems from recipes. Parses, calls, prints, exits.

mod cli;
mod command;
mod output;
mod printer;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::Parser;

/// The exit status for wrong usage, as for what the parser of the command line refuses.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match command::run(&cli) {
        Ok(code) => code,
        Err(error) => {
            printer::error(&*error);
            let usage = error.downcast_ref::<recipe::Error>().is_some_and(recipe::Error::is_usage);
            if usage { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}
