//! The one place that prints.

use std::io::Write;

/// Writes a line to standard error, where the output of the steps goes too, so that the order is kept.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stderr().lock();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
