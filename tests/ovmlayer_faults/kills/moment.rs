//! A moment in the run of a command, by how much it has computed: the same however busy the machine is.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// How a command ended, and how many nanoseconds of processor time were seen of it.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) computed: u64,
}

impl Ended {
    /// Whether it was killed before its end.
    pub(crate) fn killed(&self) -> bool {
        self.status.signal() == Some(Signal::KILL.as_raw())
    }
}

/// Runs a command and kills it when it has computed for `moment` nanoseconds; at the latest when `or` says so.
pub(crate) fn kill_after(mut command: Command, moment: u64, or: impl Fn() -> bool) -> Ended {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let process = Path::new("/proc").join(child.id().to_string());
    // What starts the program (`env`, `setpriv`) does not count.
    while !is_over(&process) && fs::read(process.join("comm")).is_ok_and(|name| name != b"ovmlayer\n") {
        thread::yield_now();
    }
    let before = computed(&process);
    let mut seen = 0;
    while !is_over(&process) && seen < moment && !or() {
        thread::yield_now();
        seen = seen.max(computed(&process).saturating_sub(before));
    }
    seen = seen.max(computed(&process).saturating_sub(before));
    send_kill(&child);
    Ended { status: child.wait().expect("its status"), computed: seen }
}

fn send_kill(child: &Child) {
    // It has not been waited for, so the number is still its own.
    kill_process(Pid::from_child(child), Signal::KILL).expect("a signal to an own child");
}

/// Whether a child has ended and only waits to be waited for.
fn is_over(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The state follows the name, which is in brackets and may hold anything.
    status.rsplit(") ").next().is_none_or(|rest| rest.starts_with(['Z', 'X']))
}

/// The processor time of all threads that live, in nanoseconds.
fn computed(process: &Path) -> u64 {
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    times.filter_map(|times| times.split(' ').next()?.parse::<u64>().ok()).sum()
}
