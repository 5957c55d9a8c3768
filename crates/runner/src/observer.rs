//! Who is told what happens during a run.

use std::time::Duration;

/// Something that happened. Places are node ids from the outermost flow inwards, joined by `/`.
#[derive(Debug, Clone)]
pub enum Happening<'h> {
    /// The session has begun.
    Started {
        /// Its id.
        session: &'h str,
        /// How many nodes the flow has; 0 for a task.
        nodes: usize,
    },
    /// Something is not as its author meant.
    Warning(&'h str),
    /// A node has begun a job.
    NodeStarted {
        /// Where.
        place: &'h str,
    },
    /// A node has ended a job.
    NodeFinished {
        /// Where.
        place: &'h str,
        /// What went wrong.
        error: Option<&'h str>,
        /// How long it took.
        time: Duration,
    },
    /// A node says how far it is.
    Progress {
        /// Where.
        place: &'h str,
        /// In percent.
        percent: f64,
    },
    /// A node says that something is wrong, and goes on.
    Complaint {
        /// Where.
        place: &'h str,
        /// What.
        text: &'h str,
    },
    /// A block wrote a line.
    Log {
        /// Where.
        place: &'h str,
        /// `stdout` or `stderr`.
        stdio: &'h str,
        /// The line.
        text: &'h str,
    },
    /// A report, as a line of JSON.
    Report(&'h str),
    /// A line of the log.
    LogLine(&'h str),
}

/// Who is told.
pub trait Observer {
    /// Takes note of something.
    fn happened(&mut self, happening: &Happening<'_>);
}
