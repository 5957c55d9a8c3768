//! Processes begin and end.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flow::{Executor, Flow, NodeBlock};

use crate::executor::{BOOT, ExecutorKey, ExecutorProcess};
use crate::process::{Ending, Launch, ProcessEvent, ProcessId};
use crate::report::{Field, Subject};
use crate::scope::Scope;
use crate::shell::{Command, Shell};
use crate::{Happening, Payload};

use super::Engine;
use super::state::{JobId, OwnProcess, Run, Timer, Values};

/// The most shells and programs that run at once; each takes a few processes and threads.
const MAX_PROCESSES: usize = 64;

/// How long what a shell or an executor has left running may keep its output open.
const DRAIN: Duration = Duration::from_millis(200);

/// A job that gets a process of its own.
#[derive(Debug)]
pub(super) enum Waiting {
    /// `sh -c`.
    Shell { job: JobId, inputs: Values, dir: PathBuf },
    /// A program that speaks by messages.
    Program { job: JobId, bin: String, args: Vec<String>, dir: PathBuf, inputs: Payload },
}

impl Waiting {
    pub(super) const fn job(&self) -> &JobId {
        match self {
            Self::Shell { job, .. } | Self::Program { job, .. } => job,
        }
    }
}

impl Engine<'_> {
    /// Starts the executors that nodes of the root flow need, so that they start side by side and before they are needed.
    pub(super) fn launch_early(&mut self, flow: &Flow, scope: &Scope) {
        let mut keys = HashSet::new();
        for node in &flow.nodes {
            if let NodeBlock::Task { task, .. } = &node.block
                && let Executor::Process { name, .. } = &task.executor
                && (node.inject_package.is_none() || self.setup.options.layers.is_none())
            {
                let scope = self.task_scope(scope, task);
                let identifier = scope.identifier(&self.setup.places.session, None);
                let key = ExecutorKey { name: name.clone(), identifier };
                if keys.insert(key.clone()) {
                    // What goes wrong is told when a job needs it.
                    let _ = self.launch(&scope, &key, None);
                }
            }
        }
    }

    /// Gives a job to an executor, which is started when it is not there.
    pub(super) fn hand_over(
        &mut self,
        scope: &Scope,
        key: &ExecutorKey,
        service: Option<String>,
        job: &JobId,
        command: Payload,
    ) {
        if let Err(error) = self.launch(scope, key, service) {
            self.end_block(job, &[], Some(error));
            return;
        }
        self.executors.enqueue(key, Arc::clone(job), command);
        self.pump(key);
    }

    fn launch(&mut self, scope: &Scope, key: &ExecutorKey, service: Option<String>) -> Result<(), String> {
        if self.executors.contains(key) {
            return Ok(());
        }
        let program = format!("{}-executor", key.name);
        let in_layer = self.is_in_layer(scope);
        if !in_layer && find_program(&program).is_none() {
            return Err(format!(
                "the program `{program}`, which runs {} blocks, is not in PATH; install it{}",
                key.name,
                hint(&key.name)
            ));
        }
        fs::create_dir_all(&scope.data_dir)
            .map_err(|error| format!("the folder {} cannot be made: {error}", scope.data_dir.display()))?;
        let places = &self.setup.places;
        let words: [(&str, OsString); 6] = [
            ("--session-id", OsString::from(&*places.session)),
            ("--address", self.setup.bus.address().into()),
            ("--session-dir", places.session_dir.clone().into()),
            ("--tmp-dir", places.temporary_dir.clone().into()),
            ("--identifier", key.identifier.clone().into()),
            ("--package", scope.path.clone().into()),
        ];
        let mut arguments: Vec<OsString> = Vec::new();
        for (name, value) in words {
            if name == "--package" {
                arguments.extend(self.debug_arguments(&key.name));
            }
            arguments.extend([name.into(), value]);
        }
        let mut variables: Vec<(OsString, OsString)> =
            vec![("IS_FORKED".into(), "1".into()), ("OOCANA_PKG_DIR".into(), scope.data_dir.clone().into())];
        let more = self.setup.options.variables.iter();
        variables.extend(more.map(|(name, value)| (name.into(), value.into())));
        let launch = if in_layer {
            self.in_layer(scope, key, &program, arguments)
        } else {
            let program = program.clone().into();
            Launch { program, arguments, folder: None, variables, runtime: None }
        };
        let (id, process) = self
            .setup
            .launcher
            .start(launch)
            .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        let executor = ExecutorProcess::new(process, id, service);
        if in_layer {
            self.executors.insert(key.clone(), executor.preparing());
        } else {
            self.executors.insert(key.clone(), executor);
            self.bound_boot(key);
        }
        Ok(())
    }

    /// From now on an executor has a certain time to be ready.
    fn bound_boot(&mut self, key: &ExecutorKey) {
        if !self.setup.options.wait_for_client {
            self.set_timer(BOOT, Timer::Boot(key.clone()));
        }
    }

    /// What makes an executor listen for a debugger.
    fn debug_arguments(&self, name: &str) -> Vec<OsString> {
        let options = self.setup.options;
        if !options.debug && !options.wait_for_client {
            return Vec::new();
        }
        let port = |from| free_port(from).to_string().into();
        match (name, options.wait_for_client) {
            ("python", false) => vec!["--debug-port".into(), port(5678)],
            ("python", true) => vec!["--debug-port".into(), port(5678), "--wait-for-client".into()],
            (_, false) => vec!["--enable-source-maps".into(), port(9230)],
            (_, true) => {
                let mut inspect = OsString::from("--inspect-wait=");
                inspect.push::<OsString>(port(9230));
                vec!["--enable-source-maps".into(), inspect]
            }
        }
    }

    /// Starts a job that has a process of its own, now or when fewer run.
    pub(super) fn start_when_possible(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
        self.start_waiting();
    }

    fn start_waiting(&mut self) {
        while self.processes.values().filter(|own| own.job.is_some()).count() < MAX_PROCESSES {
            let Some(waiting) = self.waiting.pop_front() else { return };
            let job = Arc::clone(waiting.job());
            if let Err(error) = self.start_process(&waiting) {
                self.end_block(&job, &[], Some(error));
            }
        }
    }

    fn start_process(&mut self, waiting: &Waiting) -> Result<(), String> {
        let (job, launch, inputs) = match waiting {
            Waiting::Shell { job, inputs, dir } => {
                let command = Command::of(inputs, dir)?;
                let mut variables: Vec<(OsString, OsString)> = vec![
                    ("OOCANA_SESSION_ID".into(), OsString::from(&*self.setup.places.session)),
                    ("OOCANA_JOB_ID".into(), OsString::from(&**job)),
                ];
                variables.extend(command.variables);
                let arguments = vec!["-c".into(), command.line.into()];
                (job, (OsString::from("sh"), arguments, command.folder, variables), None)
            }
            Waiting::Program { job, bin, args, dir, inputs } => {
                let words = [
                    ("--address", self.setup.bus.address()),
                    ("--session-id", self.setup.places.session.to_string()),
                    ("--job-id", job.to_string()),
                ];
                let own = words.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
                let arguments = args.iter().cloned().chain(own).map(OsString::from).collect();
                (job, (bin.into(), arguments, dir.clone(), Vec::new()), Some(inputs.clone()))
            }
        };
        let (program, arguments, folder, variables) = launch;
        let name = program.to_string_lossy().into_owned();
        let launch = Launch { program, arguments, folder: Some(&folder), variables, runtime: None };
        let (id, process) = self
            .setup
            .launcher
            .start(launch)
            .map_err(|error| format!("`{name}` cannot be started: {error}"))?;
        let Some(subject) = self.blocks.get(job).map(|block| block.subject.clone()) else { return Ok(()) };
        let own = OwnProcess { subject, job: Some(Arc::clone(job)), ended: false, gone: false, process };
        self.processes.insert(id, own);
        let run = match inputs {
            Some(_) => Run::Program { process: id, inputs },
            None => Run::Shell(Shell::new(id)),
        };
        self.set_run(job, run);
        Ok(())
    }

    /// A job no longer needs its process: it has said that it has finished, or it is not wanted any more and is ended. What it
    /// has left running stays until the end of the session.
    pub(super) fn process_done(&mut self, id: ProcessId, is_wanted: bool) {
        let Some(own) = self.processes.get_mut(&id) else { return };
        own.job = None;
        if !own.ended && !is_wanted {
            own.process.end();
        }
        if own.gone {
            self.processes.remove(&id);
        }
        self.start_waiting();
    }

    /// Something has happened to a process.
    pub(super) fn process_event(&mut self, id: ProcessId, event: ProcessEvent) {
        if let Some(executor) = self.executors.of_process(id) {
            if let ProcessEvent::Line { text, .. } = &event {
                executor.keep_line(text);
            }
            let preparing = executor.is_preparing();
            match &event {
                ProcessEvent::Closed(_) => executor.open -= 1,
                ProcessEvent::Ended(ending) => executor.ending = Some(ending.clone()),
                _ => {}
            }
            let done = executor.done();
            match event {
                ProcessEvent::Line { stdio, text } if preparing => self.preparing_line(id, stdio, &text),
                ProcessEvent::Line { text, .. } => self.log(&format!("executor: {text}")),
                // What it has left running may keep its outputs open.
                ProcessEvent::Ended(_) => self.set_timer(DRAIN, Timer::Ended(id)),
                ProcessEvent::Closed(_) | ProcessEvent::Gone => {}
            }
            if let Some(ending) = done {
                self.executor_ended(id, &ending);
            }
            return;
        }
        let Some(own) = self.processes.get_mut(&id) else { return };
        own.ended |= matches!(event, ProcessEvent::Ended(_));
        own.gone |= matches!(event, ProcessEvent::Gone);
        let subject = own.subject.clone();
        let job = own.job.clone();
        if let ProcessEvent::Line { stdio, text } = &event {
            self.block_line(&subject, job.as_ref(), stdio, text);
            return;
        }
        let Some(own) = self.processes.get_mut(&id) else { return };
        let Some(job) = job else {
            if own.gone {
                self.processes.remove(&id);
            }
            return;
        };
        match event {
            ProcessEvent::Gone | ProcessEvent::Line { .. } => {}
            ProcessEvent::Closed(_) => self.shell_step(&job, |shell| shell.open -= 1),
            ProcessEvent::Ended(ending) => self.process_ended(&job, ending),
        }
    }

    /// What is written while the layers of an executor are made is shown; the last line says that they are.
    fn preparing_line(&mut self, id: ProcessId, stdio: &'static str, text: &str) {
        let Some(key) = self.executors.key_of(id).cloned() else { return };
        if text == crate::LAYER_READY {
            if let Some(executor) = self.executors.get_mut(&key) {
                executor.prepared();
            }
            self.bound_boot(&key);
        } else {
            self.log(&format!("layers: {text}"));
            self.setup.observer.happened(&Happening::Log { place: "layers", stdio, text });
        }
    }

    fn block_line(&mut self, subject: &Subject, job: Option<&JobId>, stdio: &'static str, text: &str) {
        let block = job.and_then(|job| self.blocks.get_mut(job));
        if let Some(Run::Shell(shell)) = block.map(|block| &mut block.run) {
            shell.add(stdio, text);
        }
        self.report("BlockLog", subject, &[("log", Field::Text(text)), ("stdio", Field::Text(stdio))]);
        self.setup.observer.happened(&Happening::Log { place: subject.stack.place(), stdio, text });
    }

    fn process_ended(&mut self, job: &JobId, ending: Ending) {
        let Some(block) = self.blocks.get(job) else { return };
        match block.run {
            Run::Shell(_) => {
                self.set_timer(DRAIN, Timer::Drain(Arc::clone(job)));
                self.shell_step(job, |shell| shell.ending = Some(ending));
            }
            // A program says by a message how it has ended; one that ends without that has failed.
            _ => self.program_ended(job, &ending),
        }
    }

    fn program_ended(&mut self, job: &JobId, ending: &Ending) {
        if *ending == Ending::Lost {
            self.kill_orphans();
        }
        self.end_block(
            job,
            &[],
            Some(format!("the program of this block {ending}, without saying that it has finished")),
        );
    }

    /// A shell has ended, or an output of it; with both it is done.
    fn shell_step(&mut self, job: &JobId, step: impl FnOnce(&mut Shell)) {
        let Some(block) = self.blocks.get_mut(job) else { return };
        let Run::Shell(shell) = &mut block.run else { return };
        step(shell);
        if shell.open == 0 && shell.ending.is_some() {
            self.shell_done(job);
        }
    }

    /// A shell is done: its outputs are what it wrote.
    pub(super) fn shell_done(&mut self, job: &JobId) {
        let Some(block) = self.blocks.get(job) else { return };
        let Run::Shell(shell) = &block.run else { return };
        let (outputs, ending) = (shell.outputs(), shell.ending.clone());
        let subject = block.subject.clone();
        for (handle, value) in &outputs {
            self.report(
                "BlockOutput",
                &subject,
                &[("handle", Field::Text(handle)), ("output", Field::Value(value))],
            );
            self.block_output(job, handle, value, None);
        }
        let path = subject.path.as_deref().unwrap_or(Path::new("inline")).display();
        let last = outputs.last().map(|(_, stderr)| stderr.parse()).unwrap_or_default();
        let last = last.as_str().map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty());
        let last = last.map(|text| format!("\n{text}")).unwrap_or_default();
        let error = match ending {
            Some(Ending::Exited(0)) | None => None,
            Some(Ending::Exited(code)) => Some(format!("Task block '{path}' exited with code {code}{last}")),
            Some(other) => Some(format!("Task block '{path}' {other}{last}")),
        };
        if error.as_deref().is_some_and(|error| error.contains("is gone")) {
            self.kill_orphans();
        }
        self.end_block(job, &[], error);
    }

    /// An executor has ended, and what it wrote has had the time to come.
    pub(super) fn executor_drained(&mut self, id: ProcessId) {
        if let Some(ending) = self.executors.of_process(id).and_then(|executor| executor.ending.clone()) {
            self.executor_ended(id, &ending);
        }
    }

    /// An executor has ended, and all that ran in it with it.
    fn executor_ended(&mut self, id: ProcessId, ending: &Ending) {
        let Some((key, executor)) = self.executors.remove(id) else { return };
        let error = format!("Executor {}-executor {ending}{}", key.name, executor.last_lines());
        let jobs: Vec<JobId> = executor.jobs.iter().cloned().collect();
        drop(executor);
        if *ending == Ending::Lost {
            self.kill_orphans();
        }
        self.end_all(jobs, &error);
    }

    /// Kills what a supervisor would have, had it not been killed itself.
    fn kill_orphans(&self) {
        let own = self.processes.values().map(|own| own.process.supervisor);
        let known: Vec<u32> = self.executors.supervisors().chain(own).collect();
        crate::tree::kill_orphans(&known);
    }
}

/// Where a program of `PATH` is.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn hint(name: &str) -> &'static str {
    match name {
        "python" => " with `pip install oocana-python-executor`",
        _ => "",
    }
}

/// A port that nobody listens on.
fn free_port(from: u16) -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (from..=from.saturating_add(3000)).find(is_free).unwrap_or(from)
}
