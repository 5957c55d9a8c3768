//! Nodes and the edges between them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::manifest::{Connection, Executor, FlowManifest, NodeKind, NodeManifest, Source, TaskSource};
use crate::reference::Reference;
use crate::{Handle, Handles, Place, Search, runtime_handle};

use super::{Input, InputSource, Loader, Node, NodeBlock, Target, Task};

/// Joins the nodes of one flow.
pub(super) struct Wiring<'l, 'm> {
    loader: &'l mut Loader,
    path: &'m Path,
    manifest: &'m FlowManifest,
}

/// What comes of it.
pub(super) struct Wired {
    pub(super) nodes: Vec<Node>,
    pub(super) from_inputs: HashMap<String, Vec<Target>>,
}

/// A block and the handles that a node has by it.
struct Found {
    block: NodeBlock,
    inputs: Handles,
    outputs: Option<Handles>,
    /// Connections of hidden inputs.
    hidden: Vec<Connection>,
}

impl<'l, 'm> Wiring<'l, 'm> {
    pub(super) fn new(loader: &'l mut Loader, path: &'m Path, manifest: &'m FlowManifest) -> Self {
        Self { loader, path, manifest }
    }

    pub(super) fn nodes(mut self) -> Wired {
        let mut nodes: Vec<Node> = Vec::new();
        let mut connections: Vec<Vec<Connection>> = Vec::new();
        for node in self.manifest.nodes.iter().filter(|node| !node.ignore) {
            let Some(found) = self.block(node) else { continue };
            connections.push(node.inputs_from.iter().cloned().chain(found.hidden).collect());
            nodes.push(new_node(node, found.block, found.inputs, found.outputs));
        }
        let numbers: HashMap<String, usize> =
            nodes.iter().enumerate().map(|(number, node)| (node.id.clone(), number)).collect();
        let mut wired = Wired { nodes, from_inputs: HashMap::new() };
        for (number, connections) in connections.iter().enumerate() {
            self.inputs(&mut wired, &numbers, number, connections);
        }
        self.outputs(&mut wired, &numbers);
        wired
    }

    /// The block of a node.
    fn block(&mut self, node: &NodeManifest) -> Option<Found> {
        match &node.kind {
            NodeKind::Task(source) => self.task(node, source),
            NodeKind::Subflow { reference, slots, place } => {
                let path = self.loader.find(reference, Search::Subflow, self.path, place)?;
                let base = self.loader.load_flow(&path)?;
                let filled = self.loader.fill_slots(base, slots, self.path);
                let head = self.loader.head(filled.flow);
                let package = Reference::parse(reference).package().map(str::to_owned);
                let hidden = slots.iter().flat_map(|provider| {
                    let rename = |connection: &Connection| Connection {
                        handle: runtime_handle(&provider.slot, &connection.handle),
                        ..connection.clone()
                    };
                    provider.inputs_from.iter().map(rename)
                });
                Some(Found {
                    block: NodeBlock::Flow { flow: filled.flow, slots: filled.slots, package },
                    inputs: head.inputs.clone(),
                    outputs: Some(head.outputs.clone()),
                    hidden: hidden.collect(),
                })
            }
            NodeKind::Slot { inputs, outputs } => {
                Some(Found::plain(NodeBlock::Slot, inputs.clone(), Some(outputs.clone())))
            }
            NodeKind::Service { reference, place } => self.service(reference, place),
            NodeKind::Condition(condition) => {
                let outputs = condition.handles().map(|name| Handle::named(name, &node.place)).collect();
                let block = NodeBlock::Condition(condition.clone());
                Some(Found::plain(block, node.inputs.clone(), Some(outputs)))
            }
            NodeKind::Values(_) => None,
        }
    }

    fn task(&mut self, node: &NodeManifest, source: &TaskSource) -> Option<Found> {
        let (task, inline) = match source {
            TaskSource::Reference { text, place } => {
                let path = self.loader.find(text, Search::Task, self.path, place)?;
                let package = Reference::parse(text).package().map(str::to_owned);
                (self.loader.task(&path, package)?, false)
            }
            TaskSource::Inline(manifest) => {
                let dir = self.path.parent().unwrap_or(Path::new("/")).to_owned();
                (Arc::new(Task::of(manifest, dir)), true)
            }
        };
        let mut inputs = task.inputs.clone().unwrap_or_default();
        if task.additional_inputs {
            add(&mut inputs, &node.inputs);
        }
        let mut outputs = task.outputs.clone();
        if let Some(outputs) = outputs.as_mut().filter(|_| task.additional_outputs) {
            add(outputs, &node.outputs);
        }
        Some(Found::plain(NodeBlock::Task { task, inline }, inputs, outputs))
    }

