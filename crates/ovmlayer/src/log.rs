//! The log that `OVMLAYER_LOG` names by absolute path.
//!
//! Several programs append to it at once: every line is one write, with the time and the process in front. A log that
//! cannot be opened or written is no error. Nothing of an environment or of a command's arguments is written to it: both
//! may hold secrets.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

static LOG: OnceLock<File> = OnceLock::new();

/// Opens the log that a value of `OVMLAYER_LOG` names.
pub(crate) fn open(path: Option<&OsStr>) {
    let Some(path) = path.map(Path::new).filter(|path| path.is_absolute()) else { return };
    if let Ok(file) = File::options().append(true).create(true).open(path) {
        let _ = LOG.set(file);
    }
}

/// Appends to the log; `false` when there is none.
pub(crate) fn line(text: &str) -> bool {
    let Some(mut log) = LOG.get() else { return false };
    let now = jiff::Timestamp::now();
    let line = format!("{now:.3} {} {}\n", std::process::id(), one_line(text));
    log.write_all(line.as_bytes()).is_ok()
}

/// Line breaks and other control characters as escapes.
fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }.into_bytes()).map(char::from).collect()
}
