//! Where a job is: the flows and nodes that it runs in.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

/// The `stacks` of a job, as they are sent, and its place for people.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// A JSON list of `{flow_job_id, flow, node_id}`.
    json: Arc<str>,
    /// Node ids from the outermost flow inwards, joined by `/`.
    place: Arc<str>,
    depth: usize,
}

impl Stack {
    pub(crate) fn root() -> Self {
        Self { json: "[]".into(), place: "".into(), depth: 0 }
    }

    /// Inside of a node of a flow.
    pub(crate) fn push(&self, flow_job: &str, flow: &Path, node: &str) -> Self {
        let entry = json!({ "flow_job_id": flow_job, "flow": flow, "node_id": node }).to_string();
        let before = self.json.trim_end_matches(']');
        let comma = if before.ends_with('[') { "" } else { "," };
        // Places of blocks that blocks have started are those of their starters, told apart by `run_block::`.
        let place = if self.place.is_empty() { node.to_owned() } else { format!("{}/{node}", self.place) };
        Self { json: format!("{before}{comma}{entry}]").into(), place: place.into(), depth: self.depth + 1 }
    }

    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) const fn depth(&self) -> usize {
        self.depth
    }
}
