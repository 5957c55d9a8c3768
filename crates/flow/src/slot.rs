//! What fills the slots of a subflow.

use std::sync::Arc;

use crate::{FlowId, Task};

/// What runs in the place of a slot node.
#[derive(Debug, Clone)]
pub struct SlotProvider {
    /// The block.
    pub block: ProviderBlock,
    /// The package that the reference names, when it is another one.
    pub package: Option<String>,
}

/// The block that fills a slot.
#[derive(Debug, Clone)]
pub enum ProviderBlock {
    /// A task.
    Task(Arc<Task>),
    /// A subflow or a slotflow.
    Flow(FlowId),
}

/// The hidden input of a subflow node through which a further input `handle` of what fills the slot `slot` comes.
#[must_use]
pub fn runtime_handle(slot: &str, handle: &str) -> String {
    format!("runtime::{slot}-{handle}")
}
