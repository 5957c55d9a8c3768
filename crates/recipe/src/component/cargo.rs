//! Programs built by cargo on this machine, for its own architecture.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Program;
use crate::Error;

/// What cargo is told for every build; the version of every crate is that of the workspace's lock.
pub(super) const ARGUMENTS: &[&str] =
    &["build", "--locked", "--release", "--message-format=json-render-diagnostics", "--package"];

/// Builds the package `name` of the workspace in `folder`; its program has that name too.
pub(super) fn build(folder: &Path, name: &str) -> Result<Program, Error> {
    let failed = |message: String| Error::Component { name: name.to_owned(), message };
    // Of a cargo that runs this program, the same; it needs no PATH.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned());
    let mut command = Command::new(cargo);
    command.args(ARGUMENTS).arg(name).current_dir(folder).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| {
        failed(format!("cannot start cargo ({error}): install Rust, or give a program with `--component`"))
    })?;
    if !output.status.success() {
        return Err(failed(format!("cargo ended with {}", output.status)));
    }
    built(&String::from_utf8_lossy(&output.stdout), name)
        .ok_or_else(|| failed("cargo built no program of that name".to_owned()))
}

/// The program in what cargo says with `--message-format=json`, one object a line
/// (<https://doc.rust-lang.org/cargo/reference/external-tools.html>).
pub(super) fn built(messages: &str, name: &str) -> Option<Program> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        if message["target"]["name"] != name {
            return None;
        }
        let path = PathBuf::from(message["executable"].as_str()?);
        let id = message["package_id"].as_str()?;
        let version = id.rsplit(['@', '#']).next()?.to_owned();
        Some(Program { name: name.to_owned(), path, version })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_what_cargo_says() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/a#ovmlayer-tree@0.1.0","target":{"name":"tree"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/crates/oocana#0.1.0","target":{"name":"oocana"},"executable":"/t/oocana"}"#,
            "\nno JSON\n",
        );
        let program = built(messages, "oocana").expect("a program");
        assert_eq!((program.path, program.version.as_str()), (PathBuf::from("/t/oocana"), "0.1.0"));
        assert!(built(messages, "other").is_none());
    }
}
