//! Every flow of the corpus.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;
use testkit::{await_no_process_about, number};

use crate::stage::{Run, Stage, corpus};

/// The flows, by name.
pub(crate) fn flows() -> Vec<PathBuf> {
    let entries = fs::read_dir(corpus().join("flows")).expect("the corpus");
    let mut flows: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    flows.sort();
    assert!(flows.len() >= 60, "the corpus has {} flows only", flows.len());
    flows
}

pub(crate) fn expectation(flow: &Path) -> Value {
    let text = fs::read_to_string(flow.join("expect.json")).expect("an expectation");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", flow.display()))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text")).collect()
}

/// What a run did otherwise than expected.
pub(crate) fn differences(run: &Run, expected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let status = expected.get("status").and_then(Value::as_i64).unwrap_or(0);
    if run.status.map(i64::from) != Some(status) {
        found.push(format!("status {:?} instead of {status}", run.status));
    }
    if let Some(outputs) = expected.get("outputs")
        && outputs != &run.outcome["outputs"]
    {
        found.push(format!("outputs {} instead of {outputs}", run.outcome["outputs"]));
    }
    if let Some(nodes) = expected.get("nodes") {
        let counts: BTreeMap<&String, &Value> = run.outcome["nodes"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(node, count)| (node, &count["started"]))
            .collect();
        let wanted: BTreeMap<&String, &Value> = nodes.as_object().expect("an object").iter().collect();
        if counts != wanted {
            found.push(format!("nodes ran {counts:?} instead of {wanted:?}"));
        }
    }
    for text in texts(&expected["stderr"]) {
        if !run.stderr.contains(text) {
            found.push(format!("stderr lacks `{text}`"));
        }
    }
    found.extend(event_differences(run, expected));
    found
}

/// The place that a report is about: node ids from the outermost flow inwards.
fn place(report: &Value) -> String {
    let stacks = report["stacks"].as_array().into_iter().flatten();
    stacks.filter_map(|entry| entry["node_id"].as_str()).collect::<Vec<_>>().join("/")
}

/// The name of a report as expectations write it.
fn event(report: &Value) -> String {
    let kind = report["type"].as_str().unwrap_or_default();
    match (kind, report["handle"].as_str()) {
        ("BlockOutput", Some(handle)) => format!("{kind} {handle}"),
        _ => kind.to_owned(),
    }
}

fn event_differences(run: &Run, expected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let of_place = |wanted: &str| -> Vec<String> {
        let reports = run.reports.iter().filter(|report| place(report) == wanted);
        reports.map(event).filter(|event| !matches!(event.as_str(), "BlockLog" | "BlockProgress")).collect()
    };
    for (node, events) in expected["events"].as_object().into_iter().flatten() {
        if of_place(node) != texts(events) {
            found.push(format!("events of `{node}` are {:?} instead of {events}", of_place(node)));
        }
    }
    // Every block that began has ended, once, and in that order.
    for report in run.reports.iter().filter(|report| report["type"] == "BlockStarted") {
        let of_job = run.reports.iter().filter(|other| other["job_id"] == report["job_id"]);
        let kinds: Vec<&str> = of_job.filter_map(|other| other["type"].as_str()).collect();
        let ends = kinds.iter().filter(|kind| **kind == "BlockFinished").count();
        let is_whole =
            kinds.first() == Some(&"BlockStarted") && ends == 1 && kinds.last() == Some(&"BlockFinished");
        if run.status == Some(0) && !is_whole {
            found.push(format!("the events of a job of `{}` are {kinds:?}", place(report)));
        }
    }
    let index = |text: &str| {
        let (node, kind) = text.split_once(' ').expect("a node and an event");
        run.reports.iter().position(|report| place(report) == node && report["type"] == kind)
    };
    for pair in expected["before"].as_array().into_iter().flatten() {
        let pair = texts(pair);
        match (index(pair[0]), index(pair[1])) {
            (Some(first), Some(second)) if first < second => {}
            (first, second) => found.push(format!("{pair:?} are at {first:?} and {second:?}")),
        }
    }
    let sessions = ["SessionStarted", "SessionFinished"];
    let kinds: Vec<&str> = run.reports.iter().filter_map(|report| report["type"].as_str()).collect();
    let ends = [kinds.first().copied().unwrap_or_default(), kinds.last().copied().unwrap_or_default()];
    if ends != sessions && expected.get("status") != Some(&2.into()) {
        found.push(format!("the session begins and ends with {ends:?}"));
    }
    found
}

/// Runs a flow and says what is wrong with it.
pub(crate) fn check(flow: &Path, arguments: &[&str]) -> Result<(), String> {
    let expected = expectation(flow);
    let stage = Stage::new();
    if let Some(secrets) = expected.get("secrets") {
        stage.write("home/app-config/oomol-secrets/secrets.json", &secrets.to_string());
    }
    let mut all = texts(&expected["args"]);
    all.extend(arguments);
    let run = stage.run(flow, &all);
    await_no_process_about(stage.path(), &flow.display().to_string(), |_| false);
    let found = differences(&run, &expected);
    if found.is_empty() {
        return Ok(());
    }
    let name = flow.file_name().unwrap_or_default().display();
    Err(format!("{name}:\n  {}\n{}\n{}", found.join("\n  "), run.outcome, run.stderr))
}

/// Runs flows, a few at a time, and fails with all that is wrong. They wait much, so there are more of them than processors.
pub(crate) fn check_all(flows: &[PathBuf], arguments: &[&str]) {
    let left = Mutex::new(flows.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 * std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(flow) = left.lock().expect("a lock").next() else { return };
                    if let Err(failure) = check(flow, arguments) {
                        failures.lock().expect("a lock").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("a lock");
    assert!(failures.is_empty(), "{} of {} flows:\n{}", failures.len(), flows.len(), failures.join("\n\n"));
}

#[test]
fn every_flow_does_what_is_expected() {
    let rounds = number("OOCANA_CORPUS_ROUNDS", 1);
    let mut flows = flows();
    if let Some(names) = std::env::var_os("OOCANA_CORPUS_ONLY") {
        let names = names.to_string_lossy().into_owned();
        flows.retain(|flow| names.split(',').any(|name| flow.ends_with(name)));
    }
    for _ in 0..rounds {
        check_all(&flows, &[]);
    }
    println!("soak: flows: {rounds} rounds of {} flows, embedded broker", flows.len());
}
