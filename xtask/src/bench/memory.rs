//! Peak memory of all processes that a program starts, together.
//!
//! A thread reads the proportional set size (`Pss` in `smaps_rollup`, proc(5)) of every descendant of this process
//! every 20 ms and keeps the highest sum. Pages that processes share count once. What the page cache or a tmpfs holds
//! does not count, and a peak shorter than the interval may be missed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::Error;

/// Time between two samples.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);

/// Runs `work` and gives its result with the highest sum seen meanwhile, in KiB.
pub(super) fn watch<T>(work: impl FnOnce() -> T) -> Result<(T, u64), Error> {
    // Orphans become our children, so that a process that leaves its parent is still seen.
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own))
        .map_err(|error| Error::io("adopt orphans")(error.into()))?;
    let own = own.as_raw_pid();
    let (stop, stopped) = channel::<()>();
    let sampler = thread::spawn(move || {
        let mut peak = 0;
        while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            peak = peak.max(descendants(own).into_iter().filter_map(proportional_size).sum());
        }
        peak
    });
    let result = work();
    drop(stop);
    let peak = sampler.join().unwrap_or(0);
    Ok((result, peak))
}

/// All processes beneath one.
fn descendants(ancestor: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if let Some(parent) = parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([ancestor]);
    let mut next = vec![ancestor];
    while let Some(process) = next.pop() {
        for child in children.get(&process).into_iter().flatten() {
            if seen.insert(*child) {
                found.push(*child);
                next.push(*child);
            }
        }
    }
    found
}

/// Second field after the program's name, which is in parentheses and may hold anything.
fn parent(process: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn proportional_size(process: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_and_its_memory_are_seen() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = i32::try_from(child.id()).unwrap();
        assert!(descendants(rustix::process::getpid().as_raw_pid()).contains(&process));
        assert!(proportional_size(process).unwrap() > 0);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
