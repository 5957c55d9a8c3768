//! What workers did, with which outcome, and when.

use std::sync::atomic::{AtomicU64, Ordering};

use super::register::Span;

/// Ticks that are shared by all workers: one for each begin and each end.
#[derive(Debug)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    pub(crate) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// The span of what is done here.
    pub(crate) fn during<T>(&self, action: impl FnOnce() -> T) -> (Span, T) {
        let begin = self.tick();
        let result = action();
        (Span { begin, end: self.tick() }, result)
    }
}

/// What was asked for. A tag is a file that is written once, under a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Create {
        layer: String,
    },
    Delete {
        layer: String,
    },
    /// A file copied into a layer.
    Tag {
        layer: String,
        tag: String,
    },
    /// Layers from an archive, each with the tags that it then has.
    Import {
        layers: Vec<String>,
        tags: Vec<String>,
    },
    Export {
        layers: Vec<String>,
    },
    Move {
        layer: String,
    },
    Merge {
        point: String,
        layers: Vec<String>,
    },
    Unmerge {
        point: String,
    },
    /// A command that writes a tag and lists all. For a worker's own merge point the layers are known.
    Run {
        point: String,
        layers: Vec<String>,
        tag: String,
        seen: Vec<String>,
    },
    /// A file copied into a merge point.
    TagPoint {
        point: String,
        layers: Vec<String>,
        tag: String,
    },
    /// The tags that a layer had at some instant.
    Read {
        layer: String,
        tags: Vec<String>,
    },
    ListLayers {
        found: Vec<String>,
    },
    ListUsed {
        found: Vec<String>,
    },
    ListPoints {
        found: Vec<String>,
    },
}

/// Why something was refused, as far as a model can judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is no such layer.
    NoLayer,
    /// There is a layer of this name already.
    LayerExists,
    /// There is no such merge point.
    NoPoint,
    /// There is a merge point of this name already.
    PointExists,
    /// A merge point uses the layer.
    Used,
    /// Something that is not a merge point of this store holds the layer: a mount that has not gone yet.
    Busy,
    /// The layer lies in the external store, where it cannot be written to.
    External,
    /// The layer changed while it was read.
    Changed,
    /// The same layer is given twice.
    Twice,
    /// None of these.
    Other,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused(Reason, String),
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) worker: usize,
    pub(crate) span: Span,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
}

impl Operation {
    pub(crate) fn done(&self) -> bool {
        self.outcome == Outcome::Done
    }
}
