//! Executor processes: when they are ready, and which jobs are handed to them when.
//!
//! A job is handed over in steps: the executor is told to run it, says that it waits for the inputs, gets them, and no longer
//! wants the messages of that topic. The published Python executor waits for inputs in a busy loop that keeps its other
//! threads from working, so it is handed one job at a time; once a job has its inputs, the next one may come, and they run
//! side by side. What is said to it twice does no harm.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::Payload;
use crate::mqtt::Bus;
use crate::process::{Ending, Process, ProcessId};

/// How long an executor may take to start.
pub(crate) const BOOT: Duration = Duration::from_secs(60);

/// When a job that the executor has not taken is handed over again.
pub(crate) const AGAIN: Duration = Duration::from_secs(3);

/// How often that is tried. An executor that takes no job for so long hangs, or a block keeps it from everything else.
pub(crate) const ATTEMPTS: u32 = 100;

/// How many lines of an executor's output are kept for the case that it dies.
const KEPT_LINES: usize = 20;

/// An executor process, by its kind and identifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExecutorKey {
    pub(crate) name: String,
    pub(crate) identifier: String,
}

/// A running executor process.
#[derive(Debug)]
pub(crate) struct ExecutorProcess {
    pub(crate) process: Process,
    pub(crate) id: ProcessId,
    ready: bool,
    /// Whether the layers that it runs in are still being made.
    preparing: bool,
    /// How many of its outputs may still bring something.
    pub(crate) open: u8,
    /// How it has ended.
    pub(crate) ending: Option<Ending>,
    /// Jobs that are to be handed over, with what it is told.
    waiting: VecDeque<(Arc<str>, Payload)>,
    /// Jobs that are being handed over, with the same, to say it again.
    handing: HashMap<Arc<str>, Payload>,
    /// All jobs that it has.
    pub(crate) jobs: HashSet<Arc<str>>,
    /// The service that it is for, when it is for one.
    service: Option<ServiceState>,
    last_lines: VecDeque<String>,
}

/// What is known of a service.
#[derive(Debug)]
struct ServiceState {
    hash: String,
    /// Whether the service itself runs; until then the executor is told to start it.
    running: bool,
}

impl ExecutorProcess {
    pub(crate) fn new(process: Process, id: ProcessId, service: Option<String>) -> Self {
        Self {
            process,
            id,
            ready: false,
            preparing: false,
            open: 2,
            ending: None,
            waiting: VecDeque::new(),
            handing: HashMap::new(),
            jobs: HashSet::new(),
            service: service.map(|hash| ServiceState { hash, running: false }),
            last_lines: VecDeque::new(),
        }
    }

    /// The same, in layers that are made first.
    pub(crate) fn preparing(mut self) -> Self {
        self.preparing = true;
        self
    }

    pub(crate) const fn is_preparing(&self) -> bool {
        self.preparing
    }

    /// Its layers are made; it starts now.
    pub(crate) fn prepared(&mut self) {
        self.preparing = false;
    }

    pub(crate) const fn is_ready(&self) -> bool {
        self.ready
    }

    pub(crate) fn keep_line(&mut self, line: &str) {
        if self.last_lines.len() == KEPT_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(crate::log::cut(line));
    }

    /// How it has ended, once all that it wrote has come.
    pub(crate) fn done(&self) -> Option<Ending> {
        self.ending.clone().filter(|_| self.open == 0)
    }

    /// What it wrote last.
    pub(crate) fn last_lines(&self) -> String {
        self.last_lines.iter().map(|line| format!("\n  {line}")).collect()
    }
}

/// Messages that have to be sent, by topic.
pub(crate) type Outgoing = Vec<(String, Arc<str>, Payload)>;

/// All executor processes of a run.
#[derive(Debug, Default)]
pub(crate) struct Executors {
    by_key: HashMap<ExecutorKey, ExecutorProcess>,
    by_process: HashMap<ProcessId, ExecutorKey>,
}

