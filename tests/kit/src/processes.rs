//! Processes that have to do with a folder: what a test of clean ends looks for.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// After this time a process that still lives is one that stays.
const PATIENCE: Duration = Duration::from_secs(20);

/// The processes, but this one and its threads, that have anything to do with `folder`, and what that is: their program, an
/// open file, an argument, a variable, or a root filesystem that is made of it.
///
/// # Panics
/// When the list of processes cannot be read.
#[must_use]
pub fn processes_about(folder: &Path) -> BTreeMap<u32, String> {
    let needle = folder.to_string_lossy().into_owned();
    let own = std::process::id();
    let about = |process: &Path| -> Option<String> {
        let links = ["cwd", "root", "exe"].map(|name| fs::read_link(process.join(name)).ok());
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let open = open.map(|entry| fs::read_link(entry.path()).ok());
        let links = links.into_iter().chain(open).flatten().map(|path| path.to_string_lossy().into_owned());
        let texts = ["cmdline", "environ"].map(|name| fs::read(process.join(name)).ok());
        let texts = texts.into_iter().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        links.chain(texts).chain(root_mount(process)).find(|text| text.contains(&needle))
    };
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| Some((pid, about(&Path::new("/proc").join(pid.to_string()))?)))
        .collect()
}

/// What is mounted as the root filesystem of a process. Other mounts say nothing: a namespace begins with a copy of all.
fn root_mount(process: &Path) -> Option<String> {
    let mounts = fs::read_to_string(process.join("mountinfo")).ok()?;
    mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).map(str::to_owned)
}

/// Waits until no process but `expected` ones has anything to do with `folder`.
///
/// # Panics
/// When some are left after a long time; the message, which begins with `name`, has them.
pub fn await_no_process_about(folder: &Path, name: &str, expected: impl Fn(u32) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut left = processes_about(folder);
        left.retain(|pid, _| !expected(*pid));
        if left.is_empty() {
            return;
        }
        for pid in left.keys() {
            wait_for_end(*pid, deadline);
        }
        assert!(Instant::now() < deadline, "{name}: these processes are left: {left:#?}");
    }
}

/// Waits until a process is gone, or `deadline`.
fn wait_for_end(pid: u32, deadline: Instant) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // One that is gone already is what is waited for.
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(0), tv_nsec: 0 };
    let mut handles = [PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)];
    poll(&mut handles, Some(&left)).expect("poll");
}
