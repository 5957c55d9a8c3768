//! `cargo xtask test`: everything that has to hold before a change goes in.

use std::process::Command;
use std::time::Instant;

use crate::step::{self, cargo, root, seconds, step};
use crate::{Error, executors, layout, needs, node, report, test_programs, workflows};

/// Runs all steps, the quick ones first, and stops at the first that fails.
pub(crate) fn run() -> Result<(), Error> {
    let start = Instant::now();
    step("packages the tests need", needs::for_tests)?;
    if !rustix::process::geteuid().is_root() {
        report::line(
            "note: this is not root; tests that make users, unpack owners or mount will fail and say so",
        );
    }
    step("formatting", || step::run(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("rooms", layout::check)?;
    let scripts = [".ci/run", ".github/actions/setup/install"];
    step("shell scripts", || step::run(Command::new("shellcheck").args(scripts).current_dir(root())))?;
    step("workflows", workflows::check)?;
    step("Node.js executor", node::check)?;
    step("Python executor", executors::provide)?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    step("clippy", || step::run(&mut cargo(&clippy)))?;
    let doc = ["doc", "--workspace", "--no-deps", "--locked"];
    step("documentation", || step::run(cargo(&doc).env("RUSTDOCFLAGS", "-D warnings")))?;
    step("tests", test_programs::run)?;
    report::line(&format!("\nALL TESTS PASSED in {}", seconds(start.elapsed())));
    Ok(())
}
