//! The caller's side of a sandbox: fork, stream, watch, collect.
#![expect(unsafe_code, reason = "forks the first process")]

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions};
use rustix::thread::{Gid, Uid};

use crate::act::Act;
use crate::init::{self, Ends, Report, Start};
use crate::limits::Groups;
use crate::lines::Lines;
use crate::plan::Plan;
use crate::raw::{self, Fork};
use crate::signals::Receiver;
use crate::stdio::{Callback, Input, Output, Stdio};
use crate::{Error, Limits, Sandbox};

pub(crate) fn run(sandbox: &Sandbox, command: &[&OsStr], stdio: Stdio<'_>) -> Result<ExitStatus, Error> {
    if sandbox.cancel.as_ref().is_some_and(crate::Cancel::is_cancelled) {
        return Err(Error::Cancelled);
    }
    let mut plan = Plan::new(sandbox, command)?;
    let mut groups =
        if sandbox.limits == Limits::default() { Groups::default() } else { Groups::new(&sandbox.limits)? };
    let pipes =
        Pipes::new(stdio, groups.take_processes()).map_err(Error::system("open the streams of a sandbox"))?;
    let Pipes { ends, report, lifeline, captured, lines } = pipes;
    if let (Some((uid, gid)), Some(captured)) = (sandbox.user, &captured) {
        // So that the command can open /dev/stdout, which is our pipe. It can do without.
        let _ = rustix::fs::fchown(captured, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    }
    let receiver = sandbox.grace.map(|_| Receiver::new(plan.signals));
    let receiver = receiver.transpose().map_err(Error::system("receive signals"))?;
    let child = fork(&mut plan, ends)?;
    let cancel = sandbox.cancel.as_ref().map(crate::Cancel::descriptor);
    let watch = Watch { report, captured, cancel, receiver: receiver.as_ref() };
    let outcome = watch.until_the_end(&child, lines).map_err(Error::system("watch a sandbox"))?;
    drop(child);
    drop((lifeline, groups));
    explain(outcome, sandbox, command, &plan)
}

/// The child's ends of all pipes, and ours.
struct Pipes<'a> {
    ends: Ends,
    report: OwnedFd,
    /// Held open for as long as the sandbox may live.
    lifeline: OwnedFd,
    captured: Option<OwnedFd>,
    lines: Option<Callback<'a>>,
}

impl<'a> Pipes<'a> {
    fn new(stdio: Stdio<'a>, groups: Vec<OwnedFd>) -> Result<Self, Errno> {
        let Stdio { input, output, error, lines } = stdio;
        let (report, report_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (lifeline_end, lifeline) = pipe_with(PipeFlags::CLOEXEC)?;
        let capture = matches!(output, Output::Lines) || matches!(error, Output::Lines);
        let (captured, capture_end) = if capture {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
            (Some(read), Some(write))
        } else {
            (None, None)
        };
        let capture_end = capture_end.as_ref();
        let streams = [input_end(input)?, output_end(output, capture_end)?, output_end(error, capture_end)?];
        let ends = Ends {
            streams,
            report: above_standard(report_end)?,
            lifeline: above_standard(lifeline_end)?,
            groups,
        };
        Ok(Self { ends, report, lifeline, captured, lines })
    }
}

/// A caller may have closed its standard streams, and then pipes get their numbers, over which the child is about
/// to copy others.
fn above_standard(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
}

fn null(flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(c"/dev/null", flags | OFlags::CLOEXEC, Mode::empty())
}

fn input_end(input: Input) -> Result<Option<OwnedFd>, Errno> {
    let fd = match input {
        Input::Inherit => return Ok(None),
        Input::Null => null(OFlags::RDONLY)?,
        Input::Bytes(bytes) => {
            let file = rustix::fs::memfd_create(c"input", MemfdFlags::CLOEXEC)?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let written = rustix::io::write(&file, rest)?;
                rest = rest.get(written..).unwrap_or_default();
            }
            rustix::fs::seek(&file, SeekFrom::Start(0))?;
            file
        }
    };
    above_standard(fd).map(Some)
}

