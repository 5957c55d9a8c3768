//! How runs end (contract 2.5): by themselves, by a signal, by the death of this program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Stage, scenarios};

scenarios!(
    a_signal_ends_the_whole_tree_and_the_point_can_be_unmerged,
    an_interactive_zsh_ends_too,
    the_death_of_the_program_ends_the_whole_tree,
    what_was_started_in_the_background_ends_with_the_command,
);

/// A run that has printed its first line.
fn started(stage: &Stage<'_>, command: &[&str]) -> Child {
    let mut child = stage
        .program
        .command(["run", "--all-devices", "--merged-point=m"].iter().chain(command))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    child
}

/// A number of seconds that no other test sleeps for.
fn mark(stage: &Stage<'_>, seconds: u32) -> String {
    let name: u32 = stage.arg("").bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{seconds}.{name}")
}

/// Whether a process runs whose arguments hold `mark`.
fn lives(mark: &str) -> bool {
    std::fs::read_dir("/proc").expect("processes").flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    })
}

fn merged<'s, 'u>(stage: &'s Stage<'u>) -> &'s Stage<'u> {
    stage.does("create l");
    stage.does("merge -l l -m m");
    stage
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_child(child);
    kill_process(pid, signal).expect("the program lives");
}

fn a_signal_ends_the_whole_tree_and_the_point_can_be_unmerged(stage: &Stage<'_>) {
    merged(stage);
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1)] {
        let mark = mark(stage, 10_000 + number);
        let script = format!("(sleep {mark} & sleep {mark}) & echo ready; sleep {mark}");
        let mut child = started(stage, &["sh", "-c", &script]);
        send(&child, signal);
        let status = child.wait().expect("an end");
        assert!(!status.success(), "{signal:?}: {status}");
        assert!(!lives(&mark), "{signal:?}: something lives on");
    }
    stage.does("unmerge m");
    stage.does("delete l");
}

/// It ignores SIGTERM, so passing that on to the command alone would not do.
fn an_interactive_zsh_ends_too(stage: &Stage<'_>) {
    merged(stage);
    let mark = mark(stage, 20_000);
    let mut child = started(stage, &["zsh", "-i", "-c", &format!("echo ready; sleep {mark}; exit 7")]);
    send(&child, Signal::TERM);
    let status = child.wait().expect("an end");
    // What it waits for has ended, and so it goes on; or it started that after the signal, and is killed in the end.
    assert!(matches!(status.code(), Some(7 | 137)), "{status}");
    assert!(!lives(&mark));
    stage.does("unmerge m");
}

fn the_death_of_the_program_ends_the_whole_tree(stage: &Stage<'_>) {
    merged(stage);
    let mark = mark(stage, 30_000);
    let script = format!("trap '' TERM HUP INT; sleep {mark} & echo ready; sleep {mark}; sleep {mark}");
    let mut child = started(stage, &["sh", "-c", &script]);
    send(&child, Signal::KILL);
    child.wait().expect("an end");
    // The pipe is at its end when the last process that could write to it is gone.
    let mut rest = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().expect("its output"), &mut rest).expect("the end");
    assert!(!lives(&mark));
    stage.does("unmerge m");
}

fn what_was_started_in_the_background_ends_with_the_command(stage: &Stage<'_>) {
    merged(stage);
    let mark = mark(stage, 40_000);
    stage.sh("m", &format!("sleep {mark} >/dev/null 2>&1 & true"));
    assert!(!lives(&mark));
    let result = stage.try_run(["unmerge", "m"]);
    assert!(result.status.success() && result.stderr.is_empty(), "not busy");
}
