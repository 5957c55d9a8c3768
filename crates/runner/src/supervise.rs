//! The process between the runner and a program that it starts.
//!
//! It holds one end of a socket, the runner the other. When the runner is gone, whatever ended it, the system closes its end,
//! and the supervisor ends the program with all that descends from it: descendants that have lost their parent become
//! children of the supervisor, so none is missed. (`PR_SET_PDEATHSIG` would not do: it tells of the end of a thread, and only
//! direct children.)
//!
//! When the program ends by itself, the supervisor says so at once; what the program has left running, such as a server for
//! later blocks, lives until the runner goes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, set_child_subreaper, wait};

use crate::tree::{descendants, signal};

/// How long processes may take to end when they are asked to.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a program to its end, or to that of whoever holds the other end of the socket on standard input.
///
/// # Errors
/// When the system denies what is needed to watch it.
pub fn supervise(program: &OsStr, arguments: &[OsString]) -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    let lifeline = rustix::stdio::stdin();
    let mut child = match Command::new(program).args(arguments).stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => return say(lifeline, &format!("failed {error}")),
    };
    let handle = open(child.id())?;
    let is_alone = wait_for_end(lifeline, &[handle])?;
    if !is_alone {
        let status = child.wait()?;
        say(lifeline, &ending(status))?;
        while has_children()? {
            let handles: Vec<OwnedFd> =
                descendants(std::process::id()).into_iter().filter_map(|pid| open(pid).ok()).collect();
            if wait_for_end(lifeline, &handles)? {
                break;
            }
        }
    }
    end_all()
}

/// What the runner is told of the end of a program.
fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited {code}"),
        (None, signal) => format!("killed {}", signal.unwrap_or_default()),
    }
}

fn say(lifeline: BorrowedFd<'_>, line: &str) -> io::Result<()> {
    match rustix::io::write(lifeline, format!("{line}\n").as_bytes()) {
        // The runner is gone; what follows is found out by reading.
        Ok(_) | Err(rustix::io::Errno::PIPE) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until one of the processes has ended (`false`) or the runner is gone (`true`).
fn wait_for_end(lifeline: BorrowedFd<'_>, processes: &[OwnedFd]) -> io::Result<bool> {
    let mut handles = vec![PollFd::from_borrowed_fd(lifeline, PollFlags::IN)];
    handles.extend(processes.iter().map(|process| PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)));
    loop {
        match poll(&mut handles, None) {
            Ok(_) => return Ok(!handles[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes note of children that have ended; whether others are left.
fn has_children() -> io::Result<bool> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(rustix::io::Errno::CHILD) => return Ok(false),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends all descendants: asks them, then kills them.
fn end_all() -> io::Result<()> {
    let deadline = Instant::now() + GRACE;
    for pid in descendants(std::process::id()) {
        signal(pid, Signal::TERM);
    }
    while has_children()? {
        let left = deadline.saturating_duration_since(Instant::now());
        let pids = descendants(std::process::id());
        if left.is_zero() {
            for pid in &pids {
                signal(*pid, Signal::KILL);
            }
        }
        let handles: Vec<OwnedFd> = pids.into_iter().filter_map(|pid| open(pid).ok()).collect();
        let Some(first) = handles.first() else { continue };
        let mut poll_handles = [PollFd::from_borrowed_fd(first.as_fd(), PollFlags::IN)];
        let time = if left.is_zero() { GRACE } else { left };
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        let _ = poll(&mut poll_handles, Some(&time));
    }
    Ok(())
}
