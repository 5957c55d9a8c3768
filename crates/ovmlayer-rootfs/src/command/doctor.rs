//! `doctor`: what this machine can do.

use std::error::Error;
use std::process::ExitCode;

use recipe::doctor::{State, checks};

use crate::cli::Doctor;
use crate::printer;

pub(crate) fn run(doctor: &Doctor, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let checks = checks(doctor.cache_dir.as_deref())?;
    let failed = checks.iter().any(|check| check.state == State::Fail);
    if json {
        let list: Vec<_> = checks
            .iter()
            .map(|check| {
                serde_json::json!({
                    "name": check.name,
                    "state": word(check.state),
                    "found": check.found,
                    "remedy": check.remedy,
                })
            })
            .collect();
        printer::result(&serde_json::to_string_pretty(&list)?);
    } else {
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &checks {
            printer::result(&format!("{:4}  {:width$}  {}", word(check.state), check.name, check.found));
            if let Some(remedy) = &check.remedy {
                printer::result(&format!("      {:width$}  hint: {remedy}", ""));
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "FAIL",
    }
}
