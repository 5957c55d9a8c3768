//! `run`.

use std::process::ExitCode;

use layers::{Limits, Request, exit_code};

use super::engine;
use crate::cli::Run;
use crate::{log, printer};

pub(crate) fn run(run: &Run) -> ExitCode {
    let request = Request {
        point: run.merged_point.clone(),
        command: run.command.clone(),
        binds: run.mount.clone(),
        work_in: run.workdir.clone(),
        env: run.env.clone(),
        env_files: run.env_file.clone(),
        all_devices: run.all_devices,
        network: !run.limits.no_network,
        limits: Limits { memory: run.limits.memory, cpus: run.limits.cpus, pids: run.limits.pids },
        seccomp: run.limits.seccomp.clone(),
    };
    let program = run.command.first().cloned().unwrap_or_default();
    log::line(&format!("running `{}` in `{}`", program.display(), run.merged_point));
    let outcome = engine().and_then(|engine| engine.run(&request));
    match &outcome {
        Ok(status) => {
            log::line(&format!("`{}` in `{}` ended: {status}", program.display(), run.merged_point));
        }
        Err(error) => printer::error(error),
    }
    ExitCode::from(exit_code(outcome))
}
