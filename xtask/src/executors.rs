//! The published Python executor that flows are tested with: kept in a folder beneath the build results, at a pinned version,
//! installed by pip as the user has set it up.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::step::{run, target};

/// Versions of the Python packages: the executor and what blocks import.
const EXECUTOR: &str = "0.16.18";
const SDK: &str = "0.18.12";

/// The folder with the program `python-executor`.
pub(crate) fn python_programs() -> PathBuf {
    target().join(format!("executor-tools/python-{EXECUTOR}/bin"))
}

/// Installs the executor unless it is there.
pub(crate) fn provide() -> Result<(), String> {
    let programs = python_programs();
    if programs.join("python-executor").exists() {
        return Ok(());
    }
    let folder = target().join(format!("executor-tools/python-{EXECUTOR}"));
    fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let packages = [format!("oocana-python-executor=={EXECUTOR}"), format!("oocana=={SDK}")];
    let pip = ["install", "--quiet", "--only-binary", ":all:"];
    run(Command::new(programs.join("pip")).args(pip).args(packages))
}
