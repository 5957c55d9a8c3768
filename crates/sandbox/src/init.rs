//! The first process of a sandbox: carries out the plan, starts the command, reaps, forwards signals, reports.
//!
//! It is process 1 of its process namespace, so when it ends, the kernel kills everything else in the sandbox
//! before its parent can collect it. It ends when the command ends, and when the caller's process dies, in two ways:
//!
//! * The kernel sends it SIGKILL when the *thread* that forked it ends (`PR_SET_PDEATHSIG`). That is what we want,
//!   because [`crate::Sandbox::run`] stays on that thread until the sandbox is gone.
//! * It holds one end of a pipe, the lifeline, whose other end only the caller's process has (every sandbox
//!   closes the copies it inherits). This covers a caller that died before the first was armed.
//!
//! This is the child of a program with several threads: system calls only, no allocation.
#![expect(unsafe_code, reason = "starts the command by vfork")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, Gid, Uid};

use crate::command::Command;
use crate::plan::Plan;
use crate::raw;
use crate::reaper::Reaper;

/// What the first process tells the caller. Travels as twelve bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The act of this index failed.
    Act(usize, Errno),
    /// Starting the command failed.
    Start(Start, Errno),
    /// The command ended with this wait status.
    Ended(i32),
    /// The command was stopped by this signal. More will follow.
    Stopped(i32),
}

/// What is done between the fork and the exec of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Groups,
    Session,
    Limits,
    Filter,
    Capabilities,
    User,
    Exec,
    Streams,
    Fork,
}

const STARTS: [Start; 9] = [
    Start::Groups,
    Start::Session,
    Start::Limits,
    Start::Filter,
    Start::Capabilities,
    Start::User,
    Start::Exec,
    Start::Streams,
    Start::Fork,
];

impl Report {
    pub(crate) const SIZE: usize = 12;

    fn encode(self) -> [u8; Self::SIZE] {
        let (kind, index, value) = match self {
            Self::Act(index, errno) => (0_u32, index as u32, errno.raw_os_error()),
            Self::Start(start, errno) => (1, start as u32, errno.raw_os_error()),
            Self::Ended(status) => (2, 0, status),
            Self::Stopped(signal) => (3, 0, signal),
        };
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        bytes[4..8].copy_from_slice(&index.to_ne_bytes());
        bytes[8..].copy_from_slice(&value.to_ne_bytes());
        bytes
    }

    pub(crate) fn send(self, to: BorrowedFd<'_>) {
        // If the caller is gone there is nobody to tell.
        let _ = rustix::io::write(to, &self.encode());
    }

    pub(crate) fn decode(bytes: [u8; Self::SIZE]) -> Option<Self> {
        let [k0, k1, k2, k3, i0, i1, i2, i3, v0, v1, v2, v3] = bytes;
        let index = u32::from_ne_bytes([i0, i1, i2, i3]) as usize;
        let value = i32::from_ne_bytes([v0, v1, v2, v3]);
        match u32::from_ne_bytes([k0, k1, k2, k3]) {
            0 => Some(Self::Act(index, Errno::from_raw_os_error(value))),
            1 => Some(Self::Start(*STARTS.get(index)?, Errno::from_raw_os_error(value))),
            2 => Some(Self::Ended(value)),
            3 => Some(Self::Stopped(value)),
            _ => None,
        }
    }
}

/// Descriptors that the child is given; all are above 2.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Standard input, output and error; `None` keeps the caller's.
    pub(crate) streams: [Option<OwnedFd>; 3],
    pub(crate) report: OwnedFd,
    pub(crate) lifeline: OwnedFd,
    /// Files of the control groups that the command enters.
    pub(crate) groups: Vec<OwnedFd>,
}

/// The life of the first process.
pub(crate) fn live(plan: &mut Plan, ends: &Ends) -> ! {
    let report = match supervise(plan, ends) {
        Ok(status) => Report::Ended(status),
        Err(report) => report,
    };
    report.send(ends.report.as_fd());
    raw::exit(0)
}

fn supervise(plan: &mut Plan, ends: &Ends) -> Result<i32, Report> {
    let fail = |start| move |errno| Report::Start(start, errno);
    bind_to_caller(ends.lifeline.as_fd());
    connect(&ends.streams).map_err(fail(Start::Streams))?;
    let keep = [&ends.report, &ends.lifeline].into_iter().chain(&ends.groups).map(AsFd::as_fd);
    raw::close_all_but(&keep).map_err(fail(Start::Streams))?;
    let signals = raw::signal_descriptor().map_err(fail(Start::Streams))?;
    rustix::process::umask(Mode::empty());
    for (index, act) in plan.acts.iter().enumerate() {
        act.run(&mut plan.slots).map_err(|errno| Report::Act(index, errno))?;
    }
    let command = start(plan, &ends.groups)?;
    Reaper::new(command, plan.signals, signals.as_fd(), ends).run().map_err(fail(Start::Fork))
}

