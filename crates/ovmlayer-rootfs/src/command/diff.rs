//! `diff`: what has changed from one tree or image to another.

use std::cmp::Ordering;
use std::error::Error;
use std::process::ExitCode;

use image::difference::{Change, Difference, FileChange, PackageChange, versions};
use image::inventory::{Digests, Ecosystem};
use indicatif::BinaryBytes;

use super::look::Look;
use crate::cli::{Cli, Diff};
use crate::printer;

/// The exit status for trouble, as of `diff(1)`: 1 says that there are differences.
const TROUBLE: u8 = 2;

pub(crate) fn run(cli: &Cli, diff: &Diff) -> ExitCode {
    match compare(cli, diff) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            printer::error(&*error);
            ExitCode::from(TROUBLE)
        }
    }
}

/// Prints the differences; returns whether there are none.
fn compare(cli: &Cli, diff: &Diff) -> Result<bool, Box<dyn Error>> {
    let how = (&diff.choice, &diff.registries, &diff.network);
    let look = Look::new(cli, how, &[&diff.before, &diff.after], Digests::Sha256)?;
    let (before, after) = (look.at(&diff.before)?, look.at(&diff.after)?);
    let mut difference = Difference::between(&before.inventory, &after.inventory, &order);
    if let (Some((was, _)), Some((is, _))) = (&before.origin.image, &after.origin.image) {
        difference = difference.with_config(&was.config.config, &is.config.config);
    }
    if cli.json {
        printer::result(&serde_json::to_string_pretty(&difference)?);
    } else {
        print(&difference);
    }
    Ok(difference.is_empty())
}

/// Which version is later.
fn order(ecosystem: Ecosystem, a: &str, b: &str) -> Option<Ordering> {
    match ecosystem {
        Ecosystem::Debian => Some(archive::version::compare(a, b)),
        Ecosystem::Python => versions::python(a, b),
        Ecosystem::Npm => versions::npm(a, b),
    }
}

fn print(difference: &Difference) {
    let packages = difference.packages.iter().map(package_line);
    let config = difference.config.iter().map(|change| {
        format!("{} config {}: {} -> {}", mark(Change::Changed), change.field, change.from, change.to)
    });
    let files = difference.files.iter().map(file_line);
    for line in packages.chain(config).chain(files) {
        // Names and values of a configuration may hold anything.
        let line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        printer::result(&line);
    }
}

fn package_line(change: &PackageChange) -> String {
    let architecture = change.architecture.as_ref().map(|name| format!(":{name}")).unwrap_or_default();
    let versions = match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (from, to) => from.as_ref().or(to.as_ref()).cloned().unwrap_or_default(),
    };
    let word = match change.change {
        Change::Downgraded => " (earlier)",
        _ => "",
    };
    format!("{} {} {}{architecture} {versions}{word}", mark(change.change), change.ecosystem, change.name)
}

fn file_line(change: &FileChange) -> String {
    let size = match (change.from_bytes, change.to_bytes) {
        (Some(from), Some(to)) if from != to => format!(", {} -> {}", BinaryBytes(from), BinaryBytes(to)),
        (Some(one), None) | (None, Some(one)) => format!(", {}", BinaryBytes(one)),
        _ => String::new(),
    };
    let what = if change.what.is_empty() { change.kind.to_owned() } else { change.what.join(", ") };
    format!("{} file {} ({what}{size})", mark(change.change), change.path)
}

/// As `diff` marks its lines.
const fn mark(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Upgraded | Change::Downgraded | Change::Changed => '~',
    }
}
