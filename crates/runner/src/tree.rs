//! The processes below one, by the system's own list.

use std::collections::{HashMap, HashSet};
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// All processes that descend from `root`, but for those that have ended and only wait to be noticed.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Some((parent, state)) =
            fs::read_to_string(entry.path().join("stat")).ok().and_then(|stat| parse(&stat))
        else {
            continue;
        };
        if !matches!(state, 'Z' | 'X') {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut left = vec![root];
    while let Some(parent) = left.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(child);
            left.push(child);
        }
    }
    found
}

/// The parent and the state in a line of `/proc/PID/stat`; the name before them may hold anything (proc(5)).
fn parse(stat: &str) -> Option<(u32, char)> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some((words.next()?.parse().ok()?, state))
}

/// Sends a signal; one that is gone already needs none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Kills what descends from this process but not from one of `known`. There is something only when a supervisor was killed:
/// this process then inherits what that one had to watch.
pub(crate) fn kill_orphans(known: &[u32]) {
    let kept: HashSet<u32> =
        known.iter().flat_map(|pid| descendants(*pid)).chain(known.iter().copied()).collect();
    for pid in descendants(std::process::id()).into_iter().filter(|pid| !kept.contains(pid)) {
        signal(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        assert_eq!(parse("12 (a) b) S 7 12 12 0"), Some((7, 'S')));
        assert_eq!(parse("12"), None);
    }

    #[test]
    fn children_are_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        assert!(descendants(std::process::id()).contains(&child.id()));
        signal(child.id(), Signal::KILL);
        child.wait().expect("it ends");
        assert!(!descendants(std::process::id()).contains(&child.id()));
    }
}
