//! The one place that writes to stdout and stderr: results to the one, everything else to the other.

use std::io::{self, IsTerminal, Write};

/// Writes a line of results. A reader that has gone away is not an error.
pub(crate) fn result(line: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Writes text to stdout as it is.
pub(crate) fn text(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Tells what happens.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes to stderr without an end of the line, for what is written over again.
pub(crate) fn live(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Tells of something the user may want to change.
pub(crate) fn warning(message: &str) {
    note(&format!("{} {message}", label("warning:", "33")));
}

/// Tells what went wrong.
pub(crate) fn error(message: &str) {
    note(&format!("{} {message}", label("error:", "31")));
}

/// Tells what to do about it.
pub(crate) fn hint(message: &str) {
    note(&format!("{} {message}", label("hint:", "36")));
}

/// `word` in colour, where colour is wanted (<https://no-color.org>).
pub(crate) fn label(word: &str, colour: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || !is_terminal();
    if plain { word.to_owned() } else { format!("\u{1b}[1;{colour}m{word}\u{1b}[0m") }
}

/// Whether somebody watches.
pub(crate) fn is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
