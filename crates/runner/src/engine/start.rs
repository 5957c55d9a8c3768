//! Jobs begin.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow::{
    Executor, Flow, Handle, Handles, Metadata, NodeBlock, ProviderBlock, ServiceUse, SlotProvider, Task,
    package_root,
};
use serde_json::{Map, Value as Json};

use crate::executor::ExecutorKey;
use crate::http_jobs::Work;
use crate::report::{Field, Subject, flow_reports, now};
use crate::scope::{Scope, digits};
use crate::wire::{self, JobText};

use super::Engine;
use super::launch::Waiting;
use super::layer::Injection;
use super::state::{BlockJob, Failure, FlowJob, JobId, NodeState, Parent, Run, Start, Timer, Values};

/// How deep flows may lie in one another.
const MAX_DEPTH: usize = 50;

/// What a task is started with.
#[derive(Debug)]
pub(super) struct TaskPlan {
    pub(super) task: Arc<Task>,
    pub(super) handles: Handles,
    pub(super) outputs: Option<Handles>,
    /// Parts of inputs that are secrets.
    pub(super) secrets: Map<String, Json>,
    /// The node whose process it runs in, when that is not the one that all share.
    pub(super) apart: Option<String>,
    /// How long it may take, in seconds.
    pub(super) timeout: Option<u64>,
    /// What is put into the layers that it runs in.
    pub(super) injection: Option<Injection>,
}

/// What a flow is started with.
#[derive(Debug, Default)]
pub(super) struct FlowPlan {
    pub(super) selection: Option<BTreeSet<usize>>,
    pub(super) slots: Arc<HashMap<String, SlotProvider>>,
    /// The scope of who fills the slots; that of the flow itself when nobody does.
    pub(super) slot_scope: Option<Scope>,
}

