//! The log of a session: what happened, with payloads cut and their sizes kept.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// How much of a text is kept in one line.
const MAX_TEXT: usize = 600;

/// How large a log may become, in bytes.
const MAX_LOG: u64 = 64 << 20;

/// A log file; one that cannot be written is no error.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<File>,
    written: u64,
    /// Whether lines go to standard output too.
    verbose: bool,
}

impl Log {
    /// Opens the log in the folder of a session.
    pub(crate) fn open(folder: &Path, verbose: bool) -> Self {
        let _ = fs::create_dir_all(folder);
        let file = File::options().append(true).create(true).open(folder.join("oocana.log")).ok();
        Self { file, written: 0, verbose }
    }

    /// Whether lines are to be printed as well.
    pub(crate) const fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Appends a line; gives it back as it was written.
    pub(crate) fn line(&mut self, text: &str) -> String {
        let line = format!("{:.3} {}\n", jiff::Timestamp::now(), cut(text));
        if self.written < MAX_LOG {
            self.written += line.len() as u64;
            if let Some(file) = &mut self.file {
                let _ = file.write_all(line.as_bytes());
            }
        }
        line
    }
}

/// The beginning of a text, in one line, with the size of what is left out.
pub(crate) fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut short: String = text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() {
        short.push_str(&format!("… ({} bytes)", text.len()));
    }
    short
}
