//! Programs that the runner starts, each under a supervisor.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use crate::event::Event;

/// The longest line that is kept whole, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// A process of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(pub(crate) u64);

/// Something that happened to a process.
#[derive(Debug)]
pub enum ProcessEvent {
    /// It wrote a line.
    Line {
        /// `stdout` or `stderr`.
        stdio: &'static str,
        /// The line without its end.
        text: String,
    },
    /// It will write no more lines to `stdout` or `stderr`.
    Closed(&'static str),
    /// It has ended; what it has left running may still be there.
    Ended(Ending),
    /// Nothing of it is left.
    Gone,
}

/// How a process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was never there: why it could not be started.
    Failed(String),
    /// Nobody knows: its supervisor is gone.
    Lost,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit with code {code}"),
            Self::Killed(signal) => write!(f, "was killed by signal {signal}"),
            Self::Failed(why) => write!(f, "cannot be started: {why}"),
            Self::Lost => f.write_str("is gone"),
        }
    }
}

/// A program to be started.
#[derive(Debug)]
pub(crate) struct Launch<'l> {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) folder: Option<&'l Path>,
    /// Variables beside those of the runner.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// The stack of layers that goes when the program has ended.
    pub(crate) runtime: Option<String>,
}

/// A running program. It ends with the value.
#[derive(Debug)]
pub(crate) struct Process {
    lifeline: UnixStream,
    pub(crate) supervisor: u32,
    watcher: Option<JoinHandle<()>>,
}

/// Starts programs and gives them numbers.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// The program and its first arguments that make a supervisor.
    supervisor: (PathBuf, Vec<OsString>),
    events: Sender<Event>,
    next: u64,
}

impl Launcher {
    pub(crate) fn new(supervisor: (PathBuf, Vec<OsString>), events: Sender<Event>) -> Self {
        Self { supervisor, events, next: 0 }
    }

    pub(crate) fn start(&mut self, launch: Launch<'_>) -> io::Result<(ProcessId, Process)> {
        let id = ProcessId(self.next);
        self.next += 1;
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.supervisor.0);
        command.args(&self.supervisor.1);
        if let Some(name) = launch.runtime {
            command.arg("--runtime").arg(name);
        }
        command.arg("--").arg(launch.program).args(launch.arguments);
        command.envs(launch.variables);
        if let Some(folder) = launch.folder {
            command.current_dir(folder);
        }
        // In a group of its own, so that Ctrl-C at a terminal reaches the runner alone, which then ends it in order.
        command.process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // The command holds the other end of the socket, whose closing is what tells.
        drop(command);
        if let Some(stdout) = child.stdout.take() {
            self.read(id, "stdout", stdout)?;
        }
        if let Some(stderr) = child.stderr.take() {
            self.read(id, "stderr", stderr)?;
        }
        let supervisor = child.id();
        let watcher = self.watch(id, ours.try_clone()?, child)?;
        Ok((id, Process { lifeline: ours, supervisor, watcher: Some(watcher) }))
    }

    fn read(&self, id: ProcessId, stdio: &'static str, from: impl Read + Send + 'static) -> io::Result<()> {
        let events = self.events.clone();
        let read = move || {
            let mut reader = BufReader::new(from);
            while let Some(text) = read_line(&mut reader) {
                if events.send(Event::Process(id, ProcessEvent::Line { stdio, text })).is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Process(id, ProcessEvent::Closed(stdio)));
        };
        thread::Builder::new().name(stdio.to_owned()).spawn(read)?;
        Ok(())
    }

    fn watch(&self, id: ProcessId, socket: UnixStream, mut child: Child) -> io::Result<JoinHandle<()>> {
        let events = self.events.clone();
        let watch = move || {
            let mut line = String::new();
            let _ = BufReader::new(socket).read_line(&mut line);
            let _ = events.send(Event::Process(id, ProcessEvent::Ended(ending(&line))));
            let _ = child.wait();
            let _ = events.send(Event::Process(id, ProcessEvent::Gone));
        };
        thread::Builder::new().name("process".to_owned()).spawn(watch)
    }
}

impl Process {
    /// Asks the supervisor to end the program and all that it has started.
    pub(crate) fn end(&self) {
        let _ = self.lifeline.shutdown(Shutdown::Both);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// A line without its end; `None` when there are no more. What is longer than a line may be is several.
fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    if reader.take(MAX_LINE).read_until(b'\n', &mut line).ok()? == 0 {
        return None;
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// What a supervisor said.
fn ending(line: &str) -> Ending {
    let Some((word, rest)) = line.trim_end().split_once(' ') else { return Ending::Lost };
    match (word, rest.parse()) {
        ("exited", Ok(code)) => Ending::Exited(code),
        ("killed", Ok(signal)) => Ending::Killed(signal),
        ("failed", _) => Ending::Failed(rest.to_owned()),
        _ => Ending::Lost,
    }
}
