//! The one place that writes to stdout, stderr and the log.
//!
//! Results go to stdout and nothing else does. What happens goes to the log when there is one, else to stderr; errors go
//! to both, because callers show stderr when something has failed.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt as _;

use crate::log;

/// Writes a line of results to stdout. A reader that has gone away is not an error.
pub(crate) fn result(line: impl AsRef<OsStr>) {
    let mut out = io::stdout().lock();
    let line = [line.as_ref().as_bytes(), b"\n"].concat();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// Writes lines of results to stdout at once.
pub(crate) fn results<S: AsRef<OsStr>>(lines: impl IntoIterator<Item = S>) {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(line.as_ref().as_bytes());
        text.push(b'\n');
    }
    let mut out = io::stdout().lock();
    let _ = out.write_all(&text).and_then(|()| out.flush());
}

/// Writes a value to stdout as JSON.
pub(crate) fn json(value: &serde_json::Value) {
    result(format!("{value:#}"));
}

/// Tells what happens.
pub(crate) fn note(line: &str) {
    if !log::line(line) {
        stderr(line);
    }
}

/// Tells of something the user may want to change.
pub(crate) fn warning(message: &str) {
    if !log::line(&format!("warning: {message}")) {
        stderr(&format!("{} {message}", label("warning:", "33")));
    }
}

/// Writes an error and its causes to stderr.
pub(crate) fn error(error: &dyn Error) {
    let text = chain(error);
    log::line(&format!("error: {text}"));
    stderr(&format!("{} {text}", label("error:", "31")));
}

/// Writes what the parser of the command line has to say, in colour where that is wanted.
pub(crate) fn usage(error: &clap::Error) {
    if error.use_stderr() {
        log::line(&format!("error: wrong usage: {}", error.kind()));
    }
    let _ = error.print();
}

/// An error and its causes, a line for each.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut shown = text.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Some libraries repeat their cause in their own message.
        if !shown.contains(&message) {
            text.push_str(&format!("\n  because {message}"));
        }
        shown = message;
        cause = error.source();
    }
    text
}

fn stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// `word` in colour, where colour is wanted (<https://no-color.org>).
fn label(word: &str, colour: &str) -> String {
    let plain =
        std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || !io::stderr().is_terminal();
    if plain { word.to_owned() } else { format!("\u{1b}[1;{colour}m{word}\u{1b}[0m") }
}
