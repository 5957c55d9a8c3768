//! `ovmlayer`: layers over a root filesystem. Parses, calls, prints, exits.

mod cli;
mod command;
mod log;
mod printer;
mod spelling;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

/// Names the file that is told what happens.
const LOG: &str = "OVMLAYER_LOG";

fn main() -> ExitCode {
    log::open(std::env::var_os(LOG).as_deref());
    let mut definition = cli::Cli::command();
    let words = spelling::normalise(&definition, std::env::args_os());
    let parsed = definition.try_get_matches_from_mut(words);
    match parsed.and_then(|matches| cli::Cli::from_arg_matches(&matches)) {
        Ok(cli) => command::run(&cli),
        Err(error) => {
            printer::usage(&error);
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    }
}
