//! The Node.js executor in `executors/node`: its types are checked, it is built, and its tests run.
//!
//! That takes Debian's `nodejs` (20 or later) and `npm`, and `mosquitto` for the tests. What it depends on comes from
//! npm as the user has set it up, a cache without a network included; the versions are those of `package-lock.json`.

use std::process::Command;

use crate::step::{root, run};

/// Checks, builds and tests the executor.
pub(crate) fn check() -> Result<(), String> {
    build()?;
    run(&mut npm(&["run", "--silent", "check"]))?;
    run(&mut npm(&["run", "--silent", "test"]))
}

/// Builds the executor, which flows are tested with.
pub(crate) fn build() -> Result<(), String> {
    run(&mut npm(&["ci", "--ignore-scripts", "--prefer-offline"]))?;
    run(&mut npm(&["run", "--silent", "build"]))
}

fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(root().join("executors/node"));
    command
}
