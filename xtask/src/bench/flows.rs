//! `cargo xtask bench flows`: how long flows take, and how much memory the runner does.
//!
//! There is no peer to run beside: the engine that existing flows know is not in any registry. The figures of it in the table
//! were measured once on a machine of the same kind; the goals are those of the design.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args;

use super::timing::{once, spread};
use super::{build, publish};
use crate::step::{root, show, step};
use crate::{Error, executors, machine, needs, node, report};

/// How the benchmark is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each flow runs, after a first time that is not counted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only the flows whose title has this text; the page is then not written.
    #[arg(long)]
    only: Option<String>,
}

/// Time between two looks at the memory.
const INTERVAL: Duration = Duration::from_millis(2);

/// How many nodes a chain has.
const CHAIN: usize = 50;

/// One flow.
struct Case {
    title: &'static str,
    /// Of a chain, the title of the flow with its first node alone.
    first: Option<&'static str>,
    /// What the other engine takes, in seconds.
    other: &'static str,
    goal: &'static str,
    flow: String,
}

const PYTHON: &str = "{executor: {name: python, options: {entry: t.py}}, inputs_def: [{handle: x}], outputs_def: [{handle: y}]}";
const NODE: &str = "{executor: {name: nodejs, options: {entry: t.mjs}}, inputs_def: [{handle: x}], outputs_def: [{handle: y}]}";
const SHELL: &str = "{executor: {name: shell}, inputs_def: [{handle: command}]}";

/// A node with an input from the one before, or a constant.
fn link(task: &str, number: usize, value: &str) -> String {
    let source = if number == 0 {
        format!("value: {value}")
    } else {
        format!("from_node: [{{node_id: n{}, output_handle: y}}]", number - 1)
    };
    format!("- {{node_id: n{number}, task: {task}, inputs_from: [{{handle: x, {source}}}]}}\n")
}

fn chain(task: &str, count: usize, value: &str) -> String {
    (0..count).map(|number| link(task, number, value)).collect()
}

fn independent(task: &str, count: usize) -> String {
    let node = |number| {
        format!("- {{node_id: n{number}, task: {task}, inputs_from: [{{handle: x, value: {number}}}]}}\n")
    };
    (0..count).map(node).collect()
}

fn stream(count: usize) -> String {
    let emit = PYTHON.replace("t.py", "emit.py");
    format!(
        "- {{node_id: a, task: {emit}, inputs_from: [{{handle: x, value: {count}}}]}}\n\
         - {{node_id: b, task: {PYTHON}, concurrency: 16, inputs_from: [{{handle: x, from_node: [{{node_id: a, output_handle: y}}]}}]}}\n"
    )
}

/// A text of so many bytes from one Python block to another.
fn value(size: usize) -> String {
    let make = PYTHON.replace("t.py", "make.py");
    chain(&make, 1, &size.to_string()) + &link(PYTHON, 1, "")
}

fn cases() -> Vec<Case> {
    let case = |title, other, goal, flow: String| Case { title, first: None, other, goal, flow };
    let after = |first, case: Case| Case { first: Some(first), ..case };
    let shell =
        format!("- {{node_id: a, task: {SHELL}, inputs_from: [{{handle: command, value: echo hi}}]}}\n");
    vec![
        case("empty flow", "0.616", "0.05", String::new()),
        case("one shell node", "0.617", "–", shell),
        case("one Python node", "0.956", "–", chain(PYTHON, 1, "1")),
        case("2 Python nodes", "1.156", "0.35", chain(PYTHON, 2, "1")),
        after(
            "one Python node",
            case(
                "chain of 50 Python nodes",
                "10.35",
                "15 ms a node after the first",
                chain(PYTHON, CHAIN, "1"),
            ),
        ),
        case("50 independent Python nodes", "never ended", "2", independent(PYTHON, 50)),
        case("200 streamed items, concurrency 16", "53.7", "–", stream(200)),
        case("one Node.js node", "–", "–", chain(NODE, 1, "1")),
        after(
            "one Node.js node",
            case("chain of 50 Node.js nodes", "9.86", "3 ms a node after the first", chain(NODE, CHAIN, "1")),
        ),
        case("50 independent Node.js nodes", "0.92", "–", independent(NODE, 50)),
        case("10 MB between two Python nodes", "1.82", "–", value(10_000_000)),
        case("50 MB between two Python nodes", "7.12", "memory 40 MB + 3 × 50 MB", value(50_000_000)),
    ]
}

