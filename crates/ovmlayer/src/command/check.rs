//! Checking and cleaning stores.

use std::path::Path;
use std::process::ExitCode;

use layers::{Engine, Environment, Problem};
use serde_json::json;

use super::{Outcome, engine_inside};
use crate::cli::Fsck;
use crate::printer;

pub(crate) fn fsck(fsck: &Fsck, json: bool) -> Outcome {
    let engine = Engine::open_for_repair(&Environment::of_process()?)?;
    engine.enter()?;
    let findings = engine.fsck(fsck.repair)?;
    let clean = findings.iter().all(|finding| finding.repaired);
    if json {
        let list: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({
                    "problem": word(finding.problem),
                    "path": finding.path.to_string_lossy(),
                    "description": finding.problem.to_string(),
                    "repaired": finding.repaired,
                })
            })
            .collect();
        printer::json(&list.into());
    } else {
        printer::results(findings.iter().map(|finding| {
            let repaired = if finding.repaired { " (repaired)" } else { "" };
            format!("{}: {}{repaired}", shown(&finding.path), finding.problem)
        }));
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A path on one line, whatever name a stranger has given to something in a store.
fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for character in path.to_string_lossy().chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The word for a problem in JSON.
fn word(problem: Problem) -> &'static str {
    match problem {
        Problem::NoRecord => "no-record",
        Problem::NoRootfs => "no-rootfs",
        Problem::NotALayer => "not-a-layer",
        Problem::Unfinished => "unfinished",
        Problem::HalfRemoved => "half-removed",
        Problem::StaleLease => "stale-lease",
        Problem::IdleMergePoint => "idle-merge-point",
        Problem::IdleWork => "idle-work",
        Problem::IdleRun => "idle-run",
        Problem::IdleUnpacked => "idle-unpacked",
        Problem::InTwoStores => "in-two-stores",
        _ => "other",
    }
}

pub(crate) fn gc(json: bool) -> Outcome {
    let garbage = engine_inside()?.gc()?;
    if json {
        printer::json(&json!({
            "unfinished": garbage.unfinished,
            "leases": garbage.leases,
            "works": garbage.works,
            "unpacked": garbage.unpacked,
        }));
    } else {
        let total = garbage.unfinished + garbage.leases + garbage.works + garbage.unpacked;
        printer::result(format!("{total} removed"));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_line() {
        assert_eq!(shown(Path::new("/s/a b\n/s/ä\x1b[31m: fine")), "/s/a b\\n/s/ä\\u{1b}[31m: fine");
    }
}
