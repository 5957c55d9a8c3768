//! `package`: the layers of one package of blocks.

mod publish;

use std::error::Error;
use std::process::ExitCode;

use crate::cli::{Cli, Package};

pub(crate) fn run(cli: &Cli, command: &Package) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Package::Publish(publish) => publish::run(cli, publish),
    }
}