/// Runs all flows and writes the section of the page.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    step("packages the benchmark needs", needs::for_tests)?;
    step("Node.js executor", node::build)?;
    step("Python executor", executors::provide)?;
    let program = build("oocana")?;
    let folder = tempfile::tempdir().map_err(Error::io("make a folder"))?;
    let mut page = machine::facts(&[]);
    let _ = writeln!(
        page,
        "- median of {} runs; the other engine: oocana-rust 0.31.3, measured once, with a broker of its own running\n\n\
         | flow | seconds | least | most | other engine | goal | runner's memory |\n| --- | --- | --- | --- | --- | --- | --- |",
        options.rounds
    );
    let mut medians: HashMap<&str, Duration> = HashMap::new();
    let is_meant = |case: &Case| options.only.as_ref().is_none_or(|text| case.title.contains(text.as_str()));
    for case in cases().iter().filter(|case| is_meant(case)) {
        let measured = measure(case, &program, folder.path(), options.rounds)?;
        medians.insert(case.title, measured.median);
        let line = row(case, &measured, case.first.and_then(|first| medians.get(first)));
        report::line(&line);
        let _ = writeln!(page, "{line}");
    }
    publish("Flows", &page, options.only.is_none())
}

/// What came of a flow.
struct Measured {
    median: Duration,
    least: Duration,
    most: Duration,
    /// Of the runner, in bytes.
    memory: u64,
}

/// A row of the table. `first` is what the first node of a chain takes alone.
fn row(case: &Case, measured: &Measured, first: Option<&Duration>) -> String {
    let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
    let further = first.map(|first| {
        let further = measured.median.saturating_sub(*first).as_secs_f64() / (CHAIN - 1) as f64;
        format!(" ({:.1} ms a node after the first)", 1000.0 * further)
    });
    format!(
        "| {} | {}{} | {} | {} | {} | {} | {} MB |",
        case.title,
        seconds(measured.median),
        further.unwrap_or_default(),
        seconds(measured.least),
        seconds(measured.most),
        case.other,
        case.goal,
        measured.memory / 1_000_000
    )
}

fn measure(case: &Case, program: &Path, folder: &Path, rounds: usize) -> Result<Measured, Error> {
    let place = folder.join("p/flows/f");
    fs::create_dir_all(&place).map_err(Error::io("make a folder"))?;
    let files = [
        ("flow.oo.yaml", format!("nodes:\n{}", case.flow)),
        ("t.py", "def main(inputs):\n    return {\"y\": 1}\n".to_owned()),
        ("make.py", "def main(inputs):\n    return {\"y\": \"x\" * inputs[\"x\"]}\n".to_owned()),
        ("emit.py", "def main(inputs, context):\n    for x in range(inputs[\"x\"]):\n        context.output(\"y\", x)\n".to_owned()),
        ("t.mjs", "export default (inputs) => ({ y: 1 });\n".to_owned()),
    ];
    for (name, text) in files {
        fs::write(place.join(name), text).map_err(Error::io(format!("write {name}")))?;
    }
    let log = folder.join("log");
    let mut times: Vec<Duration> = Vec::new();
    for round in 0..=rounds {
        let time = once(command(program, &place, folder), &log)?;
        if round > 0 {
            times.push(time);
        }
    }
    let memory = peak(command(program, &place, folder))?;
    let (median, least, most) = spread(&times).unwrap_or_default();
    Ok(Measured { median, least, most, memory })
}

fn command(program: &Path, flow: &Path, folder: &Path) -> Command {
    let old = env::var_os("PATH").unwrap_or_default();
    let own = [executors::python_programs(), root().join("executors/node/bin")];
    let all: Vec<PathBuf> = own.into_iter().chain(env::split_paths(&old)).collect();
    let path: OsString = env::join_paths(all).unwrap_or(old);
    let mut command = Command::new(program);
    command.arg("run").arg(flow).env("PATH", path).env("HOME", folder).current_dir(folder);
    command
}

/// The most memory of the runner itself, without the programs that it starts, in bytes: the high-water mark that the system keeps
/// of each process, read again and again until the end.
fn peak(mut command: Command) -> Result<u64, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(Error::io("start oocana"))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let end = loop {
        if let Some(end) = child.try_wait().map_err(Error::io("wait for oocana"))? {
            break end;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let mark = mark.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(1024 * mark.unwrap_or(0));
        thread::sleep(INTERVAL);
    };
    if end.success() {
        return Ok(peak);
    }
    Err(Error::Step { step: show(&command), reason: format!("it ended with {end}") })
}