fn bind_to_caller(lifeline: BorrowedFd<'_>) {
    // Cannot fail: the signal is valid.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let mut fds = [PollFd::from_borrowed_fd(lifeline, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) {
        raw::exit(0);
    }
    // Shown by ps in place of the caller's name; of no further importance.
    let _ = rustix::thread::set_name(c"sandbox");
}

fn connect(streams: &[Option<OwnedFd>; 3]) -> Result<(), Errno> {
    let [input, output, error] = streams;
    input.as_ref().map_or(Ok(()), rustix::stdio::dup2_stdin)?;
    output.as_ref().map_or(Ok(()), rustix::stdio::dup2_stdout)?;
    error.as_ref().map_or(Ok(()), rustix::stdio::dup2_stderr)
}

/// What the command's process and this one share while it becomes the command.
struct Birth<'a> {
    command: &'a Command,
    groups: &'a [OwnedFd],
    failure: Option<(Start, Errno)>,
}

fn start(plan: &mut Plan, groups: &[OwnedFd]) -> Result<Pid, Report> {
    let mut birth = Birth { command: &plan.command, groups, failure: None };
    // SAFETY: `become_command` makes system calls only, and this process was made by a fork of one thread.
    let pid = unsafe { raw::vfork(&mut plan.stack, become_command, &mut birth) };
    match (pid, birth.failure) {
        (Ok(_), Some((start, errno))) => Err(Report::Start(start, errno)),
        (Ok(pid), None) => Ok(pid),
        (Err(errno), _) => Err(Report::Start(Start::Fork, errno)),
    }
}

fn become_command(birth: &mut Birth<'_>) {
    birth.failure = Some(exec(birth.command, birth.groups));
    raw::exit(127)
}

/// Gives up what the command must not have, and execs. Returns only what failed.
fn exec(command: &Command, groups: &[OwnedFd]) -> (Start, Errno) {
    match prepare(command, groups) {
        Err(failure) => failure,
        Ok(()) => {
            raw::reset_signals(&command.ignored);
            let mut worst = Errno::NOENT;
            for program in &command.programs {
                match raw::exec(program, &command.argv, &command.env) {
                    Errno::NOENT | Errno::NOTDIR => {}
                    errno => worst = errno,
                }
            }
            (Start::Exec, worst)
        }
    }
}

fn prepare(command: &Command, groups: &[OwnedFd]) -> Result<(), (Start, Errno)> {
    let fail = |start| move |errno| (start, errno);
    for group in groups {
        // The kernel takes 0 for whoever writes it.
        rustix::io::write(group, b"0").map_err(fail(Start::Groups))?;
    }
    if !command.keep_session {
        rustix::process::setsid().map_err(fail(Start::Session))?;
    }
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    if !command.keep_limits {
        limit_descriptors().map_err(fail(Start::Limits))?;
    }
    if command.no_new_privileges {
        rustix::thread::set_no_new_privs(true).map_err(fail(Start::Capabilities))?;
    }
    bound_capabilities(command.capabilities).map_err(fail(Start::Capabilities))?;
    // The last thing that can be done by all means, since a filter may forbid the rest; without no_new_privs it takes
    // CAP_SYS_ADMIN, which goes with exec or with the change of user.
    for filter in &command.filters {
        raw::install_filter(filter).map_err(fail(Start::Filter))?;
    }
    if let Some((uid, gid)) = command.user {
        become_user(uid, gid).map_err(fail(Start::User))?;
    }
    Ok(())
}

/// Some old programs close every descriptor up to the limit, which takes minutes when that is a billion; and
/// what a build sees should not depend on the caller's shell.
fn limit_descriptors() -> Result<(), Errno> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(1024, |maximum| maximum.min(1024));
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum })
}

/// Takes every other capability from the bounding set; exec then takes them from the process.
fn bound_capabilities(keep: CapabilitySet) -> Result<(), Errno> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Err(Errno::INVAL) => break, // beyond the last one this kernel knows
            other => other?,
        }
    }
    Ok(())
}

fn become_user(uid: u32, gid: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[gid])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_pipe() {
        let reports = STARTS.map(|start| Report::Start(start, Errno::PERM));
        for report in reports.into_iter().chain([
            Report::Act(77, Errno::NOENT),
            Report::Ended(0x1234),
            Report::Stopped(20),
        ]) {
            assert_eq!(Report::decode(report.encode()), Some(report));
        }
        assert_eq!(Report::decode([0xff; Report::SIZE]), None);
    }
}
