//! The engine: tokens move along the edges of flows, and nodes fire (section 2 of the contract).
//!
//! * `tokens` moves values and fires nodes; `start` starts what they run; `finish` ends it.
//! * `launch` begins and ends processes; `layer` says which executors run in layers.
//! * `dispatch` takes what executors, processes and servers say; `request` answers what blocks ask.
//! * `select` begins with a part of a flow, and with kept values.

mod dispatch;
mod finish;
mod kept;
mod launch;
mod layer;
mod request;
mod select;
mod start;
mod state;
mod tokens;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use flow::{Block, Flow, FlowId, Loader, Target};
use serde_json::Map;

use crate::event::Event;
use crate::executor::{ExecutorKey, Executors};
use crate::http_jobs::HttpJob;
use crate::log::Log;
use crate::mqtt::Bus;
use crate::outcome::NodeCount;
use crate::process::{Launcher, Process, ProcessEvent, ProcessId};
use crate::report::{Field, Reporter, Subject};
use crate::scope::Scope;
use crate::{Error, Happening, Observer, Options, Outcome, StarvedNode, Value};

use state::{BlockJob, Failure, FlowJob, JobId, OwnProcess, Start, Timer};

/// Folders and names of a session.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) session: Arc<str>,
    pub(crate) session_dir: PathBuf,
    pub(crate) temporary_dir: PathBuf,
}

/// A value on its way.
#[derive(Debug)]
struct Delivery {
    flow: JobId,
    target: Target,
    value: Value,
}

/// What the engine is made with.
pub(crate) struct Setup<'s> {
    pub(crate) options: &'s Options,
    pub(crate) places: Places,
    pub(crate) loader: Loader,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) reporter: Reporter,
    pub(crate) launcher: Launcher,
    pub(crate) events: Receiver<Event>,
    pub(crate) sender: Sender<Event>,
    pub(crate) signal: Arc<AtomicI32>,
    pub(crate) log: Log,
    pub(crate) observer: &'s mut dyn Observer,
}

/// All state of a run.
pub(crate) struct Engine<'s> {
    setup: Setup<'s>,
    flows: HashMap<JobId, FlowJob>,
    blocks: HashMap<JobId, BlockJob>,
    queue: VecDeque<Delivery>,
    executors: Executors,
    /// What is put into the layers of executors, by them.
    injections: HashMap<ExecutorKey, layer::Injection>,
    /// Processes that run one job each.
    processes: HashMap<ProcessId, OwnProcess>,
    /// Jobs that wait until fewer processes run.
    waiting: VecDeque<launch::Waiting>,
    timers: BTreeMap<(Instant, u64), Timer>,
    timer_count: u64,
    /// Requests whose askers do not listen for the answer yet, by its topic.
    held: HashMap<String, request::Held>,
    /// Questions that servers have been asked for blocks.
    questions: Vec<HttpJob>,
    kept: kept::Kept,
    root: Option<JobId>,
    /// The flow that is run, as it is run.
    root_flow: Option<Arc<Flow>>,
    result: Option<Result<(), Failure>>,
    starved: BTreeMap<String, String>,
    outcome: Outcome,
}

impl<'s> Engine<'s> {
    pub(crate) fn new(setup: Setup<'s>) -> Self {
        Self {
            setup,
            flows: HashMap::new(),
            blocks: HashMap::new(),
            queue: VecDeque::new(),
            executors: Executors::default(),
            injections: HashMap::new(),
            processes: HashMap::new(),
            waiting: VecDeque::new(),
            timers: BTreeMap::new(),
            timer_count: 0,
            held: HashMap::new(),
            questions: Vec::new(),
            kept: kept::Kept::default(),
            root: None,
            root_flow: None,
            result: None,
            starved: BTreeMap::new(),
            outcome: Outcome::default(),
        }
    }

    /// Runs a block to its end. Processes end with it.
    pub(crate) fn run(mut self, block: Block, scope: Scope) -> Outcome {
        let result = self.begin(block, scope).and_then(|()| self.work());
        self.save_cache();
        if let Err(error) = result {
            self.outcome.error = Some(error);
        }
        let counts = &self.outcome.nodes;
        let never_ran = |place: &str| counts.get(place).is_none_or(|count| count.started == 0);
        let starved = std::mem::take(&mut self.starved).into_iter().filter(|(place, _)| never_ran(place));
        self.outcome.starved = starved.map(|(place, why)| StarvedNode { place, why }).collect();
        let outcome = std::mem::take(&mut self.outcome);
        self.end_session(&outcome);
        outcome
    }

    fn begin(&mut self, block: Block, scope: Scope) -> Result<(), Error> {
        let job: JobId = crate::uuid().into();
        let start = Start {
            job: Arc::clone(&job),
            parent: state::Parent::Root,
            stack: crate::stack::Stack::root(),
            inputs: Vec::new(),
            scope,
            is_requested: false,
        };
        self.root = Some(job);
        match block {
            Block::Flow(flow) => self.begin_flow(start, flow),
            Block::Task(task) => {
                if self.setup.options.nodes.is_some() {
                    return Err(Error::NoNodes(self.setup.options.block.clone()));
                }
                let handles = task.inputs.clone().unwrap_or_default();
                let inputs = self.root_inputs(&handles);
                let outputs = task.outputs.clone();
                let plan = start::TaskPlan {
                    task,
                    handles,
                    outputs,
                    secrets: Map::new(),
                    apart: None,
                    timeout: None,
                    injection: None,
                };
                self.start_task(Start { inputs, ..start }, &plan);
                Ok(())
            }
            Block::Service(service) => {
                let handles = service.inputs.clone().unwrap_or_default();
                let inputs = self.root_inputs(&handles);
                self.start_service(&Start { inputs, ..start }, &service, &handles, None);
                Ok(())
            }
        }
    }

