//! What is left of a stage: mounts and processes.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// After this time a process that still lives is one that stays.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A process that belongs to a stage.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    /// What it was started as.
    command: String,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.pid, self.command)
    }
}

/// The mount points of this mount namespace that lie beneath `folder`, the deepest last.
pub(crate) fn mounts_beneath(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let points =
        table.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| point.replace("\\040", " "));
    points.filter(|point| Path::new(point).starts_with(folder)).collect()
}

/// The processes that have a home in `folder`, or an overlay of it as their root.
pub(crate) fn processes_of(folder: &Path) -> Vec<Process> {
    let folder = folder.to_str().expect("a folder with a plain name");
    let home = format!("HOME={folder}/");
    let numbers = fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(Pid::from_raw).filter_map(|pid| belongs(pid, &home, folder)).collect()
}

/// A process that ends while it is looked at belongs to nobody.
fn belongs(pid: Pid, home: &str, folder: &str) -> Option<Process> {
    let proc = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
    let environment = proc("environ").ok()?;
    let at_home = environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(home.as_bytes()));
    let mounts = proc("mountinfo").unwrap_or_default();
    let mounts = String::from_utf8_lossy(&mounts);
    let mut roots = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/"));
    if !at_home && !roots.any(|line| line.contains(folder)) {
        return None;
    }
    let command = proc("cmdline").ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(Process { pid, command })
}

/// Waits until no process of `folder` is left, and gives those that stay.
pub(crate) fn wait_for_processes_of(folder: &Path) -> Vec<Process> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = processes_of(folder);
        let Some(first) = left.first() else { return left };
        if !wait_for(first.pid, end) {
            return left;
        }
    }
}

/// Whether a process ended before `end`.
pub(crate) fn wait_for(pid: Pid, end: Instant) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    let left = end.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).expect("a short time");
    let mut wanted = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    poll(&mut wanted, Some(&left)).is_ok_and(|ready| ready > 0)
}

/// Ends the processes of a folder, by number: for a test that has failed and would leave them.
pub(crate) fn end_processes_of(folder: &Path) {
    for process in processes_of(folder) {
        let _ = kill_process(process.pid, Signal::KILL);
    }
    wait_for_processes_of(folder);
}