impl Executors {
    pub(crate) fn contains(&self, key: &ExecutorKey) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: ExecutorKey, executor: ExecutorProcess) {
        self.by_process.insert(executor.id, key.clone());
        self.by_key.insert(key, executor);
    }

    pub(crate) fn get_mut(&mut self, key: &ExecutorKey) -> Option<&mut ExecutorProcess> {
        self.by_key.get_mut(key)
    }

    pub(crate) fn key_of(&self, id: ProcessId) -> Option<&ExecutorKey> {
        self.by_process.get(&id)
    }

    pub(crate) fn of_process(&mut self, id: ProcessId) -> Option<&mut ExecutorProcess> {
        self.by_key.get_mut(self.by_process.get(&id)?)
    }

    /// Takes an executor out that has ended.
    pub(crate) fn remove(&mut self, id: ProcessId) -> Option<(ExecutorKey, ExecutorProcess)> {
        let key = self.by_process.remove(&id)?;
        let executor = self.by_key.remove(&key)?;
        Some((key, executor))
    }

    pub(crate) fn drain(&mut self) -> Vec<ExecutorProcess> {
        self.by_process.clear();
        self.by_key.drain().map(|(_, executor)| executor).collect()
    }

    pub(crate) fn supervisors(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_key.values().map(|executor| executor.process.supervisor)
    }

    /// The executor that a client of the broker is: executors have their identifier in their id.
    pub(crate) fn of_client(&self, client: &str) -> Option<ExecutorKey> {
        let is_of = |key: &&ExecutorKey| client.starts_with(&key.name) && client.contains(&key.identifier);
        self.by_key.keys().find(is_of).cloned()
    }

    pub(crate) fn is_service(&self, key: &ExecutorKey) -> bool {
        self.by_key.get(key).is_some_and(|executor| executor.service.is_some())
    }

    pub(crate) fn set_ready(&mut self, key: &ExecutorKey) {
        if let Some(executor) = self.by_key.get_mut(key) {
            executor.ready = true;
        }
    }

    /// Puts a job before an executor.
    pub(crate) fn enqueue(&mut self, key: &ExecutorKey, job: Arc<str>, text: Payload) {
        if let Some(executor) = self.by_key.get_mut(key) {
            executor.jobs.insert(Arc::clone(&job));
            executor.waiting.push_back((job, text));
        }
    }

    /// The next jobs that an executor can be told to run.
    pub(crate) fn next(&mut self, key: &ExecutorKey, session: &str, bus: &dyn Bus) -> Outgoing {
        let Some(executor) = self.by_key.get_mut(key).filter(|executor| executor.ready) else {
            return Vec::new();
        };
        // Node.js waits for inputs without keeping others from working.
        let window = if key.name == "nodejs" && executor.service.is_none() { 64 } else { 1 };
        let mut outgoing = Vec::new();
        while executor.handing.len() < window {
            let Some((job, text)) = executor.waiting.pop_front() else { break };
            let topic = topic(key, executor.service.as_ref(), session, bus);
            executor.handing.insert(Arc::clone(&job), text.clone());
            outgoing.push((topic, job, text));
        }
        outgoing
    }

    /// What is to be said again, when a job is still being handed over.
    pub(crate) fn again(
        &self,
        key: &ExecutorKey,
        job: &str,
        session: &str,
        bus: &dyn Bus,
    ) -> Option<(String, Payload)> {
        let executor = self.by_key.get(key)?;
        // Services know no job twice.
        let text = executor.handing.get(job).filter(|_| executor.service.is_none())?;
        Some((topic(key, None, session, bus), text.clone()))
    }

    /// A job has its inputs.
    pub(crate) fn handed_over(&mut self, key: &ExecutorKey, job: &str) {
        if let Some(executor) = self.by_key.get_mut(key) {
            executor.handing.remove(job);
        }
    }

    /// A job waits for its inputs, so what runs it does run.
    pub(crate) fn answered(&mut self, key: &ExecutorKey) {
        if let Some(service) = self.by_key.get_mut(key).and_then(|executor| executor.service.as_mut()) {
            service.running = true;
        }
    }

    /// A job has ended, or nobody wants it any more.
    pub(crate) fn forget(&mut self, key: &ExecutorKey, job: &str) {
        if let Some(executor) = self.by_key.get_mut(key) {
            executor.jobs.remove(job);
            executor.handing.remove(job);
            executor.waiting.retain(|(other, _)| &**other != job);
        }
    }

    /// The service of this hash has ended; gives the executor that had it and the jobs that were in it.
    pub(crate) fn service_ended(&mut self, hash: &str) -> Option<(ExecutorKey, Vec<Arc<str>>)> {
        let (key, executor) = self.by_key.iter_mut().find(|(_, executor)| {
            executor.service.as_ref().is_some_and(|service| service.running && service.hash == hash)
        })?;
        if let Some(service) = &mut executor.service {
            service.running = false;
        }
        executor.handing.clear();
        let waiting: HashSet<&Arc<str>> = executor.waiting.iter().map(|(job, _)| job).collect();
        let lost = executor.jobs.iter().filter(|job| !waiting.contains(job)).cloned().collect();
        Some((key.clone(), lost))
    }
}

/// Where an executor, or a service that runs already, is told to run a job.
fn topic(key: &ExecutorKey, service: Option<&ServiceState>, session: &str, bus: &dyn Bus) -> String {
    let Some(service) = service else { return format!("executor/{}/run_block", key.name) };
    if !service.running {
        return format!("executor/{}/run_service_block", key.name);
    }
    // The published Python service listens on the topic of services that outlive a session, whatever it is.
    let global = format!("service/{}/{}/action/run", key.name, service.hash);
    let own = format!("/{session}/service/{}/{}/action/run", key.name, service.hash);
    if bus.has_subscriber(&global) { global } else { own }
}