impl Engine<'_> {
    /// Starts what a node runs.
    pub(super) fn start_node(&mut self, start: Start, flow: &JobId, number: usize) {
        let Some(job) = self.flows.get(flow) else { return };
        let (definition, slots) = (Arc::clone(&job.flow), Arc::clone(&job.slots));
        let slot_scope = job.slot_scope.clone();
        let node = &definition.nodes[number];
        let handles: Handles = node.inputs.iter().map(|input| input.handle.clone()).collect();
        match &node.block {
            NodeBlock::Task { task, inline } => {
                let spawns =
                    matches!(&task.executor, Executor::Process { options, .. } if options.spawn && *inline);
                let apart = node.inject_node.clone().or_else(|| spawns.then(|| node.id.clone()));
                let plan = TaskPlan {
                    task: Arc::clone(task),
                    handles,
                    outputs: node.outputs.clone(),
                    secrets: node.secrets.clone(),
                    apart,
                    timeout: node.timeout,
                    injection: None,
                };
                match self.injected(&start.scope, &definition, node, plan) {
                    Ok((scope, plan)) => self.start_task(Start { scope, ..start }, &plan),
                    Err(error) => self.refuse(start, &error),
                }
            }
            NodeBlock::Flow { flow: inner, slots, package } => {
                let inner = self.setup.loader.flow(*inner);
                let scope = package
                    .as_ref()
                    .map_or_else(|| start.scope.clone(), |name| self.package_scope(name, &inner.path));
                let plan = FlowPlan {
                    slots: Arc::clone(slots),
                    slot_scope: Some(start.scope.clone()),
                    selection: None,
                };
                self.start_flow(Start { scope, ..start }, inner, plan);
            }
            NodeBlock::Service(service) => self.start_service(&start, service, &handles, node.timeout),
            NodeBlock::Slot => match slots.get(&node.id) {
                Some(provider) => self.start_provider(start, provider, slot_scope, node),
                None => {
                    let error =
                        format!("the slot `{}` is empty: whoever uses this subflow has to fill it", node.id);
                    self.refuse(start, &error);
                }
            },
            // Decided where it fires.
            NodeBlock::Condition(_) => {}
        }
    }

    fn start_provider(&mut self, start: Start, provider: &SlotProvider, scope: Scope, node: &flow::Node) {
        match &provider.block {
            ProviderBlock::Task(task) => {
                let path = task.path.clone().unwrap_or_else(|| task.dir.clone());
                let scope = provider.package.as_ref().map_or(scope, |name| self.package_scope(name, &path));
                let plan = TaskPlan {
                    task: Arc::clone(task),
                    handles: task.inputs.clone().unwrap_or_default(),
                    outputs: task.outputs.clone(),
                    secrets: Map::new(),
                    apart: None,
                    timeout: node.timeout,
                    injection: None,
                };
                self.start_task(Start { scope, ..start }, &plan);
            }
            ProviderBlock::Flow(inner) => {
                let inner = self.setup.loader.flow(*inner);
                let scope =
                    provider.package.as_ref().map_or(scope, |name| self.package_scope(name, &inner.path));
                self.start_flow(Start { scope, ..start }, inner, FlowPlan::default());
            }
        }
    }

    /// The scope of a package that a manifest belongs to.
    pub(super) fn package_scope(&self, name: &str, manifest: &Path) -> Scope {
        let path = package_root(manifest).unwrap_or(manifest).to_owned();
        let data_dir = self.setup.options.pkg_data_root.join(name);
        Scope { path, data_dir }.redirected(self.setup.options)
    }

    /// Starts a flow.
    pub(super) fn start_flow(&mut self, start: Start, flow: Arc<Flow>, plan: FlowPlan) {
        if start.stack.depth() > MAX_DEPTH {
            let error = format!("flows lie in one another more than {MAX_DEPTH} deep");
            self.refuse(start, &error);
            return;
        }
        let subject = Subject {
            job: Arc::clone(&start.job),
            stack: start.stack,
            path: Some(flow.path.as_path().into()),
            flow: Some(flow.kind),
            is_requested: start.is_requested,
        };
        let fields = [("inputs", Field::Values(&start.inputs)), ("create_at", now())];
        self.report(flow_reports(flow.kind)[0], &subject, &fields);
        let nodes = flow.nodes.iter().map(|node| NodeState::new(&node.inputs, node.weight)).collect();
        let job = FlowJob {
            subject,
            parent: start.parent,
            slot_scope: plan.slot_scope.unwrap_or_else(|| start.scope.clone()),
            scope: start.scope,
            slots: plan.slots,
            nodes,
            children: HashSet::new(),
            // Held until all that can begin has begun.
            pending: 1,
            given: start.inputs.iter().map(|(name, _)| name.clone()).collect(),
            selection: plan.selection,
            flow,
            percent: 0.0,
            started: Instant::now(),
        };
        self.flows.insert(Arc::clone(&start.job), job);
        self.begin_nodes(&start.job, start.inputs);
        if let Some(job) = self.flows.get_mut(&start.job) {
            job.pending -= 1;
        }
        self.check_end(&start.job);
    }

    /// Fires what needs nothing, then gives the inputs of the flow to those that want them.
    fn begin_nodes(&mut self, id: &JobId, inputs: Values) {
        if self.root.as_ref() == Some(id) {
            self.preload(id);
        }
        let Some(job) = self.flows.get(id) else { return };
        let flow = Arc::clone(&job.flow);
        for (number, node) in flow.nodes.iter().enumerate() {
            let Some(job) = self.flows.get(id) else { return };
            let is_selected = job.selection.as_ref().is_none_or(|selection| selection.contains(&number));
            let is_constant = node.inputs.iter().all(|input| input.constant.is_some());
            if is_selected && is_constant && node.concurrency != Some(0) {
                let values = node.inputs.iter().filter_map(|input| {
                    Some((input.handle.name.clone(), crate::Value::of(input.constant.as_ref()?)))
                });
                self.fire(id, number, values.collect());
            } else if is_selected {
                self.fire_ready(id, number);
            }
        }
        for (name, value) in inputs {
            for target in flow.from_inputs.get(&name).into_iter().flatten() {
                let Some(job) = self.flows.get_mut(id) else { return };
                job.pending += 1;
                let (flow, target) = (Arc::clone(id), target.clone());
                self.queue.push_back(super::Delivery { flow, target, value: value.clone() });
            }
        }
    }

    /// A job that cannot even begin.
    pub(super) fn refuse(&mut self, start: Start, error: &str) {
        let failure = Failure {
            place: start.stack.place().to_owned(),
            error: error.to_owned(),
            lines: vec![error.to_owned()],
        };
        let subject = Subject {
            job: Arc::clone(&start.job),
            stack: start.stack,
            path: None,
            flow: None,
            is_requested: start.is_requested,
        };
        self.report("BlockFinished", &subject, &[("error", Field::Text(error)), ("finish_at", now())]);
        self.ended(&start.parent, &subject, Instant::now(), Some(failure));
    }

    /// Notes that a block runs and says so.
    fn register(&mut self, start: &Start, path: Option<&Path>) -> Subject {
        let subject = Subject {
            job: Arc::clone(&start.job),
            stack: start.stack.clone(),
            path: path.map(Into::into),
            flow: None,
            is_requested: start.is_requested,
        };
        let fields = [("inputs", Field::Values(&start.inputs)), ("create_at", now())];
        self.report("BlockStarted", &subject, &fields);
        let job = BlockJob {
            subject: subject.clone(),
            parent: start.parent.clone(),
            run: Run::Waiting,
            scope: start.scope.clone(),
            complaint: None,
            started: Instant::now(),
        };
        self.blocks.insert(Arc::clone(&start.job), job);
        subject
    }

    /// Starts a task.
    pub(super) fn start_task(&mut self, start: Start, plan: &TaskPlan) {
        let subject = self.register(&start, plan.task.path.as_deref());
        if let Some(seconds) = plan.timeout {
            self.set_timer(Duration::from_secs(seconds), Timer::TimeOut(Arc::clone(&start.job), seconds));
        }
        let root = plan.task.path.as_deref().and_then(package_root);
        let metadata = root.map(|root| Metadata::read(self.setup.loader.files(), root)).unwrap_or_default();
        if metadata.hide_source {
            self.start_remote(&start, plan, metadata);
            return;
        }
        match &plan.task.executor {
            Executor::Process { name, options } => {
                let identifier = start.scope.identifier(&self.setup.places.session, plan.apart.as_deref());
                let text = JobText {
                    session: &self.setup.places.session,
                    job: &start.job,
                    stack: &subject.stack,
                    identifier: &identifier,
                };
                let command = wire::block(&text, &plan.task.dir, name, options, plan.outputs.as_deref());
                let inputs =
                    self.input_message(&start, plan.task.path.as_deref(), &plan.handles, &plan.secrets);
                let key = ExecutorKey { name: name.clone(), identifier };
                self.set_run(&start.job, Run::Executor { key: key.clone(), inputs: Some(inputs) });
                if let Some(injection) = &plan.injection {
                    self.injections.insert(key.clone(), injection.clone());
                }
                self.hand_over(&start.scope, &key, None, &start.job, command);
            }
            Executor::Shell => {
                let waiting =
                    Waiting::Shell { job: start.job, inputs: start.inputs, dir: plan.task.dir.clone() };
                self.start_when_possible(waiting);
            }
            Executor::Program { bin, args } => {
                let inputs =
                    self.input_message(&start, plan.task.path.as_deref(), &plan.handles, &plan.secrets);
                let waiting = Waiting::Program {
                    job: start.job,
                    bin: bin.clone(),
                    args: args.clone(),
                    dir: plan.task.dir.clone(),
                    inputs,
                };
                self.start_when_possible(waiting);
            }
            Executor::Connector { action } => {
                let Some(base) = self.setup.options.connector_url.clone() else {
                    let error = "no connector server is known; say `--connector-base-url` or OOCANA_CONNECTOR_BASE_URL";
                    self.end_block(&start.job, &[], Some(error.to_owned()));
                    return;
                };
                let outputs = plan.outputs.iter().flatten().map(|handle| handle.name.clone()).collect();
                let (action, time) = (action.clone(), plan.timeout);
                let inputs = as_map(&start.inputs);
                self.ask_server(&start.job, Work::Connector { base, action, inputs, outputs, time });
            }
        }
    }

    /// A block whose source is not here.
    fn start_remote(&mut self, start: &Start, plan: &TaskPlan, metadata: Metadata) {
        let Some(base) = self.setup.options.remote_url.clone() else {
            let error = "this block has no source here and no server is known; say `--remote-block-url` or OOCANA_REMOTE_BLOCK_URL";
            self.end_block(&start.job, &[], Some(error.to_owned()));
            return;
        };
        let root = plan.task.path.as_deref().and_then(package_root).unwrap_or(&plan.task.dir);
        let manifest = ["package.oo.yaml", "package.oo.yml"].iter().find_map(|name| {
            let path = root.join(name);
            let bytes = self.setup.loader.files().read(&path).ok()?;
            Some(flow::PackageManifest::read(&flow::yaml::parse(&path, &bytes).ok()?))
        });
        let manifest = manifest.unwrap_or_default();
        let folder = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let work = Work::Remote {
            base,
            package: manifest.name.unwrap_or(folder),
            version: manifest.version,
            block: plan.task.name(),
            inputs: as_map(&start.inputs),
            time: metadata.timeout.unwrap_or(self.setup.options.remote_timeout),
        };
        self.ask_server(&start.job, work);
    }

    fn ask_server(&mut self, job: &JobId, work: Work) {
        let token = self.setup.options.token.clone();
        match crate::http_jobs::start(job.to_string(), work, token, self.setup.sender.clone()) {
            Ok(running) => self.set_run(job, Run::Server { _job: running }),
            Err(error) => self.end_block(job, &[], Some(format!("no thread can be started: {error}"))),
        }
    }

    /// Starts a block of a service. A service has an executor process of its own: the published one waits for the end of a
    /// service that it has started and does nothing else meanwhile.
    pub(super) fn start_service(
        &mut self,
        start: &Start,
        service: &Arc<ServiceUse>,
        handles: &[Handle],
        timeout: Option<u64>,
    ) {
        let subject = self.register(start, Some(&service.service.path));
        if let Some(seconds) = timeout {
            self.set_timer(Duration::from_secs(seconds), Timer::TimeOut(Arc::clone(&start.job), seconds));
        }
        let session = Arc::clone(&self.setup.places.session);
        // Services are clients of the broker by this name, so that of another session must have another.
        let hash = digits(&format!("{}\n{session}", service.service.dir.display()), 16);
        let identifier = start.scope.identifier(&session, Some(&hash));
        let executor = &service.service.executor;
        let text =
            JobText { session: &session, job: &start.job, stack: &subject.stack, identifier: &identifier };
        let dir = &service.service.dir;
        let command =
            wire::service_block(&text, dir, &service.block, executor, &hash, service.outputs.as_deref());
        let inputs = self.input_message(start, Some(&service.service.path), handles, &Map::new());
        let key = ExecutorKey { name: executor.name.clone(), identifier };
        self.set_run(&start.job, Run::Executor { key: key.clone(), inputs: Some(inputs) });
        self.hand_over(&start.scope, &key, Some(hash), &start.job, command);
    }

    fn input_message(
        &self,
        start: &Start,
        path: Option<&Path>,
        handles: &[Handle],
        secrets: &Map<String, Json>,
    ) -> crate::Payload {
        wire::inputs(
            &self.setup.places.session,
            &start.job,
            &start.stack,
            path,
            &start.inputs,
            handles,
            secrets,
        )
    }

    pub(super) fn set_run(&mut self, job: &JobId, run: Run) {
        if let Some(block) = self.blocks.get_mut(job) {
            block.run = run;
        }
    }

    /// The flow that a job runs in.
    pub(super) fn flow_of(parent: &Parent) -> Option<&JobId> {
        match parent {
            Parent::Root => None,
            Parent::Node { flow, .. } => Some(flow),
            Parent::Request { flow } => flow.as_ref(),
        }
    }
}

fn as_map(values: &Values) -> Map<String, Json> {
    values.iter().map(|(name, value)| (name.clone(), value.parse())).collect()
}
