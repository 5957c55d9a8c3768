//! Values move, nodes fire (section 2.2 of the contract).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use flow::{NodeBlock, Target};

use crate::message::Destination;
use crate::report::{Field, flow_reports};
use crate::{Happening, Value};

use super::state::{JobId, Parent, Start, Values};
use super::{Delivery, Engine};

impl Engine<'_> {
    /// Delivers all values that are on their way. A circle of conditions may keep it busy for ever, so signals are seen.
    pub(super) fn move_tokens(&mut self) {
        while let Some(delivery) = self.queue.pop_front() {
            if self.setup.signal.load(Ordering::Relaxed) != 0 {
                return;
            }
            self.deliver(delivery);
        }
    }

    /// Sends a value of an output handle of a node to where it goes.
    pub(super) fn emit(
        &mut self,
        flow: &JobId,
        node: usize,
        handle: &str,
        value: &Value,
        to: Option<&Destination>,
    ) {
        let Some(job) = self.flows.get_mut(flow) else { return };
        let definition = Arc::clone(&job.flow);
        if !job.nodes[node].emitted.contains(handle) {
            job.nodes[node].emitted.insert(handle.to_owned());
        }
        for target in definition.nodes[node].targets.get(handle).into_iter().flatten() {
            let is_meant = to.is_none_or(|to| match target {
                Target::Node { node, input } => {
                    let node = &definition.nodes[*node];
                    to.includes_node(&node.id, &node.inputs[*input].handle.name)
                }
                Target::Output(handle) => to.includes_output(handle),
            });
            if is_meant {
                job.pending += 1;
                let delivery =
                    Delivery { flow: Arc::clone(flow), target: target.clone(), value: value.clone() };
                self.queue.push_back(delivery);
            }
        }
    }

    fn deliver(&mut self, Delivery { flow, target, value }: Delivery) {
        let Some(job) = self.flows.get_mut(&flow) else { return };
        job.pending -= 1;
        match target {
            Target::Output(handle) => self.flow_output(&flow, &handle, &value),
            Target::Node { node, input } => {
                let is_selected = job.selection.as_ref().is_none_or(|selection| selection.contains(&node));
                if self.root.as_ref() == Some(&flow) {
                    self.kept.insert(node, input, &value);
                }
                if is_selected {
                    job.nodes[node].queues[input].push_back(value);
                    self.fire_ready(&flow, node);
                }
            }
        }
        self.check_end(&flow);
    }

    /// A value leaves a flow.
    fn flow_output(&mut self, flow: &JobId, handle: &str, value: &Value) {
        let Some(job) = self.flows.get(flow) else { return };
        let (subject, parent) = (job.subject.clone(), job.parent.clone());
        let kind = subject.flow.unwrap_or(flow::FlowKind::Flow);
        if kind != flow::FlowKind::Flow {
            let fields = [("handle", Field::Text(handle)), ("output", Field::Value(value))];
            self.report(flow_reports(kind)[2], &subject, &fields);
        }
        match parent {
            Parent::Root => {
                self.outcome.outputs.insert(handle.to_owned(), value.clone());
            }
            Parent::Node { flow, node } => self.emit(&flow, node, handle, value, None),
            Parent::Request { .. } => {}
        }
    }

    /// Fires a node as often as its values and its concurrency allow.
    pub(super) fn fire_ready(&mut self, flow: &JobId, node: usize) {
        loop {
            let Some(job) = self.flows.get_mut(flow) else { return };
            let definition = &job.flow.nodes[node];
            let state = &mut job.nodes[node];
            let has_room = definition.concurrency.is_none_or(|most| state.running < most);
            if !has_room || !state.is_complete(&definition.inputs) {
                return;
            }
            let inputs = state.take(&definition.inputs);
            self.fire(flow, node, inputs);
        }
    }

    /// Starts a job for a node.
    pub(super) fn fire(&mut self, flow: &JobId, node: usize, inputs: Values) {
        let Some(job) = self.flows.get_mut(flow) else { return };
        let definition = Arc::clone(&job.flow);
        let node_definition = &definition.nodes[node];
        job.nodes[node].running += 1;
        job.nodes[node].runs += 1;
        let stack = job.subject.stack.push(&job.subject.job, &definition.path, &node_definition.id);
        let place = stack.place().to_owned();
        self.count(&place).started += 1;
        self.setup.observer.happened(&Happening::NodeStarted { place: &place });
        if let NodeBlock::Condition(condition) = &node_definition.block {
            self.decide(flow, node, condition, &inputs, &place);
            return;
        }
        let Some(job) = self.flows.get_mut(flow) else { return };
        let child: JobId = crate::uuid().into();
        job.children.insert(Arc::clone(&child));
        let start = Start {
            job: child,
            parent: Parent::Node { flow: Arc::clone(flow), node },
            stack,
            inputs,
            scope: job.scope.clone(),
            is_requested: false,
        };
        self.start_node(start, flow, node);
    }

    /// Lets a value go one way.
    fn decide(
        &mut self,
        flow: &JobId,
        node: usize,
        condition: &flow::Condition,
        inputs: &Values,
        place: &str,
    ) {
        let begun = Instant::now();
        let find = |name: &str| inputs.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let chosen =
            flow::condition::choose(condition, &mut |name| find(name).map(Value::parse).unwrap_or_default());
        // What is passed on is always the first input.
        let value = inputs.first().map_or_else(Value::null, |(_, value)| value.clone());
        if let Some(handle) = chosen {
            self.emit(flow, node, handle, &value, None);
        }
        self.count(place).succeeded += 1;
        self.setup.observer.happened(&Happening::NodeFinished { place, error: None, time: begun.elapsed() });
        if let Some(job) = self.flows.get_mut(flow) {
            job.nodes[node].running -= 1;
        }
    }

    /// A node says how far it is; the flow that it is in is so far with it.
    pub(super) fn progress(&mut self, flow: &JobId, node: usize, percent: f64) {
        let Some(job) = self.flows.get_mut(flow) else { return };
        job.nodes[node].percent = percent.clamp(0.0, 100.0);
        let weight: f64 = job.nodes.iter().map(|node| node.weight).sum();
        if weight <= 0.0 {
            return;
        }
        let done: f64 = job.nodes.iter().map(|node| node.weight * node.percent).sum();
        let percent = (done / weight).min(95.0);
        if (percent - job.percent).abs() < 1.0 {
            return;
        }
        job.percent = percent;
        let (subject, parent) = (job.subject.clone(), job.parent.clone());
        if let Parent::Node { flow, node } = parent {
            let fields = [("progress", Field::Json(percent.into())), ("rate", Field::Json(percent.into()))];
            self.report("BlockProgress", &subject, &fields);
            self.setup.observer.happened(&Happening::Progress { place: subject.stack.place(), percent });
            self.progress(&flow, node, percent);
        } else if subject.is_requested {
            self.report("BlockProgress", &subject, &[("progress", Field::Json(percent.into()))]);
        }
    }
}
