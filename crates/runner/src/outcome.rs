//! What came of a run.

use std::collections::BTreeMap;

use crate::Value;

/// A run that has ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The id of the session.
    pub session: String,
    /// The last value of each output handle of the block.
    pub outputs: BTreeMap<String, Value>,
    /// How often each node ran, by its place.
    pub nodes: BTreeMap<String, NodeCount>,
    /// Nodes that never ran although no condition kept them from it.
    pub starved: Vec<StarvedNode>,
    /// What failed.
    pub error: Option<Error>,
}

/// How often a node ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCount {
    /// Jobs that were begun.
    pub started: u64,
    /// Jobs that ended well.
    pub succeeded: u64,
}

/// A node that never ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarvedNode {
    /// Its place.
    pub place: String,
    /// Why.
    pub why: String,
}

/// Why a run failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Something could not be loaded.
    #[error("{0}")]
    Load(#[from] flow::Problems),
    /// A block failed.
    #[error("node `{place}` failed: {error}")]
    Block {
        /// The place of its node.
        place: String,
        /// What it said, with its traceback where it has one.
        error: String,
    },
    /// The block itself, which is no flow, failed.
    #[error("the block failed: {0}")]
    Root(String),
    /// Somebody wanted us to stop.
    #[error("cancelled by signal {0}")]
    Cancelled(i32),
    /// There is no broker, or it is gone.
    #[error(
        "the broker {address} is not there: {why}; start it, or leave `--broker` out to use the one built in"
    )]
    Broker {
        /// Its address.
        address: String,
        /// Why.
        why: String,
    },
    /// The system denied something that every run needs.
    #[error("cannot {doing}: {why}")]
    System {
        /// What was tried.
        doing: String,
        /// What the system said.
        why: String,
    },
    /// `--nodes` names nodes that are not there.
    #[error("there is no node {} in the flow; it has {known}", .nodes.iter().map(|node| format!("`{node}`")).collect::<Vec<_>>().join(", "))]
    NoSuchNode {
        /// The names.
        nodes: Vec<String>,
        /// Those that there are.
        known: String,
    },
    /// `--nodes` was said of something that has none.
    #[error("`--nodes` is for flows; {0} is a task")]
    NoNodes(String),
}
