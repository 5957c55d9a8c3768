//! All that can happen during a run, in one queue.

use crate::mqtt::BusEvent;
use crate::process::{ProcessEvent, ProcessId};

/// Something that the engine has to deal with.
#[derive(Debug)]
pub enum Event {
    /// On the message bus.
    Bus(BusEvent),
    /// To a process of ours.
    Process(ProcessId, ProcessEvent),
    /// A server has answered.
    Answer {
        /// The job that asked, or what asked for it.
        job: String,
        /// What it said.
        outcome: Answer,
    },
    /// Somebody wants us to stop: the number of the signal.
    Signal(i32),
}

/// What a server said.
#[derive(Debug)]
pub enum Answer {
    /// How far it is, in percent.
    Progress(f64),
    /// Lines that a block wrote.
    Log(String),
    /// Values by output handle; the end.
    Outputs(serde_json::Map<String, serde_json::Value>),
    /// The answer to a question of a block: where to send it, and what.
    Reply {
        /// The topic.
        topic: String,
        /// The message.
        body: serde_json::Value,
    },
    /// Why there are none; the end.
    Failed(String),
}
