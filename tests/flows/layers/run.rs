//! Flows whose packages have layers.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::{await_no_process_about, run};

use super::place::{Place, text};
use crate::stage::{python_programs, root};

const MANIFEST: &str = "name: demo
version: 1.0.0
scripts:
  bootstrap: echo preparing; echo made > /opt/made
";

const FLOW: &str = "nodes:
- node_id: look
  task: {executor: {name: python, options: {entry: look.py}}, outputs_def: [{handle: seen}]}
outputs_def: [{handle: seen}]
outputs_from: [{handle: seen, from_node: [{node_id: look, output_handle: seen}]}]
";

const LOOK: &str = "import os, time


def main():
    kept = os.environ['OOCANA_PKG_DIR']
    with open(f'{kept}/kept', 'w') as file:
        file.write('kept')
    with open('/opt/written', 'w') as file:
        file.write('x')
    seen = {name: os.environ.get(name) for name in ('OOMOL_A', 'DROPPED', 'LISTED')}
    seen['made'] = open('/opt/made').read() if os.path.exists('/opt/made') else None
    seen['cwd'] = os.getcwd()
    if os.path.exists(f'{kept}/wait'):
        open(f'{kept}/waits', 'w').close()
        time.sleep(300)
    return {'seen': seen}
";

/// A place with both executors in the layers below all others: their files are those of this machine, bound.
struct Flows {
    place: Place,
    flow: PathBuf,
    binds: PathBuf,
}

