//! The one place that writes to stdout and stderr.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

/// Writes a line of results to stdout. A reader that has gone away is not an error.
pub(crate) fn result(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes a line about what happens to stderr.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes an error and its causes to stderr.
pub(crate) fn error(error: &dyn Error) {
    let mut text = format!("{} {error}", label("error:", "31"));
    let mut shown = error.to_string();
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
    note(&text);
}

/// Writes a warning to stderr.
pub(crate) fn warning(message: &str) {
    note(&format!("{} {message}", label("warning:", "33")));
}

/// `word` in colour, where colour is wanted (<https://no-color.org>).
fn label(word: &str, colour: &str) -> String {
    let plain =
        std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || !io::stderr().is_terminal();
    if plain { word.to_owned() } else { format!("\u{1b}[1;{colour}m{word}\u{1b}[0m") }
}
