//! Signals that reach the caller of a sandbox and are meant for what runs in it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::raw::{self, Blocked, Received};

/// Those by which a program is told to end.
const ENDS: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// All that are passed on. Not among them: those that the kernel raises for faults of our own, and those that cannot
/// be caught. SIGTTIN and SIGTTOU are here because we stop when the command has stopped, and not by ourselves.
const PASSED: [i32; 11] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
];

/// What a sandbox does about signals from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signals {
    /// How long all may take to end, if the caller's signals are passed on.
    pub(crate) grace: Option<Duration>,
    /// Whether the command shares the caller's terminal.
    pub(crate) shared_terminal: bool,
}

impl Signals {
    pub(crate) fn is_end(self, signal: i32) -> bool {
        ENDS.contains(&signal)
    }

    /// Whether a received signal has to be passed on. What the kernel sends for a key typed at the shared terminal,
    /// or for a change of its size, has reached the command as well.
    pub(crate) fn is_ours(self, received: Received) -> bool {
        !(received.by_kernel && self.shared_terminal)
    }
}

/// Those signals that end programs and that this process ignores, as under `nohup`: the command ignores them too.
pub(crate) fn ignored_ends() -> Vec<i32> {
    ENDS.into_iter().filter(|signal| raw::is_ignored(*signal)).collect()
}

/// Receives the caller's signals for as long as it lives.
pub(crate) struct Receiver {
    descriptor: OwnedFd,
    signals: Signals,
    _blocked: Blocked,
}

impl Receiver {
    pub(crate) fn new(signals: Signals) -> Result<Self, Errno> {
        // The kernel keeps a blocked signal even if it is ignored.
        let caught: Vec<_> = PASSED.into_iter().filter(|signal| !raw::is_ignored(*signal)).collect();
        let (blocked, descriptor) = raw::catch_signals(&caught)?;
        Ok(Self { descriptor, signals, _blocked: blocked })
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Passes what has come on to the first process of the sandbox.
    pub(crate) fn pass_on(&self, first: Pid) {
        while let Some(received) = raw::next_signal(self.descriptor()) {
            // A terminal that hangs up tells one process group only, but everything in the sandbox has to end.
            if received.signal == libc::SIGHUP || self.signals.is_ours(received) {
                raw::kill(first, received.signal);
            }
        }
    }

    /// Stops this process, as the command has been stopped, until somebody lets both go on.
    pub(crate) fn stop(&self, signal: i32, first: Pid) {
        // Who stops the command by SIGSTOP without a terminal is going to let it go on himself, and cannot know of us.
        let by_terminal = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
        if by_terminal || rustix::termios::isatty(rustix::stdio::stdin()) {
            raw::kill(rustix::process::getpid(), libc::SIGSTOP);
            raw::kill(first, libc::SIGCONT);
        }
    }
}
