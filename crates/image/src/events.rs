//! What transfers of images tell about their work.

use crate::Descriptor;

/// How a content came to be where it was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was there already.
    Skipped,
    /// The registry took it from another of its repositories.
    Mounted,
    /// It was sent.
    Sent,
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So much is to be copied.
    Planned {
        /// How many contents, manifests not counted.
        blobs: usize,
        /// How many bytes they have.
        bytes: u64,
    },
    /// Bytes came from a registry; fewer than none when they turned out to be of no use.
    Received {
        /// How many.
        bytes: i64,
    },
    /// Bytes went to where they are wanted.
    Sent {
        /// How many; fewer than none when they have to be sent again.
        bytes: i64,
    },
    /// An attempt failed, and there will be another.
    Retrying {
        /// With what.
        what: &'a str,
        /// Why.
        failure: &'a str,
    },
    /// A content is where it was wanted.
    Finished {
        /// Which.
        blob: &'a Descriptor,
        /// How.
        outcome: Outcome,
    },
}

/// Is told what happens, from many threads; must be quick.
pub trait Events: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Events for Silent {
    fn event(&self, _: &Event<'_>) {}
}
