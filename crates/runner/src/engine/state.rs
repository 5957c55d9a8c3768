//! What the engine knows of jobs that run.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow::{Flow, Input, SlotProvider};

use crate::executor::ExecutorKey;
use crate::http_jobs::HttpJob;
use crate::process::ProcessId;
use crate::report::Subject;
use crate::scope::Scope;
use crate::shell::Shell;
use crate::{Payload, Value};

/// The id of a job.
pub(crate) type JobId = Arc<str>;

/// Values by input handle.
pub(crate) type Values = Vec<(String, Value)>;

/// What a job was started for, and where its outputs go.
#[derive(Debug, Clone)]
pub(crate) enum Parent {
    /// It is what the run is for.
    Root,
    /// It runs for a node.
    Node { flow: JobId, node: usize },
    /// A block that runs in this flow has asked for it.
    Request { flow: Option<JobId> },
}

/// A flow that runs.
#[derive(Debug)]
pub(crate) struct FlowJob {
    pub(crate) subject: Subject,
    pub(crate) parent: Parent,
    pub(crate) flow: Arc<Flow>,
    pub(crate) scope: Scope,
    /// What fills the slots, and the scope of who has filled them.
    pub(crate) slots: Arc<HashMap<String, SlotProvider>>,
    pub(crate) slot_scope: Scope,
    pub(crate) nodes: Vec<NodeState>,
    /// Jobs that run for it.
    pub(crate) children: HashSet<JobId>,
    /// Values on their way to its nodes, and whatever else keeps it from ending.
    pub(crate) pending: usize,
    /// Input handles that got a value.
    pub(crate) given: HashSet<String>,
    /// The nodes that run, when not all of them do.
    pub(crate) selection: Option<BTreeSet<usize>>,
    pub(crate) percent: f64,
    pub(crate) started: Instant,
}

/// A node of a flow that runs.
#[derive(Debug, Default)]
pub(crate) struct NodeState {
    /// Values that wait, by input.
    pub(crate) queues: Vec<VecDeque<Value>>,
    /// The last value, by input, of those that remember it.
    pub(crate) remembered: Vec<Option<Value>>,
    pub(crate) running: usize,
    pub(crate) runs: u64,
    pub(crate) percent: f64,
    pub(crate) weight: f64,
    /// Output handles that gave a value.
    pub(crate) emitted: HashSet<String>,
}

impl NodeState {
    pub(crate) fn new(inputs: &[Input], weight: f64) -> Self {
        Self {
            queues: vec![VecDeque::new(); inputs.len()],
            remembered: vec![None; inputs.len()],
            weight,
            ..Self::default()
        }
    }

    /// Whether there is a value for each input, and a new one for at least one of them.
    pub(crate) fn is_complete(&self, inputs: &[Input]) -> bool {
        let mut has_new = false;
        let all = inputs.iter().enumerate().all(|(number, input)| {
            let is_new = !self.queues[number].is_empty();
            has_new |= is_new;
            is_new || input.constant.is_some() || self.remembered[number].is_some()
        });
        all && has_new
    }

    /// Takes a value for each input.
    pub(crate) fn take(&mut self, inputs: &[Input]) -> Values {
        let mut values = Vec::with_capacity(inputs.len());
        for (number, input) in inputs.iter().enumerate() {
            let new = self.queues[number].pop_front();
            if let (true, Some(new)) = (input.remembers, &new) {
                self.remembered[number] = Some(new.clone());
            }
            let constant = || input.constant.as_ref().map(Value::of);
            let value = new.or_else(|| self.remembered[number].clone()).or_else(constant);
            values.extend(value.map(|value| (input.handle.name.clone(), value)));
        }
        values
    }
}

/// A block that runs.
#[derive(Debug)]
pub(crate) struct BlockJob {
    pub(crate) subject: Subject,
    pub(crate) parent: Parent,
    pub(crate) run: Run,
    pub(crate) scope: Scope,
    /// What it last said was wrong.
    pub(crate) complaint: Option<String>,
    pub(crate) started: Instant,
}

/// Where a block runs.
#[derive(Debug)]
pub(crate) enum Run {
    /// In an executor process, which still has to get the inputs, or has them.
    Executor { key: ExecutorKey, inputs: Option<Payload> },
    /// In a shell.
    Shell(Shell),
    /// In a program of its own that speaks by messages.
    Program { process: ProcessId, inputs: Option<Payload> },
    /// On a server.
    Server { _job: HttpJob },
    /// Nowhere yet: as many processes run as may.
    Waiting,
}

/// What a process is to the engine.
#[derive(Debug)]
pub(crate) struct OwnProcess {
    /// Whose output it writes, also when the job has ended.
    pub(crate) subject: Subject,
    /// The job that runs in it.
    pub(crate) job: Option<JobId>,
    /// Whether it has ended; what it has left running may still be there.
    pub(crate) ended: bool,
    /// Whether nothing of it is left.
    pub(crate) gone: bool,
    pub(crate) process: crate::process::Process,
}

/// What has to be done at a certain time.
#[derive(Debug, Clone)]
pub(crate) enum Timer {
    /// A job has had its time, in seconds.
    TimeOut(JobId, u64),
    /// An executor has had the time to start.
    Boot(ExecutorKey),
    /// An executor has had the time to take a job; how often that was tried.
    Again(ExecutorKey, JobId, u32),
    /// An answer is to be said again: its topic, the answer, how long ago it was said.
    Repeat(String, serde_json::Value, Duration),
    /// What a shell left open has had the time to close.
    Drain(JobId),
    /// What an executor left open has had the time to close.
    Ended(ProcessId),
}

/// Why a job failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Where.
    pub(crate) place: String,
    /// What the block said.
    pub(crate) error: String,
    /// What failed for it, from the inside outwards.
    pub(crate) lines: Vec<String>,
}

/// A job that is to be started.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) job: JobId,
    pub(crate) parent: Parent,
    pub(crate) stack: crate::stack::Stack,
    pub(crate) inputs: Values,
    pub(crate) scope: Scope,
    pub(crate) is_requested: bool,
}
