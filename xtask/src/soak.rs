//! `cargo xtask soak`: the same tests with full counts, and a page with what they found.
//!
//! A test takes its count from the environment and prints `soak: NAME: VALUE` for each result worth keeping.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use crate::step::{cargo, root, seconds, step};
use crate::{Error, machine, needs, report};

/// Counts that `cargo xtask test` leaves at small samples.
const COUNTS: &[(&str, &str)] = &[
    ("OVMLAYER_APT_SETS", "300"),
    ("OVMLAYER_KILLS", "50"),
    ("OVMLAYER_FUZZ_ROUNDS", "1000000"),
    ("PROPTEST_CASES", "4096"),
];

/// Runs the tests and writes `docs/soak.md`, also when some fail: the page then says so.
pub(crate) fn run() -> Result<(), Error> {
    step("packages the tests need", needs::for_tests)?;
    let start = Instant::now();
    report::line("\n== soak");
    let mut command = cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--", "--nocapture"]);
    command.envs(COUNTS.iter().copied());
    let (status, lines) = watch(command)?;
    let page = page(&lines, status, &seconds(start.elapsed()));
    let path = root().join("docs/soak.md");
    fs::write(&path, page).map_err(Error::io(format!("write {}", path.display())))?;
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

fn page(results: &[(String, String)], status: ExitStatus, time: &str) -> String {
    let mut page =
        String::from("# Soak\n\nWritten by `cargo xtask soak`: the long checks in their full counts.\n\n");
    page.push_str(&machine::facts(&[]));
    page.push_str(&format!("- time: {time}\n"));
    page.push_str(&format!(
        "- outcome: {}\n",
        if status.success() { "all tests passed" } else { "SOME TESTS FAILED" }
    ));
    let counts: Vec<String> = COUNTS.iter().map(|(name, count)| format!("`{name}={count}`")).collect();
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
