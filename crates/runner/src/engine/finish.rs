//! Jobs end (sections 2.5 and 2.6 of the contract).

use std::sync::Arc;
use std::time::Instant;

use flow::{Evidence, starved};

use crate::report::{Field, Subject, error_stack, flow_reports, now};
use crate::{Happening, Value};

use super::Engine;
use super::state::{BlockJob, Failure, FlowJob, JobId, Parent, Run};

impl Engine<'_> {
    /// A value comes out of a block that runs.
    pub(super) fn block_output(
        &mut self,
        job: &str,
        handle: &str,
        value: &Value,
        to: Option<&crate::message::Destination>,
    ) {
        let Some(block) = self.blocks.get(job) else { return };
        let parent = block.parent.clone();
        self.route(&parent, handle, value, to);
    }

    fn route(
        &mut self,
        parent: &Parent,
        handle: &str,
        value: &Value,
        to: Option<&crate::message::Destination>,
    ) {
        match parent {
            Parent::Root => {
                self.outcome.outputs.insert(handle.to_owned(), value.clone());
            }
            Parent::Node { flow, node } => self.emit(flow, *node, handle, value, to),
            Parent::Request { .. } => {}
        }
    }

    /// A block has ended; the first end that is told counts.
    pub(super) fn end_block(&mut self, job: &str, result: &[(String, Value)], error: Option<String>) {
        let Some(block) = self.blocks.remove(job) else { return };
        let BlockJob { subject, parent, run, complaint, started, .. } = block;
        self.release(job, run, error.is_none());
        let mut fields = vec![("finish_at", now())];
        if !result.is_empty() {
            fields.push(("result", Field::Values(result)));
        }
        if let Some(error) = &error {
            fields.push(("error", Field::Text(error)));
        }
        self.report("BlockFinished", &subject, &fields);
        let failure = error.map(|error| {
            self.log(&format!("block {} failed: {error}", subject.stack.place()));
            // What a block complained of last says more than an empty error.
            let error = if error.trim().is_empty() { complaint.unwrap_or(error) } else { error };
            Failure { place: subject.stack.place().to_owned(), lines: vec![error.clone()], error }
        });
        if failure.is_none() {
            for (handle, value) in result {
                self.route(&parent, handle, value, None);
            }
        }
        self.ended(&parent, &subject, started, failure);
    }

    /// Lets go of what a job ran in.
    fn release(&mut self, job: &str, run: Run, is_wanted: bool) {
        match run {
            Run::Executor { key, .. } => {
                self.executors.forget(&key, job);
                self.pump(&key);
            }
            Run::Shell(shell) => self.process_done(shell.process, is_wanted),
            Run::Program { process, .. } => self.process_done(process, is_wanted),
            Run::Server { .. } => {}
            Run::Waiting => self.waiting.retain(|waiting| &**waiting.job() != job),
        }
    }

    /// A job has ended: what it was started for goes on, or fails too.
    pub(super) fn ended(
        &mut self,
        parent: &Parent,
        subject: &Subject,
        started: Instant,
        failure: Option<Failure>,
    ) {
        if let Parent::Node { .. } = parent {
            let place = subject.stack.place();
            let error = failure.as_ref().map(|failure| failure.error.as_str());
            self.setup.observer.happened(&Happening::NodeFinished { place, error, time: started.elapsed() });
            if failure.is_none() {
                self.count(place).succeeded += 1;
            }
        }
        match (parent, failure) {
            (Parent::Root, failure) => self.result = Some(failure.map_or(Ok(()), Err)),
            (Parent::Node { flow, node }, Some(failure)) => self.fail_flow(flow, *node, failure),
            (Parent::Node { flow, node }, None) => self.node_done(flow, *node, &subject.job),
            (Parent::Request { flow }, failure) => {
                if let Some(failure) = failure {
                    // The block that has asked for it learns of it and decides.
                    self.log(&format!("requested block failed: {}", failure.error));
                }
                let Some(flow) = flow else { return };
                if let Some(job) = self.flows.get_mut(flow) {
                    job.children.remove(&subject.job);
                }
                self.check_end(flow);
            }
        }
    }

    fn node_done(&mut self, flow: &JobId, node: usize, job: &JobId) {
        let Some(state) = self.flows.get_mut(flow) else { return };
        state.children.remove(job);
        state.nodes[node].running -= 1;
        self.progress(flow, node, 100.0);
        self.fire_ready(flow, node);
        self.check_end(flow);
    }

    /// A flow ends when nothing runs in it and nothing is on its way; values may be left over.
    pub(super) fn check_end(&mut self, id: &JobId) {
        let is_done = |job: &FlowJob| job.pending == 0 && job.children.is_empty();
        if !self.flows.get(id).is_some_and(is_done) {
            return;
        }
        let Some(job) = self.flows.remove(id) else { return };
        self.note_starved(&job);
        let kind = job.flow.kind;
        let fields = [("error", Field::Null), ("finish_at", now())];
        self.report(flow_reports(kind)[1], &job.subject, &fields);
        self.ended(&job.parent, &job.subject, job.started, None);
    }

    /// A node has failed, and its flow with it: all else that runs in it is dropped.
    fn fail_flow(&mut self, id: &JobId, node: usize, mut failure: Failure) {
        let Some(job) = self.flows.remove(id) else { return };
        let message = format!("[node id: {}] failed", job.flow.nodes[node].id);
        for child in &job.children {
            self.cancel(child);
        }
        failure.lines.insert(0, message.clone());
        let fields = [
            ("error", Field::Text(&message)),
            ("_error", Field::Json(error_stack(&failure.lines))),
            ("finish_at", now()),
        ];
        self.report(flow_reports(job.flow.kind)[1], &job.subject, &fields);
        self.ended(&job.parent, &job.subject, job.started, Some(failure));
    }

    /// Drops a job and all that runs for it. Nobody is told: what it ran in may go on, but nobody listens.
    fn cancel(&mut self, job: &JobId) {
        if let Some(flow) = self.flows.remove(job) {
            for child in &flow.children {
                self.cancel(child);
            }
        }
        if let Some(block) = self.blocks.remove(job) {
            self.release(job, block.run, false);
        }
    }

    /// Keeps in mind which nodes of a flow never ran. Another run of the same flow may still run them.
    fn note_starved(&mut self, job: &FlowJob) {
        let is_selected =
            |node: usize| job.selection.as_ref().is_none_or(|selection| selection.contains(&node));
        let evidence = Evidence {
            ran: &|node| job.nodes[node].runs > 0 || !is_selected(node),
            emitted: &|node, handle| job.nodes[node].emitted.contains(handle),
            given: &|handle| job.given.contains(handle),
        };
        for found in starved(&job.flow, &evidence) {
            let id = &job.flow.nodes[found.node].id;
            let outer = job.subject.stack.place();
            let place = if outer.is_empty() { id.clone() } else { format!("{outer}/{id}") };
            self.starved.entry(place).or_insert(found.why);
        }
    }

    /// A timeout, said to people before the block ends with it.
    pub(super) fn time_out(&mut self, job: &JobId, seconds: u64) {
        let Some(block) = self.blocks.get(job) else { return };
        let subject = block.subject.clone();
        let text = format!("{job} timeout after {seconds}s");
        self.report("BlockError", &subject, &[("error", Field::Text(&text))]);
        self.end_block(job, &[], Some(format!("Timeout: it took longer than {seconds} s")));
    }

    /// All jobs of a list have ended with an error.
    pub(super) fn end_all(&mut self, jobs: impl IntoIterator<Item = Arc<str>>, error: &str) {
        for job in jobs {
            self.end_block(&job, &[], Some(error.to_owned()));
        }
    }
}
