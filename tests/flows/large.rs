//! Large values and many nodes. The counts are samples; `cargo xtask soak` takes those that must hold.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;
use testkit::number;

use crate::stage::Stage;

const TASK: &str = "executor: {name: python, options: {entry: main.py}}
inputs_def: [{handle: x}]
outputs_def: [{handle: y}]
";

fn python(stage: &Stage, body: &str) {
    stage.write("p/tasks/t/task.oo.yaml", TASK);
    stage.write("p/tasks/t/main.py", body);
}

/// Large values from Python to Node.js, to two at once, and out of the flow: each node makes another one, and none that nobody
/// waits for is held.
#[test]
fn large_values_cross() {
    let size = number("OOCANA_VALUE_SIZE", 20_000_000);
    let stage = Stage::new();
    stage.write("p/flows/f/make.py", "def main(inputs):\n    return {\"y\": \"x\" * inputs[\"x\"]}\n");
    stage.write("p/flows/f/more.mjs", "export default ({ x }) => ({ y: `${x}y` });\n");
    stage.write("p/flows/f/length.mjs", "export default ({ x }) => ({ y: x.length });\n");
    let task = |name, file| {
        format!(
            "{{executor: {{name: {name}, options: {{entry: {file}}}}}, inputs_def: [{{handle: x}}], outputs_def: [{{handle: y}}]}}"
        )
    };
    let mut text = format!(
        "nodes:\n- {{node_id: a, task: {}, inputs_from: [{{handle: x, value: {size}}}]}}\n",
        task("python", "make.py")
    );
    for (node, from, file) in [
        ("b", "a", "more.mjs"),
        ("c", "b", "more.mjs"),
        ("d", "c", "more.mjs"),
        ("e", "c", "length.mjs"),
        ("f", "d", "length.mjs"),
    ] {
        writeln!(
            text,
            "- {{node_id: {node}, task: {}, inputs_from: [{{handle: x, from_node: [{{node_id: {from}, output_handle: y}}]}}]}}",
            task("nodejs", file)
        )
        .expect("a text");
    }
    text.push_str("outputs_def: [{handle: e}, {handle: f}]\noutputs_from:\n");
    for node in ["e", "f"] {
        writeln!(text, "- {{handle: {node}, from_node: [{{node_id: {node}, output_handle: y}}]}}")
            .expect("a text");
    }
    let flow = stage.write("p/flows/f/flow.oo.yaml", &text);
    // Without reports as text, which would hold the value again.
    let mut command = stage.command(&["run"]);
    command.arg(flow).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let peak = peak(&mut child);
    let output = child.wait_with_output().expect("its end");
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        outcome["outputs"],
        json!({ "e": size + 2, "f": size + 3 }),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let limit = 40_000_000 + 3 * size;
    assert!(peak > size && peak <= limit, "the runner took {peak} bytes of {limit} for values of {size}");
    println!(
        "soak: values: {size} bytes crossed four times, runner's peak {} MB of {}",
        peak / 1_000_000,
        limit / 1_000_000
    );
}

/// The most memory of a process, in bytes, when it has ended. The high-water mark goes with the memory, so it is read again and again.
fn peak(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("a handle");
    let pause = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
    let mut peak = 0;
    while poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&pause)).expect("poll") == 0 {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = peak.max(mark.map_or(0, |mark| 1024 * mark.parse::<u64>().expect("a number")));
    }
    peak
}

#[test]
fn a_value_that_is_too_large_is_an_error_of_its_block() {
    let stage = Stage::new();
    python(&stage, "def main(inputs):\n    return {\"y\": \"x\" * inputs[\"x\"]}\n");
    let text = "nodes:\n- {node_id: a, task: 'self::t', inputs_from: [{handle: x, value: 268435456}]}\n";
    let flow = stage.write("p/flows/f/flow.oo.yaml", text);
    let run = stage.run(&flow, &[]);
    assert_eq!(run.status, Some(255), "{}", run.stderr);
    assert!(run.stderr.contains("node `a` failed"), "{}", run.stderr);
}

#[test]
fn independent_nodes_and_streams_finish() {
    let count = number("OOCANA_INDEPENDENT", 50);
    let stage = Stage::new();
    python(&stage, "def main(inputs):\n    return {\"y\": inputs[\"x\"]}\n");
    let mut text = String::from("nodes:\n");
    for node in 0..count {
        writeln!(
            text,
            "- {{node_id: n{node}, task: 'self::t', inputs_from: [{{handle: x, value: {node}}}]}}"
        )
        .expect("a text");
    }
    let flow = stage.write("p/flows/f/flow.oo.yaml", &text);
    let run = stage.run(&flow, &[]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.outcome["nodes"].as_object().map(|nodes| nodes.len() as u64), Some(count));

    let items = number("OOCANA_STREAMED", 100);
    stage.write(
        "p/flows/g/emit.py",
        "def main(inputs, context):\n    for x in range(inputs[\"n\"]):\n        context.output(\"x\", x)\n",
    );
    let text = format!(
        "nodes:\n- node_id: a\n  task: {{executor: {{name: python, options: {{entry: emit.py}}}}, inputs_def: [{{handle: n}}], \
         outputs_def: [{{handle: x}}]}}\n  inputs_from: [{{handle: n, value: {items}}}]\n\
         - {{node_id: b, task: 'self::t', concurrency: 16, inputs_from: [{{handle: x, from_node: [{{node_id: a, output_handle: x}}]}}]}}\n"
    );
    let flow = stage.write("p/flows/g/flow.oo.yaml", &text);
    let run = stage.run(&flow, &[]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.outcome["nodes"]["b"]["succeeded"], json!(items));
    println!("soak: independent Python nodes and streamed items: {count} and {items} finished");
}

/// A chain of conditions, which need no process, ends in one shell; a fan of them too.
#[test]
fn long_chains_and_wide_fans_run() {
    let (length, width) = (number("OOCANA_CHAIN", 5000), number("OOCANA_FAN", 2000));
    let stage = Stage::new();
    let way = "conditions: {cases: [], default: {handle: o}}, inputs_def: [{handle: i}]";
    let mut text = String::from("nodes:\n");
    for node in 0..length {
        let from = if node == 0 {
            "value: 7".to_owned()
        } else {
            format!("from_node: [{{node_id: n{}, output_handle: o}}]", node - 1)
        };
        writeln!(text, "- {{node_id: n{node}, {way}, inputs_from: [{{handle: i, {from}}}]}}")
            .expect("a text");
    }
    for node in 0..width {
        let from = format!("from_node: [{{node_id: n{}, output_handle: o}}]", length - 1);
        writeln!(text, "- {{node_id: f{node}, {way}, inputs_from: [{{handle: i, {from}}}]}}")
            .expect("a text");
    }
    let flow = stage.write("p/flows/f/flow.oo.yaml", &text);
    let run = stage.run(&flow, &[]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let nodes = run.outcome["nodes"].as_object().expect("an object");
    assert_eq!(nodes.len() as u64, length + width);
    assert!(nodes.values().all(|count| count["started"] == 1));
    println!("soak: longest chain and widest fan: {length} and {width} nodes ran");
}
