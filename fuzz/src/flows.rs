//! What the runner of flows reads: manifests, and packets of its broker.

use std::path::Path;

use flow::yaml;
use runner::mqtt::packet::{self, Packet};

pub(crate) const MANIFEST_WORDS: &[&str] = &[
    "nodes:\n",
    "- node_id: a\n",
    "  task: self::x\n",
    "inputs_from:",
    "from_node:",
    "from_flow:",
    "output_handle:",
    "handle: ",
    "value: ",
    "values:",
    "conditions:",
    "cases:",
    "expressions:",
    "operator: '=='",
    "slots:",
    "slotflow: self::y",
    "executor:",
    "name: python",
    "options:",
    "concurrency: -1",
    "timeout: 99999999999",
    "&a ",
    "*a",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "\n  ",
    "\t",
    "|\n",
    ">-\n",
    "!!str ",
    "? ",
    "---\n",
    "...\n",
    "#",
    "\u{2028}",
    "null",
    "1e400",
    "0x",
];

pub(crate) const PACKET_WORDS: &[&str] = &[
    "\x00\x04MQTT\x04\x02\x00\x3c",
    "\x10",
    "\x30",
    "\x32",
    "\x34",
    "\x40",
    "\x00\x01",
    "\x00\x00",
    "\x7f",
    "topic/of",
    "#",
    "+",
    "report",
];

/// Manifests of every kind.
pub(crate) fn manifest_seeds() -> Vec<Vec<u8>> {
    let flow = "description: a flow\ninputs_def: [{handle: p, json_schema: {type: number}, value: 1}]\nnodes:\n\
        - {node_id: v, values: [{handle: n, value: 1}]}\n\
        - node_id: a\n  task: self::x\n  concurrency: 3\n  inputs_from:\n  - handle: i\n    from_node:\n    \
        - {node_id: v, output_handle: n}\n    from_flow: [{input_handle: p}]\n\
        - {node_id: c, inputs_def: [{handle: i}], conditions: {cases: [{handle: y, logical: AND, expressions: \
        [{input_handle: i, operator: '==', value: 2}]}], default: {handle: n}}}\n\
        - {node_id: s, subflow: 'p::q', slots: [{slot_node_id: h, slotflow: 'self::z', inputs_from: [{handle: m, value: 1}]}]}\n\
        outputs_def: [{handle: r}]\noutputs_from: [{handle: r, from_node: [{node_id: a, output_handle: o}]}]\n";
    let task = "executor: {name: python, options: {entry: main.py, function: f, spawn: true}}\n\
        inputs_def: [{handle: i, nullable: true}, {group: g}]\noutputs_def: &o [{handle: o}]\nadditional_inputs: {a: *o}\n";
    let service = "executor: {name: python, entry: m.py, stop_at: never, keep_alive: 5}\nblocks: [{name: b, inputs_def: []}]\n";
    [flow, task, service].map(|text| text.as_bytes().to_vec()).into()
}

/// Packets of every kind that clients send.
pub(crate) fn packet_seeds() -> Vec<Vec<u8>> {
    let mut publish = packet::write_publish("session/s", Some(7), 2).unwrap_or_default();
    publish.extend_from_slice(b"{}");
    vec![
        packet::write_connect("python-executor-id-x", 60),
        publish,
        packet::write_subscribe(1, &["report", "inputs/s/j"]),
        packet::write_puback(7),
        packet::write_pingreq(),
        packet::write_disconnect(),
    ]
}

/// A manifest of any kind: every mistake in it has a place in it, and what can be read as JSON can be written as such.
pub fn manifest(input: &[u8]) {
    let lines = input.split(|byte| matches!(byte, b'\n' | b'\r')).count();
    for name in ["flow.oo.yaml", "task.oo.yaml", "service.oo.yaml"] {
        for problem in flow::manifest_problems(Path::new(name), input) {
            assert!(problem.place.line <= lines + 1, "{problem} lies in the file");
            assert!(!problem.message.is_empty());
        }
    }
    if let Ok(value) = yaml::parse(Path::new("any.yaml"), input) {
        let _ = value.to_json().to_string();
    }
}

/// Packets one after the other: reading ends, and what is read fits into what was there.
pub fn packets(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some(packet)) = packet::read(&mut rest) {
        let Packet::Publish { topic, id, payload } = packet else { continue };
        assert!(topic.len() + payload.len() <= input.len(), "a message is a part of what came");
        let mut written = packet::write_publish(&topic, id, payload.len()).expect("it came by MQTT");
        written.extend_from_slice(&payload);
        let again = packet::read(&mut &written[..]).expect("a packet").expect("one");
        assert_eq!(again, Packet::Publish { topic, id, payload }, "what is written is read again");
    }
}
