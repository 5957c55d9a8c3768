//! What blocks ask of the runner (section 3.7 of the contract).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flow::{Block, Flow, Handle, Handles, InputSource, Target};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use crate::http_jobs::Work;
use crate::report::{Field, Subject};
use crate::stack::Stack;
use crate::wire::definitions;
use crate::{Payload, Value};

use super::Engine;
use super::start::{FlowPlan, TaskPlan};
use super::state::{JobId, Parent, Start, Timer, Values};

/// When an answer is said again, first and last.
const FIRST_REPEAT: Duration = Duration::from_millis(20);
const LAST_REPEAT: Duration = Duration::from_secs(6);

/// A request to run a block whose asker does not listen yet.
#[derive(Debug)]
pub(super) struct Held {
    job: JobId,
    request: Json,
    payload: Bytes,
}

impl Engine<'_> {
    pub(super) fn request(&mut self, job: &str, id: &str, request: &Json, payload: &Bytes) {
        let Some(block) = self.blocks.get(job) else { return };
        let (job, subject) = (Arc::clone(&block.subject.job), block.subject.clone());
        let topic = self.answer_topic(id);
        let text = |name: &str| request.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let result = match text("action").as_str() {
            "Preview" => {
                self.preview(&job, &subject, request.get("payload").unwrap_or(&Json::Null));
                return;
            }
            "RunBlock" => {
                // The published SDK listens only after it has asked, and would wait for ever for what it missed.
                if !self.setup.bus.has_subscriber(&topic) {
                    self.held.insert(topic, Held { job, request: request.clone(), payload: payload.clone() });
                } else {
                    self.run_requested(&job, request, payload);
                }
                return;
            }
            "QueryBlock" => self.query_block(&job, &text("block")),
            "QueryDownstream" => Ok(self.query_downstream(&job, request)),
            "QueryAuth" => match self.query_secret(&job, id, &text("payload"), topic) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            "UpdateNodeWeight" => {
                self.update_weight(&job, &text("node_id"), request.get("weight").and_then(Json::as_f64));
                Ok(json!({}))
            }
            other => Err(format!("this runner does not know the request `{other}`")),
        };
        self.reply(&job, id, result);
    }

    fn answer_topic(&self, id: &str) -> String {
        format!("session/{}/request/{id}/response", self.setup.places.session)
    }

    /// Somebody listens for an answer: now it can be made.
    pub(super) fn asker_listens(&mut self, topic: &str) {
        if let Some(held) = self.held.remove(topic) {
            self.run_requested(&held.job, &held.request, &held.payload);
        }
    }

    fn reply_body(&self, job: &str, id: &str) -> Map<String, Json> {
        let mut body = Map::new();
        body.insert("session_id".to_owned(), json!(&*self.setup.places.session));
        body.insert("job_id".to_owned(), json!(job));
        body.insert("request_id".to_owned(), json!(id));
        body
    }

    fn answer_to(&self, job: &str, id: &str, error: String) -> Json {
        let mut body = self.reply_body(job, id);
        body.insert("error".to_owned(), error.into());
        Json::Object(body)
    }

    fn reply(&mut self, job: &str, id: &str, result: Result<Json, String>) {
        let mut body = self.reply_body(job, id);
        match result {
            Ok(result) => body.insert("result".to_owned(), result),
            Err(error) => body.insert("error".to_owned(), error.into()),
        };
        let topic = self.answer_topic(id);
        self.reply_to(&topic, &Json::Object(body));
    }

    pub(super) fn reply_to(&mut self, topic: &str, body: &Json) {
        if let Err(error) = self.setup.bus.answer(topic, Payload::of(body)) {
            self.warn(&format!("an answer to a block cannot be sent: {error}"));
        }
    }

    /// The flow that a job runs in, as it is defined.
    fn definition_of(&self, job: &JobId) -> Option<Arc<Flow>> {
        let flow = Self::flow_of(&self.blocks.get(job)?.parent)?;
        Some(Arc::clone(&self.flows.get(flow)?.flow))
    }

    fn find_block(&mut self, job: &JobId, reference: &str) -> Result<Block, String> {
        let flow =
            self.definition_of(job).ok_or("this block runs in no flow, so there is nothing to look from")?;
        self.setup.loader.block_in(&flow, reference).map_err(|problems| problems.to_string())
    }

    fn query_block(&mut self, job: &JobId, reference: &str) -> Result<Json, String> {
        let mut answer = Map::new();
        let mut put = |key: &str, value: Json| {
            answer.insert(key.to_owned(), value);
        };
        match self.find_block(job, reference)? {
            Block::Task(task) => {
                put("type", json!("task"));
                put("description", json!(task.description));
                put("inputs_def", definitions(task.inputs.as_deref(), true));
                put("outputs_def", definitions(task.outputs.as_deref(), false));
                put("additional_inputs", json!(task.additional_inputs));
                put("additional_outputs", json!(task.additional_outputs));
            }
            Block::Flow(id) => {
                let flow = self.setup.loader.flow(id);
                let some = |handles: &Handles| (!handles.is_empty()).then(|| handles.clone());
                put("type", json!("subflow"));
                put("description", json!(flow.description));
                put("inputs_def", definitions(some(&flow.inputs).as_deref(), true));
                put("outputs_def", definitions(some(&flow.outputs).as_deref(), false));
                let has_slot = flow.nodes.iter().any(|node| matches!(node.block, flow::NodeBlock::Slot));
                put("has_slot", json!(has_slot));
            }
            Block::Service(_) => return Err(format!("`{reference}` is a service")),
        }
        Ok(Json::Object(answer))
    }

    /// Where the outputs of a block go.
    fn query_downstream(&self, job: &JobId, request: &Json) -> Json {
        let Some(Parent::Node { node, .. }) = self.blocks.get(job).map(|block| &block.parent) else {
            return json!({});
        };
        let Some(flow) = self.definition_of(job) else { return json!({}) };
        let wanted = ["handles", "outputs"].iter().find_map(|key| request.get(*key)?.as_array());
        let is_wanted = |handle: &str| wanted.is_none_or(|wanted| wanted.iter().any(|name| name == handle));
        let targets = flow.nodes[*node].targets.iter().filter(|(handle, _)| is_wanted(handle));
        let answer = targets.map(|(handle, targets)| (handle.clone(), downstream(&flow, targets)));
        Json::Object(answer.collect())
    }

    fn query_secret(&mut self, job: &JobId, id: &str, secret: &str, topic: String) -> Result<(), String> {
        let options = self.setup.options;
        let Some(base) = options.vault_url.clone().filter(|_| options.token.is_some()) else {
            return Err("Vault client is not available.".to_owned());
        };
        let reply = self.reply_body(job, id);
        let work = Work::Secret { base, id: secret.to_owned(), topic, reply };
        let token = options.token.clone();
        let running = crate::http_jobs::start(job.to_string(), work, token, self.setup.sender.clone());
        self.questions.push(running.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn update_weight(&mut self, job: &JobId, node: &str, weight: Option<f64>) {
        let Some(flow) = self.blocks.get(job).and_then(|block| Self::flow_of(&block.parent)) else { return };
        let Some(flow) = self.flows.get_mut(flow) else { return };
        if let (Some(node), Some(weight)) = (flow.flow.node(node), weight) {
            flow.nodes[node].weight = weight.max(0.0);
        }
    }

    /// A preview is that of the block, and of the subflows that pass it on.
    fn preview(&mut self, job: &JobId, subject: &Subject, preview: &Json) {
        self.report("BlockPreview", subject, &[("payload", Field::Json(preview.clone()))]);
        let mut parent = self.blocks.get(job).map(|block| block.parent.clone());
        while let Some(Parent::Node { flow, node }) = parent {
            let Some(flow) = self.flows.get(&flow) else { return };
            let id = flow.flow.nodes[node].id.clone();
            if !flow.flow.forward_previews.contains(&id) {
                return;
            }
            let (subject, next) = (flow.subject.clone(), flow.parent.clone());
            let fields = [("payload", Field::Json(preview.clone())), ("node_id", Field::Text(&id))];
            self.report("BlockPreview", &subject, &fields);
            parent = Some(next);
        }
    }

    /// Runs a block for another one.
    fn run_requested(&mut self, job: &JobId, request: &Json, payload: &Bytes) {
        let id = request.get("request_id").and_then(Json::as_str).unwrap_or_default();
        if let Err(error) = self.try_requested(job, request, payload) {
            let (topic, body) = (self.answer_topic(id), self.answer_to(job, id, error));
            self.reply_to(&topic, &body);
            self.repeat(topic, body, FIRST_REPEAT);
        }
    }

    /// Says an answer again later: the published SDK asks for the messages of an answer before it notes who waits for it.
    fn repeat(&mut self, topic: String, body: Json, pause: Duration) {
        if pause <= LAST_REPEAT {
            self.set_timer(pause, Timer::Repeat(topic, body, pause));
        }
    }

    /// An answer is said again, unless nobody waits for it any more.
    pub(super) fn repeat_due(&mut self, topic: String, body: Json, pause: Duration) {
        if !self.setup.bus.has_subscriber(&topic) {
            return;
        }
        self.reply_to(&topic, &body);
        self.repeat(topic, body, pause * 4);
    }

    fn try_requested(&mut self, job: &JobId, request: &Json, payload: &Bytes) -> Result<(), String> {
        let text = |name: &str| request.get(name).and_then(Json::as_str);
        let reference = text("block").ok_or("the request names no `block`")?;
        let block_job: JobId = text("block_job_id").ok_or("the request has no `block_job_id`")?.into();
        let block = self.find_block(job, reference)?;
        let (handles, outputs) = self.requested_handles(&block, request.get("payload"));
        let is_strict = request.get("strict") == Some(&Json::Bool(true));
        let inputs = requested_inputs(&handles, payload, is_strict)?;
        let Some(caller) = self.blocks.get(job) else { return Ok(()) };
        let flow = Self::flow_of(&caller.parent).cloned();
        let (scope, stack) = (caller.scope.clone(), caller.subject.stack.clone());
        let definition = flow.as_ref().and_then(|flow| self.flows.get_mut(flow));
        let path = definition.map(|job| {
            job.children.insert(Arc::clone(&block_job));
            job.flow.path.clone()
        });
        let flow_job = flow.clone().unwrap_or_else(|| Arc::clone(job));
        let stack: Stack =
            stack.push(&flow_job, &path.unwrap_or_default(), &format!("run_block::{reference}"));
        let package = flow::Reference::parse(reference).package().map(str::to_owned);
        let start = Start {
            job: block_job,
            parent: Parent::Request { flow },
            stack,
            inputs,
            scope,
            is_requested: true,
        };
        match block {
            Block::Task(task) => {
                let manifest = task.path.clone().unwrap_or_else(|| task.dir.clone());
                let scope =
                    package.map_or_else(|| start.scope.clone(), |name| self.package_scope(&name, &manifest));
                let plan = TaskPlan {
                    task,
                    handles,
                    outputs,
                    secrets: Map::new(),
                    apart: None,
                    timeout: None,
                    injection: None,
                };
                self.start_task(Start { scope, ..start }, &plan);
            }
            Block::Flow(id) => {
                let inner = self.setup.loader.flow(id);
                let scope = package
                    .map_or_else(|| start.scope.clone(), |name| self.package_scope(&name, &inner.path));
                self.start_flow(Start { scope, ..start }, inner, FlowPlan::default());
            }
            Block::Service(_) => return Err(format!("`{reference}` is a service")),
        }
        Ok(())
    }

    /// The handles of a block, with those that the request adds.
    fn requested_handles(&self, block: &Block, payload: Option<&Json>) -> (Handles, Option<Handles>) {
        let more = |key: &str| -> Handles {
            let list =
                payload.and_then(|payload| payload.get(key)?.as_array()).map_or(&[][..], Vec::as_slice);
            list.iter().filter_map(Handle::from_json).collect()
        };
        let join = |own: Handles, more: Handles| -> Handles {
            let new = more.into_iter().filter(|handle| own.iter().all(|known| known.name != handle.name));
            own.iter().cloned().chain(new.collect::<Vec<_>>()).collect()
        };
        match block {
            Block::Task(task) => {
                let inputs = join(task.inputs.clone().unwrap_or_default(), more("additional_inputs_def"));
                (inputs, task.outputs.clone().map(|outputs| join(outputs, more("additional_outputs_def"))))
            }
            Block::Flow(id) => (self.setup.loader.flow(*id).inputs.clone(), None),
            Block::Service(_) => (Vec::new(), None),
        }
    }
}

/// The inputs of a requested block: what was given, else defaults; an error when something is missing or not allowed.
fn requested_inputs(handles: &[Handle], payload: &Bytes, is_strict: bool) -> Result<Values, String> {
    #[derive(Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        payload: Inputs<'a>,
    }
    #[derive(Deserialize)]
    struct Inputs<'a> {
        #[serde(borrow, default)]
        inputs: Option<&'a RawValue>,
    }
    let request: Request<'_> =
        serde_json::from_slice(payload).map_err(|error| format!("the request has no payload: {error}"))?;
    let given = crate::message::values(payload, request.payload.inputs);
    let mut values = Vec::new();
    let mut missing = Vec::new();
    for handle in handles {
        let own = given.iter().find(|(name, _)| *name == handle.name).map(|(_, value)| value.clone());
        match own.or_else(|| handle.value.as_ref().map(Value::of)) {
            Some(value) => {
                if let Some(schema) = handle.schema.as_ref().filter(|_| is_strict) {
                    let is_null = handle.nullable == Some(true) && value.parse().is_null();
                    if !is_null {
                        crate::schema::check(&value.parse(), schema)
                            .map_err(|why| format!("input `{}` {why}", handle.name))?;
                    }
                }
                values.push((handle.name.clone(), value));
            }
            None => missing.push(format!("`{}`", handle.name)),
        }
    }
    if missing.is_empty() {
        Ok(values)
    } else {
        Err(format!("these inputs are missing: {}", missing.join(", ")))
    }
}

fn downstream(flow: &Flow, targets: &[Target]) -> Json {
    let (mut to_node, mut to_flow) = (Vec::new(), Vec::new());
    for target in targets {
        match target {
            Target::Node { node, input } => {
                let (node, input) = (&flow.nodes[*node], &flow.nodes[*node].inputs[*input]);
                debug_assert!(input.sources.iter().any(|source| matches!(source, InputSource::Node(..))));
                to_node.push(json!({
                    "node_id": node.id, "description": node.description, "input_handle": input.handle.name,
                    "input_handle_def": input.handle.to_json(true),
                }));
            }
            Target::Output(name) => {
                let definition = flow.outputs.iter().find(|handle| handle.name == *name);
                let definition = definition.map(|handle| handle.to_json(false));
                to_flow.push(json!({ "output_handle": name, "output_handle_def": definition }));
            }
        }
    }
    json!({ "to_node": to_node, "to_flow": to_flow })
}
