//! `cargo xtask soak`: the same tests with full counts, and a page with what they found.
//!
//! A test takes its count from the environment and prints `soak: NAME: VALUE` for each result worth keeping.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use clap::ValueEnum;

use crate::page::write_section;
use crate::step::{cargo, root, seconds, step};
use crate::{Error, executors, machine, needs, node, report};

/// Checks that belong together, and their section of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Everything but the engine for layers.
    Rootfs,
    /// The engine for layers and its program.
    Layers,
    /// Flows and their program.
    Flows,
    /// Popular packages of Python and Node.js, beside pip and npm under emulation.
    Deps,
}

/// The packages of [`Part::Layers`].
const LAYERS: &[&str] = &["ovmlayer", "ovmlayer-layers"];

/// The packages of [`Part::Flows`].
const FLOWS: &[&str] = &["oocana", "ovmlayer-flow", "ovmlayer-packages", "ovmlayer-runner"];

/// Counts that `cargo xtask test` leaves at small samples. One that is set in the environment counts more.
const COUNTS: &[(&str, &str)] = &[
    ("OOCANA_CHAIN", "5000"),
    ("OOCANA_CORPUS_MOSQUITTO", "1"),
    ("OOCANA_CORPUS_ROUNDS", "200"),
    ("OOCANA_FAN", "2000"),
    ("OOCANA_INDEPENDENT", "200"),
    ("OOCANA_KILLS", "25"),
    ("OOCANA_MUTATED", "2000"),
    ("OOCANA_STREAMED", "200"),
    ("OOCANA_VALUE_SIZE", "100000000"),
    ("OVMLAYER_APT_SETS", "300"),
    ("OVMLAYER_KILLS", "50"),
    ("OVMLAYER_FOREIGN_IMAGES", "1"),
    ("OVMLAYER_FUZZ_ROUNDS", "1000000"),
    ("OVMLAYER_IMAGE_FAULT_ROUNDS", "500"),
    ("OVMLAYER_LAYER_KILLS", "500"),
    ("OVMLAYER_LAYER_OPERATIONS", "2000"),
    ("OVMLAYER_REAL_WORK", "2"),
    ("OVMLAYER_WAYS", "7"),
    ("OVMLAYER_RUNTIME_IMAGE", "1"),
    ("OVMLAYER_PACKAGE_TOOLS", "1"),
    ("PROPTEST_CASES", "1024"),
];

/// The count of [`Part::Deps`].
const DEPS_COUNTS: &[(&str, &str)] = &[("OVMLAYER_DEPS_CORPUS", "1")];

impl Part {
    fn heading(self) -> &'static str {
        match self {
            Self::Rootfs => "Root filesystems",
            Self::Layers => "Layers",
            Self::Flows => "Flows",
            Self::Deps => "Dependencies",
        }
    }

    /// What tells cargo which packages to test.
    fn packages(self) -> Vec<&'static str> {
        match self {
            Self::Rootfs => {
                let exclude = LAYERS.iter().chain(FLOWS).flat_map(|package| ["--exclude", *package]);
                std::iter::once("--workspace").chain(exclude).collect()
            }
            Self::Layers => LAYERS.iter().flat_map(|package| ["--package", *package]).collect(),
            Self::Flows => FLOWS.iter().flat_map(|package| ["--package", *package]).collect(),
            Self::Deps => vec!["--package", "ovmlayer-rootfs", "--test", "dependencies"],
        }
    }

    /// The counts that its tests take.
    fn counts(self) -> Vec<(&'static str, String)> {
        let (list, others) = match self {
            Self::Deps => (DEPS_COUNTS, "OOCANA_"),
            Self::Flows => (COUNTS, "OVMLAYER_"),
            Self::Rootfs | Self::Layers => (COUNTS, "OOCANA_"),
        };
        let own = list.iter().filter(|(name, _)| !name.starts_with(others));
        own.map(|(name, count)| (*name, env::var(name).unwrap_or_else(|_| (*count).to_owned()))).collect()
    }
}

/// Runs one part, or all, and writes `docs/soak.md`, also when some tests fail: the page then says so.
pub(crate) fn run(part: Option<Part>) -> Result<(), Error> {
    step("packages the tests need", needs::for_tests)?;
    step("Node.js executor", node::build)?;
    step("Python executor", executors::provide)?;
    let parts = part.map_or_else(|| Part::value_variants().to_vec(), |part| vec![part]);
    let failed: Vec<Error> = parts.into_iter().filter_map(|part| run_part(part).err()).collect();
    failed.into_iter().next().map_or(Ok(()), Err)
}

fn run_part(part: Part) -> Result<(), Error> {
    let start = Instant::now();
    report::line(&format!("\n== soak: {}", part.heading()));
    let mut command = cargo(&["test", "--locked", "--no-fail-fast"]);
    command.args(part.packages()).args(["--", "--nocapture"]);
    command.envs(part.counts());
    let (status, lines) = watch(command)?;
    let body = section(part, &lines, status, &seconds(start.elapsed()));
    let path = root().join("docs/soak.md");
    let title = "# Soak\n\nWritten by `cargo xtask soak`: the long checks in their full counts.\n";
    write_section(&path, title, part.heading(), &body)?;
    report::line(&format!("\nwrote {} with {} results", path.display(), lines.len()));
    if status.success() {
        return Ok(());
    }
    Err(Error::Step { step: "soak".to_owned(), reason: format!("the tests ended with {status}") })
}

/// Runs a command, shows its output and keeps the results in it.
fn watch(mut command: Command) -> Result<(ExitStatus, Vec<(String, String)>), Error> {
    let (reader, writer) = std::io::pipe().map_err(Error::io("make a pipe"))?;
    command.stdout(writer.try_clone().map_err(Error::io("share a pipe"))?).stderr(writer);
    let mut child = command.spawn().map_err(Error::io("start cargo"))?;
    // The command holds the writing ends; the output ends when they are gone.
    drop(command);
    let mut results = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(Error::io("read what the tests print"))?;
        let line = String::from_utf8_lossy(&line);
        report::line(&line);
        results.extend(result(&line));
    }
    let status = child.wait().map_err(Error::io("wait for cargo"))?;
    Ok((status, results))
}

/// The result in a line, which may have something of another test before it.
fn result(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once("soak: ")?;
    let (name, value) = rest.split_once(": ")?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

fn section(part: Part, results: &[(String, String)], status: ExitStatus, time: &str) -> String {
    let mut page = machine::facts(&[]);
    page.push_str(&format!("- time: {time}\n"));
    page.push_str(&format!(
        "- outcome: {}\n",
        if status.success() { "all tests passed" } else { "SOME TESTS FAILED" }
    ));
    let counts: Vec<String> = part.counts().iter().map(|(name, count)| format!("`{name}={count}`")).collect();
    page.push_str(&format!("- counts: {}\n\n| check | result |\n| --- | --- |\n", counts.join(" ")));
    for (name, value) in results {
        page.push_str(&format!("| {} | {} |\n", name.replace('|', "\\|"), value.replace('|', "\\|")));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::result;

    #[test]
    fn results_are_found_in_lines() {
        let found = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        let cases = [
            ("a line of its own", "soak: apt sets: 300 of 300 equal", found("apt sets", "300 of 300 equal")),
            ("after the name of a test", "test kills ... soak: kills: 50", found("kills", "50")),
            ("a value with a colon", "soak: seed: 1: 2", found("seed", "1: 2")),
            ("no value", "soak: nothing", None),
            ("another line", "running 3 tests", None),
        ];
        for (summary, line, expected) in cases {
            assert_eq!(result(line), expected, "{summary}");
        }
    }
}
