//! What is killed at any moment: executors, the broker, the runner.
//!
//! `OOCANA_KILLS` runs so many of each kind; the moments are chosen by chance, the same for the same `OOCANA_KILL_SEED`.

use std::fs;
use std::path::Path;
use std::process::{Child, Output};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use testkit::{Random, await_no_process_about, number, processes_about};

use crate::broker::Mosquitto;
use crate::stage::{Run, Stage};

/// Two Python blocks that go on for long and start a process each, and a shell that does so too.
const FLOW: &str = "nodes:
- node_id: a
  task: {executor: {name: python, options: {entry: long.py}}, outputs_def: [{handle: y}]}
- node_id: b
  task: {executor: {name: python, options: {entry: long.py}}, outputs_def: [{handle: y}]}
- node_id: s
  task: {executor: {name: shell}, inputs_def: [{handle: command}]}
  inputs_from: [{handle: command, value: 'setsid sleep 300 & sleep 300'}]
";

/// How many of each kind, unless `OOCANA_KILLS` says otherwise.
const KILLS: u64 = 4;

const BLOCK: &str = "import subprocess


def main():
    subprocess.run([\"setsid\", \"sleep\", \"300\"])
";

fn stage() -> (Stage, std::path::PathBuf) {
    let stage = Stage::new();
    stage.write("p/flows/f/long.py", BLOCK);
    let flow = stage.write("p/flows/f/flow.oo.yaml", FLOW);
    (stage, flow)
}

/// Waits for `time`, or until the run ends by itself, which it must not.
fn let_run(child: &Child, time: Duration) {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty()).expect("a handle");
    let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&time)).expect("poll");
}

fn end(child: Child, stage: &Stage) -> (Output, Run) {
    let output = child.wait_with_output().expect("the run ends");
    await_no_process_about(stage.path(), "after the end", |_| false);
    let run = Run::of(&output);
    (output, run)
}

/// Moments between the very beginning and when all blocks run.
fn moments(kind: u64) -> Vec<Duration> {
    let mut random = Random::new(number("OOCANA_KILL_SEED", 1) + kind);
    (0..number("OOCANA_KILLS", KILLS)).map(|_| Duration::from_millis(random.below(700))).collect()
}

/// A result for the page of the soak.
fn result(what: &str) -> String {
    format!("soak: {what}: {}, nothing left", number("OOCANA_KILLS", KILLS))
}

#[test]
fn a_runner_that_is_asked_to_end_does() {
    for (index, moment) in moments(1).into_iter().enumerate() {
        let (stage, flow) = stage();
        let child = stage.start(&flow, &[]);
        let_run(&child, moment);
        let signal = if index % 2 == 0 { Signal::TERM } else { Signal::INT };
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let (output, run) = end(child, &stage);
        // Before it watches for signals it ends as any program.
        let is_early = output.status.code().is_none() && run.reports.is_empty();
        assert!(is_early || run.status == Some(255), "{moment:?}: {output:?}");
        assert!(is_early || run.outcome["status"] == "cancelled", "{moment:?}: {}", run.outcome);
    }
    println!("{}", result("runners asked to end"));
}

#[test]
fn nothing_outlives_a_runner_that_is_killed() {
    for moment in moments(2) {
        let (stage, flow) = stage();
        let child = stage.start(&flow, &[]);
        let_run(&child, moment);
        kill_process(Pid::from_child(&child), Signal::KILL).expect("it runs");
        let (output, _) = end(child, &stage);
        assert_eq!(output.status.code(), None, "{moment:?}");
    }
    println!("{}", result("runners killed"));
}

/// Processes of the run whose command line has a word.
fn processes_with(stage: &Stage, word: &str) -> Vec<Pid> {
    let pids = processes_about(stage.path()).into_keys();
    let has_word = |pid: &u32| {
        let line = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        words.iter().take(2).any(|known| known.ends_with(word))
    };
    pids.filter(has_word).filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}

#[test]
fn a_killed_executor_or_supervisor_is_an_error_of_its_blocks() {
    for (index, moment) in moments(3).into_iter().enumerate() {
        let (stage, flow) = stage();
        let child = stage.start(&flow, &[]);
        let word = if index % 2 == 0 { "python-executor" } else { "supervise" };
        // Later than the chosen moment, when it has not been started by then.
        let mut killed = Vec::new();
        while killed.is_empty() {
            let_run(&child, moment.max(Duration::from_millis(5)));
            killed = processes_with(&stage, word);
        }
        for pid in killed {
            let _ = kill_process(pid, Signal::KILL);
        }
        let (_, run) = end(child, &stage);
        assert_eq!(run.status, Some(255), "{word} {moment:?}: {}", run.stderr);
        let node = run.outcome["error"]["node"].as_str().unwrap_or_default();
        assert!(["a", "b", "s"].contains(&node), "{word} {moment:?}: {}", run.outcome);
    }
    println!("{}", result("executors and supervisors killed"));
}

#[test]
fn a_killed_broker_is_named() {
    for moment in moments(4) {
        let (stage, flow) = stage();
        let mut broker = Mosquitto::start();
        let child = stage.start(&flow, &["--broker", &broker.address]);
        let_run(&child, moment.max(Duration::from_millis(100)));
        broker.process.kill().expect("it runs");
        broker.process.wait().expect("it ends");
        let (_, run) = end(child, &stage);
        assert_eq!(run.status, Some(1), "{moment:?}: {}", run.stderr);
        assert!(
            run.stderr.contains(&format!("the broker {} is not there", broker.address)),
            "{}",
            run.stderr
        );
    }
    println!("{}", result("brokers killed"));
}
