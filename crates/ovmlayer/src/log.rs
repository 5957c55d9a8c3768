//! The log that `OVMLAYER_LOG` names by absolute path.
//!
//! Several programs append to it at once: every line is one write, with the time and the process in front. A log that
//! cannot be opened or written is no error. Nothing of an environment or of a command's arguments is written to it: both
//! may hold secrets.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

static LOG: OnceLock<File> = OnceLock::new();

/// Opens the log that a value of `OVMLAYER_LOG` names.
pub(crate) fn open(path: Option<&OsStr>) {
    let Some(path) = path.map(Path::new).filter(|path| path.is_absolute()) else { return };
    let mut options = File::options();
    // A pipe that nobody reads must not keep us waiting.
    options.append(true).create(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    if let Ok(file) = options.open(path) {
        let _ = LOG.set(file);
    }
}

/// Appends to the log; `false` when there is none.
pub(crate) fn line(text: &str) -> bool {
    let Some(mut log) = LOG.get() else { return false };
    let now = jiff::Timestamp::now();
    let mut line = format!("{now:.3} {} ", std::process::id());
    for character in text.chars() {
        // One line, whatever a name holds.
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    log.write_all(line.as_bytes()).is_ok()
}
