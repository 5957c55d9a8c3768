//! `cargo xtask bench`: our programs beside others, in the same run on the same machine.
//!
//! The programs take turns: each round runs all of them once, so that whatever else the machine does meets all alike.
//! Every benchmark writes its own section of `docs/performance.md`.

mod contest;
mod executor_layer;
mod flows;
mod images;
mod layers;
mod memory;
mod rootfs;
mod timing;

use std::path::PathBuf;
use std::process::Stdio;

use clap::Subcommand;

use crate::page::write_section;
use crate::step::{cargo, root};
use crate::{Error, report};

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Benchmark {
    /// Build root filesystems beside mmdebstrap and debootstrap.
    Rootfs(rootfs::Options),
    /// Pack a tree into an image, and put the layers of one together, beside buildah and umoci.
    Images(images::Options),
    /// Run commands in layers, merge, export and import, beside bubblewrap, runc, tar, buildah and umoci.
    Layers(layers::Options),
    /// Build the executor layer beside pip and npm under emulation, and beside uv and npm.
    ExecutorLayer(executor_layer::Options),
    /// Run flows, beside the figures of the engine that existing flows know.
    Flows(flows::Options),
}

/// Runs one of them.
pub(crate) fn run(benchmark: &Benchmark) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        let reason = "the peers are measured in the mode that is fastest for them, as root";
        return Err(Error::Missing(format!("run `cargo xtask bench` as root: {reason}")));
    }
    match benchmark {
        Benchmark::Rootfs(options) => rootfs::run(options),
        Benchmark::Images(options) => images::run(options),
        Benchmark::Layers(options) => layers::run(options),
        Benchmark::ExecutorLayer(options) => executor_layer::run(options),
        Benchmark::Flows(options) => flows::run(options),
    }
}

/// Writes a section of `docs/performance.md`, or shows it when it is not the whole.
fn publish(heading: &str, section: &str, whole: bool) -> Result<(), Error> {
    if !whole {
        report::line(&format!("\n{section}"));
        return Ok(());
    }
    let path = root().join("docs/performance.md");
    let title = "# Performance\n\nWritten by `cargo xtask bench`, a section by each benchmark.\n";
    write_section(&path, title, heading, section)?;
    report::line(&format!("\nwrote {}", path.display()));
    Ok(())
}

/// Builds one of our programs as users do and gives its path.
fn build(package: &str) -> Result<PathBuf, Error> {
    let arguments = ["build", "--release", "--locked", "--package", package];
    let mut command = cargo(&arguments);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().map_err(Error::io("start cargo"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    };
    let found = text.lines().filter_map(executable).next_back();
    found.ok_or_else(|| Error::Missing(format!("`cargo {}` made no program", arguments.join(" "))))
}