    fn service(&mut self, reference: &str, place: &Place) -> Option<Found> {
        let Some((service, block)) = reference.rsplit_once("::").filter(|(service, _)| !service.is_empty())
        else {
            let message = format!("`{reference}` names no block; `PACKAGE::SERVICE::BLOCK` was expected");
            self.loader.notes.error(place, message);
            return None;
        };
        let path = self.loader.find(service, Search::Service, self.path, place)?;
        let package = Reference::parse(service).package().map(str::to_owned);
        let found = self.loader.service(&path, block, package, place)?;
        let (inputs, outputs) = (found.inputs.clone().unwrap_or_default(), found.outputs.clone());
        Some(Found::plain(NodeBlock::Service(found), inputs, outputs))
    }

    /// Connects the inputs of a node.
    fn inputs(
        &mut self,
        wired: &mut Wired,
        numbers: &HashMap<String, usize>,
        number: usize,
        connections: &[Connection],
    ) {
        for connection in connections {
            let node = &wired.nodes[number];
            let Some(input) = node.inputs.iter().position(|input| input.handle.name == connection.handle)
            else {
                let message = format!("the block of node `{}` has no input `{}`", node.id, connection.handle);
                self.loader.notes.mistake(&connection.place, message);
                continue;
            };
            let (sources, constant) = self.sources(wired, numbers, connection);
            for source in &sources {
                let target = Target::Node { node: number, input };
                match source {
                    InputSource::Node(from, handle) => {
                        wired.nodes[*from].targets.entry(handle.clone()).or_default().push(target);
                        if connection.for_cache {
                            mark_for_cache(&mut wired.nodes[*from], handle);
                        }
                    }
                    InputSource::Flow(handle) => {
                        wired.from_inputs.entry(handle.clone()).or_default().push(target);
                    }
                }
            }
            let node = &mut wired.nodes[number];
            if !connection.secrets.is_empty() {
                node.secrets.insert(connection.handle.clone(), Value::Array(connection.secrets.clone()));
            }
            let input = &mut node.inputs[input];
            input.handle.for_cache |= connection.for_cache;
            input.constant = if sources.is_empty() { constant } else { None };
            input.sources = sources;
        }
    }

    /// The sources of a connection that run, and its constant.
    fn sources(
        &mut self,
        wired: &Wired,
        numbers: &HashMap<String, usize>,
        connection: &Connection,
    ) -> (Vec<InputSource>, Option<Value>) {
        let mut constant = connection.value.clone();
        let mut sources = Vec::new();
        for source in &connection.sources {
            match source {
                Source::Node { node, handle, place } => match self.value_node(node) {
                    Some(values) => match values.iter().find(|value| value.name == *handle) {
                        Some(value) if connection.sources.len() == 1 => {
                            constant = value.value.clone().or(constant);
                        }
                        Some(_) => {}
                        None => {
                            let message = format!("the values of node `{node}` have no `{handle}`");
                            self.loader.notes.mistake(place, message);
                        }
                    },
                    None => {
                        if let Some(number) = self.source_node(wired, numbers, node, handle, place) {
                            sources.push(InputSource::Node(number, handle.clone()));
                        }
                    }
                },
                Source::Flow { handle, place } => {
                    if self.manifest.inputs.iter().any(|input| input.name == *handle) {
                        sources.push(InputSource::Flow(handle.clone()));
                    } else {
                        let message = format!("this flow has no input `{handle}`; add it to `inputs_def`");
                        self.loader.notes.mistake(place, message);
                    }
                }
            }
        }
        (sources, constant)
    }