    fn begin_flow(&mut self, start: Start, id: FlowId) -> Result<(), Error> {
        let (flow, selection) = self.select(id)?;
        self.root_flow = Some(Arc::clone(&flow));
        let inputs = self.root_inputs(&flow.inputs);
        self.launch_early(&flow, &start.scope);
        self.start_flow(Start { inputs, ..start }, flow, start::FlowPlan { selection, ..Default::default() });
        Ok(())
    }

    /// The inputs of the block that is run: what was said, else defaults, else `null` where that will do.
    fn root_inputs(&self, handles: &[flow::Handle]) -> state::Values {
        let given = &self.setup.options.inputs;
        let known = handles.iter().filter_map(|handle| {
            let value = given.get(&handle.name).or(handle.value.as_ref())?;
            Some((handle.name.clone(), Value::of(value)))
        });
        known.collect()
    }

    /// Handles whatever happens until the block has ended.
    fn work(&mut self) -> Result<(), Error> {
        loop {
            self.move_tokens();
            let signal = self.setup.signal.load(Ordering::Relaxed);
            if signal != 0 {
                return Err(Error::Cancelled(signal));
            }
            if let Some(result) = self.result.take() {
                return result.map_err(|failure| match failure.place.as_str() {
                    "" => Error::Root(failure.error),
                    _ => Error::Block { place: failure.place, error: failure.error },
                });
            }
            let event = match self.next_time() {
                Some(time) => match self.setup.events.recv_timeout(time) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) => {
                        self.ring();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => continue,
                },
                None => match self.setup.events.recv() {
                    Ok(event) => event,
                    // The engine holds a sender itself.
                    Err(_) => continue,
                },
            };
            self.handle(event)?;
        }
    }

    fn next_time(&self) -> Option<Duration> {
        let ((time, _), _) = self.timers.first_key_value()?;
        Some(time.saturating_duration_since(Instant::now()))
    }

    fn set_timer(&mut self, time: Duration, timer: Timer) {
        // A time that the clock cannot say is for ever.
        if let Some(at) = Instant::now().checked_add(time) {
            self.timer_count += 1;
            self.timers.insert((at, self.timer_count), timer);
        }
    }

    /// Does what is due.
    fn ring(&mut self) {
        let now = Instant::now();
        while self.timers.first_key_value().is_some_and(|((time, _), _)| *time <= now) {
            if let Some((_, timer)) = self.timers.pop_first() {
                self.due(timer);
            }
        }
    }

    /// Publishes a report about a job.
    fn report(&mut self, kind: &str, subject: &Subject, fields: &[(&str, Field<'_>)]) {
        if let Some(text) = self.setup.reporter.job(kind, subject, fields) {
            self.setup.observer.happened(&Happening::Report(&text));
        }
    }

    fn log(&mut self, text: &str) {
        let line = self.setup.log.line(text);
        if self.setup.log.is_verbose() {
            self.setup.observer.happened(&Happening::LogLine(line.trim_end()));
        }
    }

    fn warn(&mut self, text: &str) {
        self.log(&format!("warning: {text}"));
        self.setup.observer.happened(&Happening::Warning(text));
    }

    fn count(&mut self, place: &str) -> &mut NodeCount {
        if !self.outcome.nodes.contains_key(place) {
            self.outcome.nodes.insert(place.to_owned(), NodeCount::default());
        }
        self.outcome.nodes.entry(place.to_owned()).or_default()
    }

    /// Tells all who listen that the session has ended, and ends all processes at once.
    fn end_session(&mut self, outcome: &Outcome) {
        let options = self.setup.options;
        let error = outcome.error.as_ref().map(|error| session_error(error, &options.block));
        let mut fields = vec![
            ("finish_at", crate::report::now()),
            ("path", Field::Text(&options.block)),
            ("partial", Field::Json(options.nodes.is_some().into())),
            ("cache", Field::Json(options.use_cache.into())),
        ];
        if let (Some(message), Some(error)) = (&error, &outcome.error) {
            fields.push(("error", Field::Text(message)));
            fields.push((
                "_error",
                Field::Json(crate::report::error_stack(&[message.clone(), error.to_string()])),
            ));
        }
        if let Some(text) = self.setup.reporter.session("SessionFinished", &fields) {
            self.setup.observer.happened(&Happening::Report(&text));
        }
        self.blocks.clear();
        let executors = self.executors.drain();
        let own = self.processes.values().map(|own| &own.process);
        executors.iter().map(|executor| &executor.process).chain(own).for_each(Process::end);
        drop(executors);
        let subjects: HashMap<ProcessId, Subject> =
            self.processes.drain().map(|(id, own)| (id, own.subject.clone())).collect();
        crate::tree::kill_orphans(&[]);
        // What programs have written until then is shown.
        for event in self.setup.events.try_iter() {
            if let Event::Process(id, ProcessEvent::Line { stdio, text }) = event
                && let Some(subject) = subjects.get(&id)
            {
                let place = subject.stack.place();
                self.setup.observer.happened(&Happening::Log { place, stdio, text: &text });
            }
        }
    }
}

/// The error of a session as user interfaces know it.
fn session_error(error: &Error, block: &str) -> String {
    match error {
        Error::Block { .. } => format!("flow {block} failed."),
        Error::Cancelled(_) => "Cancelled".to_owned(),
        other => other.to_string(),
    }
}
