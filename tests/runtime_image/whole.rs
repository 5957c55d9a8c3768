//! The image of `recipes/oocana-runtime.toml` itself, when the environment asks for it: it takes minutes.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::{Program, machine_architecture, number, our_program};

use crate::programs::a_workspace_is_built_for_the_other_architecture;
use crate::stage::{Container, Settings, Unpacked};

/// A flow in which a Python block feeds a shell block.
const FLOW: &str = "
nodes:
- node_id: first
  task:
    executor: {name: python, options: {entry: add.py}}
    inputs_def: [{handle: x}]
    outputs_def: [{handle: y}]
  inputs_from: [{handle: x, value: 41}]
- node_id: second
  task:
    executor: {name: shell}
    inputs_def: [{handle: command}, {handle: cwd}, {handle: envs}]
    outputs_def: [{handle: stdout}, {handle: stderr}]
  inputs_from:
  - {handle: command, from_node: [{node_id: first, output_handle: y}]}
  - {handle: cwd, value: null}
  - {handle: envs, value: null}
outputs_def: [{handle: r}]
outputs_from: [{handle: r, from_node: [{node_id: second, output_handle: stdout}]}]
";

const BLOCK: &str = "def main(inputs, context):\n    return {'y': f\"echo {inputs['x'] + 1}\"}\n";

#[test]
fn the_runtime_image_runs_flows() {
    if number("OVMLAYER_RUNTIME_IMAGE", 0) == 0 {
        the_recipes_are_sound();
        return;
    }
    a_workspace_is_built_for_the_other_architecture();
    eprintln!("soak: program of a workspace: built for the other architecture in a root of Debian's Rust");
    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs")).shared_cache();
    let component = |name: &str| format!("{name}={}", our_program(name).display());
    let (oocana, ovmlayer) = (component("oocana"), component("ovmlayer"));
    let more = ["--component", &oocana, "--component", &ovmlayer];
    let build = || {
        let words =
            ["build", "oocana-runtime", "--distro", "debian", "--json", "--arch", machine_architecture()];
        let printed = program.succeed(words.iter().chain(&more));
        serde_json::from_str::<Value>(&printed).expect("JSON")[0].clone()
    };
    let first = build();
    assert_eq!(first, build(), "the same image twice");
    eprintln!("soak: runtime image: {} bytes for {}", first["size"], machine_architecture());
    let image = Unpacked::new(&program.dist().join("oocana-runtime"));
    let flow = tempfile::tempdir().expect("a folder");
    fs::write(flow.path().join("flow.oo.yaml"), FLOW).expect("a flow");
    fs::write(flow.path().join("add.py"), BLOCK).expect("a block");
    let volume = tempfile::Builder::new().prefix("runtimevolume").tempdir().expect("a folder");
    for (privileged, read_only) in [(true, false), (true, false), (true, true), (false, false)] {
        runs_the_flow(&Container::new(&image), flow.path(), volume.path(), privileged, read_only);
    }
    executors_run_in_layers(&Container::new(&image), volume.path());
    eprintln!(
        "soak: runtime image: flows on a new and a kept volume, read-only, without rights, beside mosquitto, executors in layers"
    );
}

/// What a build of them needs first.
fn the_recipes_are_sound() {
    let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
    let listed = program.succeed(["list"]);
    for name in ["oocana-runtime", "oocana-mount"] {
        assert!(listed.contains(name), "{listed}");
    }
}

fn runs_the_flow(container: &Container, flow: &Path, volume: &Path, privileged: bool, read_only: bool) {
    let binds = [(flow, "/srv/flow")];
    let settings = Settings { privileged, read_only, volume: Some(volume), binds: &binds };
    let script = "export HOME=/tmp/home; mkdir -p $HOME
        oocana run /srv/flow/flow.oo.yaml --json --progress off
        mosquitto -d -p 47688
        until bash -c ': > /dev/tcp/127.0.0.1/47688' 2> /dev/null; do :; done
        oocana run /srv/flow/flow.oo.yaml --json --progress off --broker 127.0.0.1:47688";
    let (out, _) = container.script(settings, script);
    let outcomes = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
    let outcomes: Vec<Value> = outcomes.map(|outcome| outcome.expect("JSON")).collect();
    assert_eq!(outcomes.len(), 2, "{out}");
    for outcome in outcomes {
        assert_eq!(outcome["outputs"]["r"], "42", "{outcome}");
    }
}

/// The executor of Python blocks, and Node.js, in a stack on the layer that the image brings.
fn executors_run_in_layers(container: &Container, volume: &Path) {
    let settings = Settings { privileged: true, volume: Some(volume), ..Settings::default() };
    let script = "ovmlayer test system; ovmlayer create mine; ovmlayer merge -l executor -l mine -m m
        ovmlayer run --merged-point m zsh -i -c 'command -v python-executor; python -c \"import oocana; print(6 * 7)\"; node -p \"6 * 7\"'
        ovmlayer unmerge m";
    let (out, _) = container.script(settings, script);
    assert_eq!(out, "/usr/local/bin/python-executor\n42\n42\n");
}