fn output_end(output: Output, capture: Option<&OwnedFd>) -> Result<Option<OwnedFd>, Errno> {
    let fd = match (output, capture) {
        (Output::Inherit, _) => return Ok(None),
        (Output::Descriptor(fd), _) => fd,
        (Output::Lines, Some(capture)) => return rustix::io::fcntl_dupfd_cloexec(capture, 3).map(Some),
        (Output::Null | Output::Lines, _) => null(OFlags::WRONLY)?,
    };
    above_standard(fd).map(Some)
}

/// The first process of a sandbox. When dropped it is dead and collected, and with it all others.
struct Child(Pid);

impl Drop for Child {
    fn drop(&mut self) {
        raw::kill(self.0, libc::SIGKILL);
        // The kernel lets us collect process 1 of a namespace only when all others in it are gone.
        while let Err(Errno::INTR) = rustix::process::waitpid(Some(self.0), WaitOptions::empty()) {}
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "our copies of the child's ends must be closed after the fork"
)]
fn fork(plan: &mut Plan, ends: Ends) -> Result<Child, Error> {
    // No handler of this program may run in the child; the child keeps all blocked.
    let _blocked = raw::block_signals();
    // SAFETY: `init::live` makes system calls only, on what `plan` and `ends` hold, and does not return.
    match unsafe { raw::fork(plan.namespaces) } {
        Ok(Fork::Child) => init::live(plan, &ends),
        Ok(Fork::Parent(pid)) => Ok(Child(pid)),
        Err(errno) => Err(crate::obstacle::refused("create namespaces", errno)),
    }
}

struct Watch<'a> {
    report: OwnedFd,
    captured: Option<OwnedFd>,
    cancel: Option<BorrowedFd<'a>>,
    receiver: Option<&'a Receiver>,
}

/// How a sandbox ended.
#[derive(Clone, Copy)]
enum Outcome {
    Reported(Report),
    Cancelled,
    /// Without a word.
    Lost,
}

