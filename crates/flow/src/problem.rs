//! Mistakes in manifests, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where in a file something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The file as a whole.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { file: path.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 { write!(f, ":{}:{}", self.line, self.column) } else { Ok(()) }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The flow cannot run at all.
    Error,
    /// It runs, but not as its author meant.
    Mistake,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong and what was expected instead.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Problem {
    /// Something that keeps a flow from running.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), severity: Severity::Error }
    }

    /// Something that a flow runs with all the same.
    pub fn mistake(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), severity: Severity::Mistake }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Why something could not be loaded: at least one [`Severity::Error`].
#[derive(Debug, Clone, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// A single problem with a file as a whole.
    pub fn of_file(path: &Path, message: impl Into<String>) -> Self {
        Self(vec![Problem::error(Place::file(path), message)])
    }

    /// The files that have problems.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.0.iter().map(|problem| problem.place.file.to_path_buf())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