impl Flows {
    fn new(manifest: &str) -> Self {
        let place = Place::new();
        place.package("demo", manifest);
        place.stage.write("demo/flows/f/look.py", LOOK);
        let flow = place.stage.write("demo/flows/f/flow.oo.yaml", FLOW);
        let programs = python_programs();
        let node = root().join("executors/node");
        let path = format!("export PATH={}:{}/bin:$PATH\n", programs.display(), node.display());
        let rc = place.stage.write("rc/.zshrc", &path);
        place.ovmlayer(&["create", "executor"]);
        place.ovmlayer(&["cp", "--mode", "host2layer", text(&rc), "executor:/root"]);
        place.stage.write("home/.oomol-studio/oocana/layer.json", r#"{"base_rootfs":["executor"]}"#);
        let mut seen = vec![PathBuf::from("/usr"), programs.parent().expect("a folder").to_owned(), node];
        seen.extend(interpreter(&programs));
        let lines = seen.iter().map(|path| format!("src={0},dst={0},ro,recursive\n", path.display()));
        let binds = place.stage.write("binds", &lines.collect::<String>());
        Self { place, flow, binds }
    }

    fn arguments(&self) -> [&str; 3] {
        ["--bind-path-file", text(&self.binds), "--progress=plain"]
    }
}

/// Where the interpreter of the executor comes from, when that is not among the programs of the system.
fn interpreter(programs: &Path) -> Option<PathBuf> {
    let script = "import sys; print(sys.base_prefix)";
    let printed = run(std::process::Command::new(programs.join("python")).args(["-c", script]));
    let prefix = PathBuf::from(String::from_utf8(printed).expect("a path").trim());
    (!prefix.starts_with("/usr")).then_some(prefix)
}

#[test]
fn blocks_see_the_layers_of_their_package() {
    let flows = Flows::new(MANIFEST);
    let place = &flows.place;
    let list = place.stage.write("list", "LISTED=listed\n");
    let mut arguments = flows.arguments().to_vec();
    arguments.extend(["--env-file", text(&list)]);
    let mut seen = json!({ "made": "made\n", "cwd": text(&place.path("demo")), "OOMOL_A": "a", "DROPPED": null,
        "LISTED": "listed" });
    for round in ["made", "found"] {
        let run = place.stage.run_with(&flows.flow, &arguments, &[("OOMOL_A", "a"), ("DROPPED", "dropped")]);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        assert_eq!(run.outcome["outputs"]["seen"], seen, "{}", run.stderr);
        // What the script says is shown while it runs, which it does once.
        assert_eq!(run.stderr.contains("preparing"), round == "made", "{}", run.stderr);
        assert_eq!(fs::read_to_string(place.path("project/kept")).expect("what it keeps"), "kept");
        assert_eq!(place.layers().len(), 3, "the executor, the package and what its script made");
        place.is_clean();
    }
    assert!(!fs::exists("/opt/written").expect("a look"), "a block wrote to this machine");

    // Left out, it runs on this machine as it is.
    fs::write(place.path("demo/flows/f/look.py"), LOOK.replace("'/opt/written'", "f'{kept}/written'"))
        .expect("a file");
    let package = place.path("demo");
    arguments.extend(["--exclude-packages", text(&package)]);
    let run = place.stage.run_with(&flows.flow, &arguments, &[("DROPPED", "dropped")]);
    seen["made"] = json!(null);
    for (key, value) in
        [("OOMOL_A", json!(null)), ("DROPPED", json!("dropped")), ("cwd", json!(text(place.stage.path())))]
    {
        seen[key] = value;
    }
    assert_eq!(run.outcome["outputs"]["seen"], seen, "{}", run.stderr);
}

const MIXED: &str = "nodes:
- node_id: node
  task: {executor: {name: nodejs, options: {entry: look.ts}}, outputs_def: [{handle: seen}]}
- node_id: python
  task: {executor: {name: python, options: {entry: add.py}}, inputs_def: [{handle: seen}], outputs_def: [{handle: seen}]}
  inputs_from: [{handle: seen, from_node: [{node_id: node, output_handle: seen}]}]
outputs_def: [{handle: seen}]
outputs_from: [{handle: seen, from_node: [{node_id: python, output_handle: seen}]}]
";

const LOOK_TS: &str = "import { existsSync, readFileSync, writeFileSync } from 'node:fs';

enum Made {
  Path = '/opt/made',
}

export default async function (_inputs: object, context: any) {
  writeFileSync(`${context.pkgDataDir}/kept`, 'kept');
  writeFileSync('/opt/written', 'x');
  if (process.env.OOMOL_FAIL) throw new Error('it is told to fail');
  const seen = { made: readFileSync(Made.Path, 'utf8'), cwd: process.cwd(), dropped: process.env.DROPPED ?? null };
  return { seen: { ...seen, a: process.env.OOMOL_A, source: existsSync('.hidden') } };
}
";

/// What one executor has written is not there for the other one: each has a stack of its own.
const ADD: &str = "import os


def main(inputs):
    return {'seen': {**inputs['seen'], 'python': [open('/opt/made').read(), os.path.exists('/opt/written')]}}
";

#[test]
fn node_blocks_see_the_layers_of_their_package() {
    let flows = Flows::new(MANIFEST);
    let place = &flows.place;
    place.stage.write("demo/flows/f/look.ts", LOOK_TS);
    place.stage.write("demo/flows/f/add.py", ADD);
    fs::write(&flows.flow, MIXED).expect("a flow");
    let run =
        place.stage.run_with(&flows.flow, &flows.arguments(), &[("OOMOL_A", "a"), ("DROPPED", "dropped")]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let seen = json!({ "made": "made\n", "cwd": text(&place.path("demo")), "dropped": null, "a": "a", "source": true,
        "python": ["made\n", false] });
    assert_eq!(run.outcome["outputs"]["seen"], seen, "{}", run.stderr);
    assert_eq!(fs::read_to_string(place.path("project/kept")).expect("what it keeps"), "kept");
    assert!(!fs::exists("/opt/written").expect("a look"), "a block wrote to this machine");
    place.is_clean();

    // An error has its place in the source, as in flows without layers.
    let run = place.stage.run_with(&flows.flow, &flows.arguments(), &[("OOMOL_FAIL", "1")]);
    assert_eq!(run.status, Some(255));
    for part in ["node `node` failed", "it is told to fail", "demo/flows/f/look.ts:10:"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    place.is_clean();
}

const INJECTED: &str = "nodes:
- node_id: look
  task: {executor: {name: python, options: {entry: scripts/look.py}}, outputs_def: [{handle: seen}]}
  inject: {package: other, script: 'echo from the node >> /opt/injected'}
injection: {other: 'cat /opt/made > /opt/injected'}
outputs_def: [{handle: seen}]
outputs_from: [{handle: seen, from_node: [{node_id: look, output_handle: seen}]}]
";

const LOOK_INJECTED: &str = "import os


def main():
    return {'seen': [open('/opt/injected').read(), os.getcwd(), __file__, os.listdir('.')]}
";

#[test]
fn a_node_is_injected_into_another_package() {
    let flows = Flows::new("version: 1.0.0\n");
    let place = &flows.place;
    let other = place.package("search/other", &MANIFEST.replace("demo", "other"));
    place.stage.write("demo/flows/f/scripts/look.py", LOOK_INJECTED);
    fs::write(&flows.flow, INJECTED).expect("a flow");
    let search = place.path("search");
    let mut arguments = flows.arguments().to_vec();
    arguments.extend(["--search-paths", text(&search)]);
    let mut layers = Vec::new();
    for round in 0..2 {
        let run = place.stage.run(&flows.flow, &arguments);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        let mut seen = run.outcome["outputs"]["seen"].clone();
        let names = seen.as_array_mut().and_then(Vec::pop).expect("names");
        assert!(names.as_array().is_some_and(|names| names.contains(&json!("file"))), "{names}");
        let entry = other.join("scripts/look.py");
        assert_eq!(seen, json!(["made\nfrom the node\n", text(&other), text(&entry)]), "{}", run.stderr);
        place.is_clean();
        if round == 0 {
            layers = place.layers();
            assert_eq!(layers.len(), 4, "the executor, the package, what its script made, what was injected");
        }
        assert_eq!(place.layers(), layers, "what was injected is used again");
    }
    place.layer(&["delete", text(&other)]);
    assert_eq!(place.layers(), ["executor"]);
}

const OF_OTHERS: &str = "nodes:
- node_id: own
  task: {executor: {name: python, options: {entry: look.py}}, outputs_def: [{handle: seen}]}
- node_id: other
  task: other::look
outputs_def: [{handle: own}, {handle: other}]
outputs_from:
- {handle: own, from_node: [{node_id: own, output_handle: seen}]}
- {handle: other, from_node: [{node_id: other, output_handle: seen}]}
";

#[test]
fn tasks_of_other_packages_run_in_theirs() {
    let flows = Flows::new("version: 1.0.0\n");
    let place = &flows.place;
    let (own, other) =
        (place.path("demo"), place.package("search/other", &MANIFEST.replace("demo", "other")));
    place.stage.write("search/other/tasks/look/look.py", LOOK);
    let task = "executor: {name: python, options: {entry: look.py}}\noutputs_def: [{handle: seen}]\n";
    place.stage.write("search/other/tasks/look/task.oo.yaml", task);
    fs::write(&flows.flow, OF_OTHERS).expect("a flow");
    let search = place.path("search");
    let mut arguments = flows.arguments().to_vec();
    arguments.extend(["--search-paths", text(&search)]);
    let places = |run: &crate::stage::Run| {
        let outputs = &run.outcome["outputs"];
        ["own", "other"].map(|name| [outputs[name]["cwd"].clone(), outputs[name]["made"].clone()])
    };
    let in_other = [json!(text(&other)), json!("made\n")];
    let run = place.stage.run(&flows.flow, &arguments);
    assert_eq!(places(&run), [[json!(text(&own)), json!(null)], in_other.clone()], "{}", run.stderr);
    // Left out, it runs in the layers of the package that stands in for it, where its blocks have to be shown.
    let bind = format!("src={0},dst={0},ro", text(&own));
    arguments.extend([
        "--exclude-packages",
        text(&own),
        "--default-package",
        text(&other),
        "--bind-paths",
        &bind,
    ]);
    let run = place.stage.run(&flows.flow, &arguments);
    assert_eq!(places(&run), [in_other.clone(), in_other], "{}", run.stderr);
    place.is_clean();
}

#[test]
fn a_script_that_fails_is_the_error_of_its_blocks() {
    let flows = Flows::new("version: 1.0.0\nscripts: {bootstrap: \"echo no such thing >&2; exit 7\"}\n");
    let run = flows.place.stage.run(&flows.flow, &flows.arguments());
    assert_eq!(run.status, Some(255));
    let error = run.outcome["error"]["message"].as_str().unwrap_or_default().to_owned();
    for part in ["no such thing", "the bootstrap script of", "exit status: 7"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(flows.place.layers(), ["executor"]);
    flows.place.is_clean();
}

#[test]
fn nothing_outlives_a_script_whose_run_is_killed() {
    let script = "version: 1.0.0\nscripts: {bootstrap: \"touch /srv/waits; sleep 300\"}\n";
    let flows = Flows::new(script);
    let place = &flows.place;
    let bind = format!("src={},dst=/srv", text(&place.path("project")));
    let mut arguments = flows.arguments().to_vec();
    arguments.extend(["--bind-paths", &bind]);
    for signal in [Signal::INT, Signal::KILL] {
        let mut child = place.stage.start(&flows.flow, &arguments);
        place.stage.await_file("project/waits", &mut child);
        assert_eq!(place.layers().len(), 3, "the executor and what is being made");
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        child.wait_with_output().expect("it ends");
        await_no_process_about(place.stage.path(), "after the end", |_| false);
        assert_eq!(place.layers(), ["executor"], "{signal:?}");
        place.is_clean();
        fs::remove_file(place.path("project/waits")).expect("it goes");
    }
}

#[test]
fn nothing_outlives_a_run_that_is_killed() {
    let flows = Flows::new(MANIFEST);
    let place = &flows.place;
    place.layer(&["create", text(&place.path("demo"))]);
    let layers = place.layers();
    place.stage.write("project/wait", "");
    for signal in [Signal::TERM, Signal::KILL] {
        let mut child = place.stage.start(&flows.flow, &flows.arguments());
        place.stage.await_file("project/waits", &mut child);
        assert_eq!(place.layers().len(), layers.len() + 1);
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        child.wait_with_output().expect("it ends");
        await_no_process_about(place.stage.path(), "after the end", |_| false);
        assert_eq!(place.layers(), layers, "{signal:?}");
        place.is_clean();
        fs::remove_file(place.path("project/waits")).expect("it goes");
    }
    // When whoever watches is killed too, the next one removes what is left.
    let mut child = place.stage.start(&flows.flow, &flows.arguments());
    place.stage.await_file("project/waits", &mut child);
    for _ in 0..3 {
        for pid in testkit::processes_about(place.stage.path()).into_keys() {
            let _ = Pid::from_raw(i32::try_from(pid).expect("a number"))
                .map(|pid| kill_process(pid, Signal::KILL));
        }
    }
    let _ = child.wait_with_output();
    await_no_process_about(place.stage.path(), "after the end", |_| false);
    place.layer(&["list"]);
    assert_eq!(place.layers(), layers);
    place.is_clean();
}
