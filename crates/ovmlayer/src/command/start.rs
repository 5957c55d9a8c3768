//! `start`.

use std::error::Error;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use layers::{Engine, Environment};

use super::setup;
use crate::cli::Start;
use crate::{log, printer};

/// The exit codes of shells for commands that cannot be run, and for those that there are none of.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Becomes the command; returns only when that fails.
pub(crate) fn start(start: &Start) -> ExitCode {
    match prepare(start) {
        Ok(notes) => notes.iter().for_each(|note| printer::note(note)),
        Err(error) => printer::warning(&format!(
            "layers cannot be used in this container, and flows run without them; to use them, give the container \
             `--privileged` and a volume: {}",
            printer::chain(&*error)
        )),
    }
    let Some((program, arguments)) = start.command.split_first() else { return ExitCode::from(NOT_FOUND) };
    log::line(&format!("starting `{}`", program.display()));
    let error = Command::new(program).args(arguments).exec();
    let status = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
    let message = format!("cannot start `{}`: {error}", program.display());
    printer::error(&*Box::<dyn Error>::from(message));
    ExitCode::from(status)
}

fn prepare(start: &Start) -> Result<Vec<String>, Box<dyn Error>> {
    let (runtime, read_only) = setup::stores(None, &start.dir)?;
    let wanted = layers::Setup::Stores {
        runtime,
        external: start.external.clone(),
        read_only,
        rootfs_path: start.rootfs_path.clone(),
        rootfs_tar: None,
    };
    Ok(Engine::start(&Environment::of_process()?, &wanted)?.notes)
}