impl Watch<'_> {
    /// Hands on output until the first process is gone and its output is read.
    fn until_the_end(mut self, child: &Child, lines: Option<Callback<'_>>) -> Result<Outcome, Errno> {
        let mut ignore = |_: &[u8]| {};
        let line = lines.unwrap_or(&mut ignore);
        let mut splitter = Lines::new();
        let mut outcome = Outcome::Lost;
        loop {
            let ready = self.poll()?;
            // One read at a time: a program that never stops printing must not keep us from being cancelled.
            if ready.captured && matches!(self.read_output(&mut splitter, line)?, Read::End) {
                self.captured = None;
            }
            if ready.cancelled {
                raw::kill(child.0, libc::SIGKILL);
                self.cancel = None;
                outcome = Outcome::Cancelled;
            }
            if let Some(receiver) = self.receiver.filter(|_| ready.signalled) {
                receiver.pass_on(child.0);
            }
            if !ready.report {
                continue;
            }
            match (self.read_report()?, self.receiver) {
                (Some(Report::Stopped(signal)), Some(receiver)) => receiver.stop(signal, child.0),
                (Some(report), _) if matches!(outcome, Outcome::Lost) => outcome = Outcome::Reported(report),
                (Some(_), _) => {}
                (None, _) => break,
            }
        }
        // All writers are dead, unless a process forked by another thread still has copies of the descriptors
        // for a moment: take what is there and do not wait for the end of the file.
        while let Read::More = self.read_output(&mut splitter, line)? {}
        splitter.finish(line);
        Ok(outcome)
    }

    fn poll(&self) -> Result<Ready, Errno> {
        // The report's descriptor stands in for those we do not have; polling it more than once does no harm.
        let report = self.report.as_fd();
        let captured = self.captured.as_ref().map_or(report, AsFd::as_fd);
        let signals = self.receiver.map_or(report, Receiver::descriptor);
        let mut fds = [report, captured, self.cancel.unwrap_or(report), signals]
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Ok(Ready::default()),
            other => other?,
        };
        let [report, captured, cancelled, signalled] = fds.map(|fd| !fd.revents().is_empty());
        Ok(Ready {
            report,
            captured: captured && self.captured.is_some(),
            cancelled: cancelled && self.cancel.is_some(),
            signalled: signalled && self.receiver.is_some(),
        })
    }

    fn read_output(&self, splitter: &mut Lines, line: &mut dyn FnMut(&[u8])) -> Result<Read, Errno> {
        let Some(captured) = &self.captured else { return Ok(Read::End) };
        let mut buffer = [0; 8192];
        match rustix::io::read(captured, &mut buffer) {
            Ok(0) => Ok(Read::End),
            Ok(length) => {
                splitter.push(buffer.get(..length).unwrap_or_default(), line);
                Ok(Read::More)
            }
            Err(Errno::AGAIN) => Ok(Read::NothingYet),
            Err(Errno::INTR) => Ok(Read::More),
            Err(errno) => Err(errno),
        }
    }

    /// The next report, or `None` when the first process is gone. Twelve bytes of a pipe are never torn.
    fn read_report(&self) -> Result<Option<Report>, Errno> {
        let mut bytes = [0; Report::SIZE];
        loop {
            match rustix::io::read(&self.report, &mut bytes) {
                Ok(Report::SIZE) => return Ok(Report::decode(bytes)),
                Ok(_) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// What one read of captured output gave.
enum Read {
    More,
    NothingYet,
    End,
}

#[derive(Default)]
struct Ready {
    report: bool,
    captured: bool,
    cancelled: bool,
    signalled: bool,
}

fn explain(
    outcome: Outcome,
    sandbox: &Sandbox,
    command: &[&OsStr],
    plan: &Plan,
) -> Result<ExitStatus, Error> {
    let program = || command.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    match outcome {
        Outcome::Reported(Report::Ended(status)) => Ok(ExitStatus::from_raw(status)),
        Outcome::Reported(Report::Act(index, errno)) => Err(failed_act(plan.acts.get(index), errno)),
        Outcome::Reported(Report::Start(Start::Exec, errno)) => {
            Err(Error::Exec { program: program(), root: sandbox.root.clone(), source: errno.into() })
        }
        Outcome::Reported(Report::Start(start, errno)) => {
            Err(Error::Step { step: describe(start).into(), hint: None, source: errno.into() })
        }
        Outcome::Cancelled => Err(Error::Cancelled),
        Outcome::Lost | Outcome::Reported(Report::Stopped(_)) => Err(Error::Killed { program: program() }),
    }
}

fn failed_act(act: Option<&Act>, errno: Errno) -> Error {
    let step = act.map_or_else(|| "set up the sandbox".to_owned(), ToString::to_string);
    let hint = match (act, errno) {
        (_, Errno::NOSYS) => Some("Linux 5.12 or newer is needed"),
        (Some(Act::New { kind, .. }), Errno::PERM) if *kind == c"proc" => Some(
            "parts of /proc are hidden in this container: start it with `--privileged`, or with \
             `--security-opt systempaths=unconfined`",
        ),
        (Some(Act::Put { .. } | Act::Cover { .. }), Errno::NOENT | Errno::NOTDIR) => {
            Some("the root must have it already, empty or not")
        }
        _ => None,
    };
    Error::Step { step, hint, source: errno.into() }
}

/// Fits "cannot …".
fn describe(start: Start) -> &'static str {
    match start {
        Start::Groups => "enter the control group of the limits",
        Start::Session => "start a session",
        Start::Limits => "limit the number of open files",
        Start::Filter => "install the seccomp filter",
        Start::Capabilities => "give up capabilities",
        Start::User => "become the user of the command",
        Start::Exec => "run the program",
        Start::Streams => "connect standard streams",
        Start::Fork => "start a process in the sandbox",
    }
}
