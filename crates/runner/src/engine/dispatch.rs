//! What executors, processes and servers say.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Answer, Event};
use crate::executor::{AGAIN, ATTEMPTS, ExecutorKey};
use crate::message::Message;
use crate::mqtt::{Audience, BusEvent, SERVICE_MESSAGE};
use crate::report::Field;
use crate::{Error, Happening, Payload, Value};

use super::Engine;
use super::state::{JobId, Parent, Run, Timer, Values};

impl Engine<'_> {
    pub(super) fn handle(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Signal(signal) => return Err(Error::Cancelled(signal)),
            Event::Process(id, event) => self.process_event(id, event),
            Event::Answer { job, outcome } => self.answer(&job, outcome),
            Event::Bus(BusEvent::Lost { why }) => {
                let address = self.setup.options.wire.broker.clone().unwrap_or_default();
                return Err(Error::Broker { address, why });
            }
            Event::Bus(BusEvent::Message { topic, payload }) => self.message(&topic, &payload),
            Event::Bus(BusEvent::Subscribed { client, topic }) => self.subscribed(&client, &topic),
            Event::Bus(BusEvent::Unsubscribed { topic }) => {
                if let Some(job) = self.job_of_inputs(&topic) {
                    self.handed_over(&job);
                }
            }
            Event::Bus(BusEvent::Gone { client }) => self.service_ended(&client),
        }
        Ok(())
    }

    fn message(&mut self, topic: &str, payload: &Bytes) {
        if topic.strip_prefix("session/") == Some(&*self.setup.places.session) {
            match Message::parse(payload) {
                Ok(message) => self.executor_message(message, payload),
                Err(why) => {
                    let text = crate::log::cut(&String::from_utf8_lossy(payload));
                    self.log(&format!("a message that cannot be understood ({why}): {text}"));
                }
            }
        } else if topic == "report" {
            self.executor_report(payload);
        } else if topic == SERVICE_MESSAGE {
            let mut copy = Payload::new();
            copy.value(&Value::from_bytes(payload.clone()));
            // It has come by MQTT and can go by it.
            let _ = self.setup.bus.publish(topic, copy);
        } else if topic == "service/report/exit" {
            let hash = serde_json::from_slice::<serde_json::Value>(payload).unwrap_or_default();
            if let Some(hash) = hash.get("service_hash").and_then(serde_json::Value::as_str) {
                self.service_ended(hash);
            }
        }
    }

    fn executor_message(&mut self, message: Message, payload: &Bytes) {
        match message {
            Message::BlockReady { job } => self.block_ready(&job),
            Message::Output { job, handle, value, to } => {
                let Some(block) = self.blocks.get(&*job) else { return };
                let subject = block.subject.clone();
                let fields = [("handle", Field::Text(&handle)), ("output", Field::Value(&value))];
                self.report("BlockOutput", &subject, &fields);
                self.block_output(&job, &handle, &value, to.as_ref());
            }
            Message::Outputs { job, values } => {
                let Some(block) = self.blocks.get(&*job) else { return };
                let subject = block.subject.clone();
                self.report("BlockOutputs", &subject, &[("outputs", Field::Values(&values))]);
                for (handle, value) in &values {
                    self.block_output(&job, handle, value, None);
                }
            }
            Message::Progress { job, percent } => self.block_progress(&job, percent),
            Message::Error { job, error } => {
                let Some(block) = self.blocks.get_mut(&*job) else { return };
                block.complaint = Some(error.clone());
                let subject = block.subject.clone();
                self.report("BlockError", &subject, &[("error", Field::Text(&error))]);
                self.setup
                    .observer
                    .happened(&Happening::Complaint { place: subject.stack.place(), text: &error });
            }
            Message::Finished { job, result, error } => self.end_block(&job, &result, error),
            Message::Request { job, id, request } => self.request(&job, &id, &request, payload),
            Message::Other => {}
        }
    }

    pub(super) fn block_progress(&mut self, job: &str, percent: f64) {
        let Some(block) = self.blocks.get(job) else { return };
        let subject = block.subject.clone();
        self.setup.observer.happened(&Happening::Progress { place: subject.stack.place(), percent });
        if let Parent::Node { flow, node } = block.parent.clone() {
            // A job that has succeeded counts as 100, and one that runs does not.
            self.progress(&flow, node, percent.min(99.0));
        }
    }

    /// What executors say to user interfaces, we show too; what blocks say to the block that has started them goes there.
    fn executor_report(&mut self, payload: &Bytes) {
        #[derive(Deserialize)]
        struct Report<'a> {
            r#type: &'a str,
            session_id: &'a str,
            job_id: &'a str,
            #[serde(borrow, default)]
            log: Option<&'a RawValue>,
            #[serde(default)]
            stdio: Option<String>,
            #[serde(default)]
            stderr: Option<serde::de::IgnoredAny>,
            #[serde(borrow, default)]
            warning: Option<&'a RawValue>,
        }
        let Ok(report) = serde_json::from_slice::<Report<'_>>(payload) else { return };
        if report.session_id != &*self.setup.places.session {
            return;
        }
        self.setup.bus.pass_on(payload);
        let Some(block) = self.blocks.get(report.job_id) else { return };
        let subject = block.subject.clone();
        if self.setup.reporter.as_text {
            self.setup.observer.happened(&Happening::Report(&String::from_utf8_lossy(payload)));
        }
        if subject.is_requested {
            let mut copy = Payload::new();
            copy.value(&Value::from_bytes(payload.clone()));
            self.setup.bus.report(copy, Audience::Executors);
        }
        let text =
            |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let place = subject.stack.place();
        match report.r#type {
            "BlockLog" => {
                // The published Python executor has the name of the stream as a key.
                let is_error = report.stdio.as_deref() == Some("stderr") || report.stderr.is_some();
                let stdio = if is_error { "stderr" } else { "stdout" };
                for line in text(report.log).unwrap_or_default().lines() {
                    self.setup.observer.happened(&Happening::Log { place, stdio, text: line });
                }
            }
            "BlockWarning" => {
                let text = text(report.warning).unwrap_or_default();
                self.setup.observer.happened(&Happening::Complaint { place, text: &text });
            }
            _ => {}
        }
    }

    fn subscribed(&mut self, client: &str, topic: &str) {
        if topic.starts_with("executor/") {
            let Some(key) = self.executors.of_client(client) else { return };
            let last = if self.executors.is_service(&key) { "run_service_block" } else { "run_block" };
            if topic == format!("executor/{}/{last}", key.name) {
                self.executor_ready(&key);
            }
        } else {
            self.asker_listens(topic);
        }
    }

    fn executor_ready(&mut self, key: &ExecutorKey) {
        self.executors.set_ready(key);
        self.pump(key);
    }

    /// Tells an executor to run what it can take.
    pub(super) fn pump(&mut self, key: &ExecutorKey) {
        let session = Arc::clone(&self.setup.places.session);
        for (topic, job, text) in self.executors.next(key, &session, &*self.setup.bus) {
            self.set_timer(AGAIN, Timer::Again(key.clone(), Arc::clone(&job), 1));
            if let Err(error) = self.setup.bus.publish(&topic, text) {
                self.end_block(&job, &[], Some(error.to_string()));
            }
        }
    }

    /// A job waits for its inputs. It tells that it has them by not wanting more of these messages.
    fn block_ready(&mut self, job: &str) {
        let Some(block) = self.blocks.get_mut(job) else { return };
        let id = Arc::clone(&block.subject.job);
        let (inputs, key) = match &mut block.run {
            Run::Executor { key, inputs } => (inputs.take(), Some(key.clone())),
            Run::Program { inputs, .. } => (inputs.take(), None),
            _ => return,
        };
        if let Some(key) = &key {
            self.executors.answered(key);
        }
        // An executor that was told twice may answer twice.
        let Some(inputs) = inputs else { return };
        let topic = format!("inputs/{}/{job}", self.setup.places.session);
        if let Err(error) = self.setup.bus.publish(&topic, inputs) {
            self.end_block(&id, &[], Some(format!("its inputs cannot be sent: {error}")));
        }
        // An executor tells when it has them, by not wanting more of these messages.
    }

    fn job_of_inputs(&self, topic: &str) -> Option<JobId> {
        let job =
            topic.strip_prefix("inputs/")?.strip_prefix(&*self.setup.places.session)?.strip_prefix('/')?;
        Some(Arc::clone(&self.blocks.get(job)?.subject.job))
    }

    fn handed_over(&mut self, job: &JobId) {
        if let Some(Run::Executor { key, .. }) = self.blocks.get(job).map(|block| &block.run) {
            let key = key.clone();
            self.executors.handed_over(&key, job);
            self.pump(&key);
        }
    }

    fn service_ended(&mut self, hash: &str) {
        if let Some((key, jobs)) = self.executors.service_ended(hash) {
            self.end_all(jobs, "the service of this block has ended");
            self.pump(&key);
        }
    }

    pub(super) fn due(&mut self, timer: Timer) {
        match timer {
            Timer::TimeOut(job, seconds) => self.time_out(&job, seconds),
            Timer::Repeat(topic, body, pause) => self.repeat_due(topic, body, pause),
            Timer::Drain(job) => self.shell_done(&job),
            Timer::Ended(id) => self.executor_drained(id),
            Timer::Boot(key) => {
                let Some(executor) = self.executors.get_mut(&key).filter(|executor| !executor.is_ready())
                else {
                    return;
                };
                let jobs: Vec<JobId> = executor.jobs.iter().cloned().collect();
                let error = format!(
                    "Executor {}-executor was not ready within {} s{}",
                    key.name,
                    crate::executor::BOOT.as_secs(),
                    executor.last_lines()
                );
                executor.process.end();
                self.end_all(jobs, &error);
            }
            Timer::Again(key, job, attempt) => {
                let session = Arc::clone(&self.setup.places.session);
                let bus = Arc::clone(&self.setup.bus);
                let Some((topic, text)) = self.executors.again(&key, &job, &session, &*bus) else { return };
                if attempt >= ATTEMPTS {
                    let error = format!(
                        "Executor {}-executor has not taken this block for {} s; it hangs",
                        key.name,
                        (AGAIN * ATTEMPTS).as_secs()
                    );
                    self.end_block(&job, &[], Some(error));
                    return;
                }
                // It was small enough the first time.
                let _ = bus.publish(&topic, text);
                self.set_timer(AGAIN, Timer::Again(key, job, attempt + 1));
            }
        }
    }

    /// A server has said something about a job.
    fn answer(&mut self, job: &str, outcome: Answer) {
        match outcome {
            Answer::Progress(percent) => {
                let Some(block) = self.blocks.get(job) else { return };
                let (subject, percent) = (block.subject.clone(), percent.clamp(0.0, 100.0));
                // No executor is there that would tell user interfaces.
                self.report("BlockProgress", &subject, &[("progress", Field::Json(percent.into()))]);
                self.block_progress(job, percent);
            }
            Answer::Log(text) => {
                let Some(block) = self.blocks.get(job) else { return };
                let subject = block.subject.clone();
                let fields = [("log", Field::Text(&text)), ("stdio", Field::Text("remote_task"))];
                self.report("BlockLog", &subject, &fields);
                let place = subject.stack.place();
                self.setup.observer.happened(&Happening::Log { place, stdio: "remote_task", text: &text });
            }
            Answer::Outputs(map) => {
                let values: Values =
                    map.iter().map(|(name, value)| (name.clone(), Value::of(value))).collect();
                self.end_block(job, &values, None);
            }
            Answer::Failed(error) => self.end_block(job, &[], Some(error)),
            Answer::Reply { topic, body } => self.reply_to(&topic, &body),
        }
    }
}
