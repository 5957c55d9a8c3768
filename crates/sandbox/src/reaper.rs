//! What the first process of a sandbox does while the command runs: it reaps, passes signals on, and ends all.
//!
//! System calls only, no allocation; see [`crate::init`].

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};
use rustix::time::{ClockId, clock_gettime};

use crate::init::{Ends, Report};
use crate::raw::{self, Received};
use crate::signals::Signals;

/// The state of a sandbox whose command has been started.
pub(crate) struct Reaper<'a> {
    command: Pid,
    signals: Signals,
    descriptor: BorrowedFd<'a>,
    ends: &'a Ends,
    /// The command's wait status, once it has ended.
    ended: Option<i32>,
    /// The signal by which the sandbox was told to end, if it was.
    told: Option<i32>,
    /// When everything is killed, once the sandbox was told to end: nanoseconds of the monotonic clock.
    deadline: Option<u64>,
}

impl<'a> Reaper<'a> {
    pub(crate) fn new(command: Pid, signals: Signals, descriptor: BorrowedFd<'a>, ends: &'a Ends) -> Self {
        Self { command, signals, descriptor, ends, ended: None, told: None, deadline: None }
    }

    /// Returns the command's wait status when the sandbox is to end: with the command, or, once it was told to
    /// end, with its last process or when its time is up.
    pub(crate) fn run(mut self) -> Result<i32, Errno> {
        loop {
            let anyone = self.reap()?;
            match (self.ended, self.deadline) {
                (Some(status), None) => return Ok(status),
                (Some(status), Some(_)) if !anyone => return Ok(status),
                _ => {}
            }
            if !self.wait()? {
                return Ok(self.ended.unwrap_or(libc::SIGKILL));
            }
            while let Some(received) = raw::next_signal(self.descriptor) {
                self.receive(received);
            }
        }
    }

    /// Collects what has died; whether there are processes left.
    fn reap(&mut self) -> Result<bool, Errno> {
        // Who passes signals on stops when the command does.
        let stops = if self.signals.grace.is_some() { WaitOptions::UNTRACED } else { WaitOptions::empty() };
        loop {
            match rustix::process::wait(WaitOptions::NOHANG | stops) {
                Ok(Some((pid, status))) if pid == self.command => match status.stopping_signal() {
                    Some(signal) => Report::Stopped(signal).send(self.ends.report.as_fd()),
                    None => self.command_ended(status.as_raw()),
                },
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Ok(true),
                Err(Errno::CHILD) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Waits until something happens; `false` when the time is up. Ends at once when the caller is gone.
    fn wait(&self) -> Result<bool, Errno> {
        let timeout = match self.deadline {
            None => None,
            Some(deadline) => match deadline.saturating_sub(now()) {
                0 => return Ok(false),
                left => Some(timespec(left)),
            },
        };
        let mut fds = [
            PollFd::from_borrowed_fd(self.descriptor, PollFlags::IN),
            PollFd::from_borrowed_fd(self.ends.lifeline.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => return Ok(true),
            other => other?,
        };
        let [_, life] = &fds;
        if life.revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            raw::exit(0);
        }
        Ok(true)
    }

    fn receive(&mut self, received: Received) {
        let Received { signal, from_inside, .. } = received;
        // From inside none but SIGCHLD matters, and that only wakes us.
        if signal == libc::SIGCHLD || from_inside || !self.signals.is_ours(received) {
            return;
        }
        match self.signals.grace {
            Some(grace) if self.signals.is_end(signal) => self.end(signal, grace),
            _ => raw::kill(self.command, signal),
        }
    }

    /// What the command started between hearing the signal and ending has not heard it.
    fn command_ended(&mut self, status: i32) {
        self.ended = Some(status);
        if let Some(signal) = self.told {
            raw::kill_all(signal);
        }
    }

    /// Tells every process to end. The command alone is not enough: an interactive shell ignores SIGTERM, and what
    /// it started hears nothing of it.
    fn end(&mut self, signal: i32, grace: Duration) {
        self.told = Some(signal);
        raw::kill_all(signal);
        // A stopped process gets signals only when it goes on.
        raw::kill_all(libc::SIGCONT);
        let grace = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        self.deadline.get_or_insert(now().saturating_add(grace));
    }
}

/// Nanoseconds of a clock that nobody sets.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned());
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn timespec(nanoseconds: u64) -> Timespec {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    Timespec { tv_sec: seconds.cast_signed(), tv_nsec: rest.cast_signed() }
}