    /// The number of a node that values come from; a mistake when there is none, or it has no such output.
    fn source_node(
        &mut self,
        wired: &Wired,
        numbers: &HashMap<String, usize>,
        id: &str,
        handle: &str,
        place: &Place,
    ) -> Option<usize> {
        let Some(number) = numbers.get(id) else {
            // One that is ignored, or whose own mistake has been told, is not another mistake.
            if self.manifest.nodes.iter().all(|node| node.id != id) {
                self.loader.notes.mistake(place, format!("there is no node `{id}` in this flow"));
            }
            return None;
        };
        let node = &wired.nodes[*number];
        let known =
            node.outputs.as_ref().is_some_and(|outputs| outputs.iter().any(|output| output.name == *handle));
        if !known && !emits_undeclared(&node.block, handle) {
            let message = format!("node `{id}` has no output `{handle}`{}", known_outputs(node));
            self.loader.notes.mistake(place, message);
        }
        Some(*number)
    }

    fn value_node(&self, id: &str) -> Option<&'m Handles> {
        let node = self.manifest.nodes.iter().find(|node| node.id == id && !node.ignore)?;
        match &node.kind {
            NodeKind::Values(values) => Some(values),
            _ => None,
        }
    }

    /// Connects the outputs of the flow.
    fn outputs(&mut self, wired: &mut Wired, numbers: &HashMap<String, usize>) {
        for connection in &self.manifest.outputs_from {
            if self.manifest.outputs.iter().all(|output| output.name != connection.handle) {
                let message =
                    format!("this flow has no output `{}`; add it to `outputs_def`", connection.handle);
                self.loader.notes.mistake(&connection.place, message);
            }
            let target = Target::Output(connection.handle.clone());
            for source in &connection.sources {
                match source {
                    Source::Node { node, handle, place } if self.value_node(node).is_none() => {
                        let Some(number) = self.source_node(wired, numbers, node, handle, place) else {
                            continue;
                        };
                        wired.nodes[number].targets.entry(handle.clone()).or_default().push(target.clone());
                    }
                    Source::Node { node, place, .. } => {
                        let message =
                            format!("node `{node}` holds values and never runs, so nothing comes from it");
                        self.loader.notes.mistake(place, message);
                    }
                    Source::Flow { handle, place } => {
                        if self.manifest.inputs.iter().any(|input| input.name == *handle) {
                            wired.from_inputs.entry(handle.clone()).or_default().push(target.clone());
                        } else {
                            self.loader.notes.mistake(place, format!("this flow has no input `{handle}`"));
                        }
                    }
                }
            }
        }
    }
}

impl Found {
    fn plain(block: NodeBlock, inputs: Handles, outputs: Option<Handles>) -> Self {
        Self { block, inputs, outputs, hidden: Vec::new() }
    }
}

fn new_node(node: &NodeManifest, block: NodeBlock, inputs: Handles, outputs: Option<Handles>) -> Node {
    let unconnected = |handle| Input { handle, constant: None, sources: Vec::new(), remembers: false };
    Node {
        id: node.id.clone(),
        description: node.description.clone(),
        weight: if matches!(block, NodeBlock::Condition(_)) { 0.0 } else { node.weight },
        block,
        inputs: inputs.into_iter().map(unconnected).collect(),
        outputs,
        targets: HashMap::new(),
        concurrency: node.concurrency,
        timeout: node.timeout,
        inject_node: node.inject_node.clone(),
        inject_package: node.inject_package.clone(),
        secrets: Map::new(),
        place: node.place.clone(),
    }
}

/// Adds the handles of a node to those of its block, which win.
fn add(handles: &mut Handles, more: &[Handle]) {
    for handle in more {
        if handles.iter().all(|known| known.name != handle.name) {
            handles.push(Handle { is_additional: true, ..handle.clone() });
        }
    }
}

fn mark_for_cache(node: &mut Node, handle: &str) {
    let outputs = node.outputs.iter_mut().flatten();
    for output in outputs.filter(|output| output.name == handle) {
        output.for_cache = true;
    }
}

/// Whether a block has an output that it need not declare: a shell has its two.
fn emits_undeclared(block: &NodeBlock, handle: &str) -> bool {
    let is_shell = matches!(block, NodeBlock::Task { task, .. } if task.executor == Executor::Shell);
    is_shell && matches!(handle, "stdout" | "stderr")
}

fn known_outputs(node: &Node) -> String {
    let names: Vec<String> =
        node.outputs.iter().flatten().map(|output| format!("`{}`", output.name)).collect();
    if names.is_empty() { "; it has none".to_owned() } else { format!("; it has {}", names.join(", ")) }
}
