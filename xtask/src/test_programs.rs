//! The test programs of the workspace: built by cargo, then run several at a time.
//!
//! `cargo test` runs one program after the other. Many of ours wait for servers, disks and processes of their own, and
//! one processor idles meanwhile; so as many run at once as there are processors, each from the folder of its package,
//! as cargo does it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::report;
use crate::step::{cargo, root, seconds, show};

/// One program with tests.
#[derive(Debug)]
struct Program {
    /// Its package and target, as one tells them to `cargo test`.
    name: String,
    executable: PathBuf,
    /// The folder of its package.
    folder: PathBuf,
}

/// Builds and runs them all, and those in the documentation. The answer names what failed.
pub(crate) fn run() -> Result<(), String> {
    let programs = build()?;
    report::line(&format!("{} test programs", programs.len()));
    let failed = run_all(programs);
    if !failed.is_empty() {
        return Err(format!("these failed: {}", failed.join(", ")));
    }
    crate::step::run(&mut cargo(&["test", "--workspace", "--locked", "--doc", "--quiet"]))
}

fn build() -> Result<Vec<Program>, String> {
    let words = ["test", "--workspace", "--locked", "--no-run", "--message-format=json-render-diagnostics"];
    let mut command = cargo(&words);
    let shown = show(&command);
    report::line(&format!("$ {shown}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("`{shown}`: {error}"))?;
    let messages = child.stdout.take().map(BufReader::new);
    let lines = messages.into_iter().flat_map(BufRead::lines);
    let programs = lines.filter_map(|line| program(&serde_json::from_str(&line.ok()?).ok()?)).collect();
    let status = child.wait().map_err(|error| format!("`{shown}`: {error}"))?;
    if status.success() { Ok(programs) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// The program that a message of cargo tells of, when it has tests.
fn program(message: &Value) -> Option<Program> {
    if message["profile"]["test"] != true {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let target = &message["target"];
    let package = folder.strip_prefix(root()).ok()?.display();
    Some(Program {
        name: format!("{package} {} {}", target["kind"][0].as_str()?, target["name"].as_str()?),
        executable: message["executable"].as_str()?.into(),
        folder,
    })
}

/// Runs them and shows what each said when it has ended.
fn run_all(programs: Vec<Program>) -> Vec<String> {
    let at_once = thread::available_parallelism().map_or(1, usize::from).min(programs.len().max(1));
    let (waiting, failed) = (Mutex::new(VecDeque::from(programs)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(program) = take(&waiting) {
                    if let Err(reason) = run_one(&program) {
                        report::line(&format!("FAILED: {}: {reason}", program.name));
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(program.name);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn take(waiting: &Mutex<VecDeque<Program>>) -> Option<Program> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Runs one. Its output goes through a file, so that what two of them say is not mixed.
fn run_one(program: &Program) -> Result<(), String> {
    let start = Instant::now();
    let failed = |error: std::io::Error| format!("cannot run it: {error}");
    let mut output = tempfile::tempfile().map_err(failed)?;
    let mut command = Command::new(&program.executable);
    command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder).stdin(Stdio::null());
    command.stdout(output.try_clone().map_err(failed)?).stderr(output.try_clone().map_err(failed)?);
    let status = command.status().map_err(failed)?;
    let mut said = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut said)).map_err(failed)?;
    let mut out = std::io::stderr().lock();
    let time = seconds(start.elapsed());
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(out, "\n-- {}: {time}", program.name).and_then(|()| out.write_all(&said));
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}
