//! The command line: checks, drawings, questions, caches, help.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::stage::{Stage, corpus, root};

const COMMANDS: [&str; 7] = ["run", "check", "graph", "cache", "query", "package-layer", "completions"];

fn flow(name: &str) -> PathBuf {
    corpus().join("flows").join(name)
}

fn output(stage: &Stage, arguments: &[&str]) -> Output {
    stage.bounded(arguments).output().expect("the program starts")
}

/// Standard output of what succeeds.
fn succeed(stage: &Stage, arguments: &[&str]) -> String {
    let output = output(stage, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The reference is what the program says, so it cannot be out of date.
#[test]
fn the_reference_is_what_help_prints() {
    let stage = Stage::new();
    let mut page = String::from(
        "# Command line of `oocana`\n\nWhat `--help` prints; `OVMLAYER_BLESS=1 cargo test -p oocana --test flows -- cli` writes \
         this page.\n",
    );
    let main = ("oocana".to_owned(), vec!["--help"]);
    let others = COMMANDS.map(|command| (format!("oocana {command}"), vec![command, "--help"]));
    for (title, arguments) in std::iter::once(main).chain(others) {
        let help = succeed(&stage, &arguments);
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        page.push_str(&format!("\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    }
    let path = root().join("docs/oocana-command-line.md");
    if std::env::var_os("OVMLAYER_BLESS").is_some() {
        fs::write(&path, &page).expect("the page is written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "{} is out of date: run this test with OVMLAYER_BLESS=1", path.display());
}

#[test]
fn check_names_every_mistake_at_its_place() {
    let stage = Stage::new();
    let text = "nodes:\n\
        - node_id: a\n  task: self::nothing\n\
        - node_id: b\n  task:\n    executor: {name: shell}\n    inputs_def: [{handle: command}]\n  concurrency: \"2\"\n  \
          inputs_from:\n  - {handle: command, from_node: [{node_id: q, output_handle: r}]}\n  - {handle: more, value: 1}\n\
        - node_id: c\n  conditions: {cases: [{handle: x, expressions: [{input_handle: v, operator: '='}]}]}\n";
    let path = stage.write("p/flows/f/flow.oo.yaml", text);
    let output = output(&stage, &["check", &path.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = [
        ":3:9: the task `self::nothing` is not there; looked for ",
        ":8:16: `concurrency` must be a whole number from -2147483648 to 2147483647, not the text `2`",
        ":10:35: there is no node `q` in this flow",
        ":11:5: the block of node `b` has no input `more`",
        ":13:78: `=` is no operator; there are `==`",
    ];
    for part in expected {
        assert!(found.contains(part), "{part}\n{found}");
    }
    let clean = stage.bounded(&["check"]).arg(flow("diamond")).output().expect("the program starts");
    assert!(clean.status.success() && clean.stdout.is_empty(), "{clean:?}");
}

/// A check finds what a run would: every flow that starves or cannot start.
#[test]
fn check_agrees_with_run() {
    let stage = Stage::new();
    for (name, part) in [
        ("starved", "node `b` can never run: input `b` has neither a source nor a value in `inputs_from`"),
        ("never-runs", "with `concurrency: 0` the node never runs"),
        ("slot-empty", "leaves the slot `hole` of its subflow empty"),
        ("missing-task", "the task `self::nothing` is not there"),
        ("unknown-source", "there is no node `z` in this flow"),
    ] {
        let output = stage.bounded(&["check"]).arg(flow(name)).output().expect("the program starts");
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.code() == Some(1) && found.contains(part), "{name}: {found}");
    }
}

#[test]
fn graphs() {
    let stage = Stage::new();
    let flow = flow("diamond").display().to_string();
    let text = succeed(&stage, &["graph", &flow, "--format", "mermaid"]);
    for line in ["flowchart LR", "  n0[\"a<br/>inc\"]", "  n1 -->|\"y → a\"| n3", "  n3 -->|\"sum → r\"| n4"]
    {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    let picture = succeed(&stage, &["graph", &flow]);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    assert_eq!(picture.matches("<rect ").count(), 5);
}

#[test]
fn questions_are_answered_as_launchers_parse_them() {
    let stage = Stage::new();
    let path = flow("some-nodes").display().to_string();
    assert_eq!(
        succeed(&stage, &["query", "upstream", &path, "--nodes", "c"]),
        "run:a\nwaiting:b,c\nwhole:a,b,c\n"
    );
    let inputs =
        succeed(&stage, &["query", "inputs", &corpus().join("tasks/defaulted").display().to_string()]);
    let inputs: Value = serde_json::from_str(&inputs).expect("JSON");
    assert_eq!(inputs["b"], json!({ "handle": "b", "value": 7 }));
    assert_eq!(inputs["c"], json!({ "handle": "c", "nullable": true, "value": null }));
    assert_eq!(succeed(&stage, &["query", "inputs", &flow("empty").display().to_string()]), "null\n");
    let nodes =
        succeed(&stage, &["query", "nodes-inputs", &flow("constant-serves-all").display().to_string()]);
    let nodes: Value = serde_json::from_str(&nodes).expect("JSON");
    assert_eq!(nodes["s"], json!([{ "handle": "b", "value": 10 }]));
    let service = succeed(&stage, &["query", "service", &flow("service").display().to_string()]);
    let service: Value =
        serde_json::from_str(service.strip_prefix("service: ").expect("the word")).expect("JSON");
    assert_eq!((&service["is_global"], &service["entry"]), (&json!(false), &json!("main.py")));
    let package = succeed(&stage, &["query", "package", &path]);
    assert_eq!(package, format!("package-status: \"{}\":\"false\"\n", corpus().display()));
}

#[test]
fn values_are_kept_for_the_next_run() {
    let stage = Stage::new();
    // Of Python alone, and of Node.js after Python.
    for (name, last, first, outputs) in [
        ("chain", "c", json!({ "r": 4 }), json!({ "r": 4 })),
        ("mixed", "d", json!({ "r": 3, "q": "done" }), json!({ "r": 3 })),
    ] {
        let flow = flow(name);
        assert_eq!(stage.run(&flow, &[]).outcome["outputs"], first);
        let run = stage.run(&flow, &["--nodes", last, "--use-cache"]);
        let nodes = run.outcome["nodes"].as_object().expect("an object");
        assert_eq!(nodes.keys().collect::<Vec<_>>(), [last], "{}", run.stderr);
        assert_eq!(run.outcome["outputs"], outputs);
        let start = run.reports.iter().find(|report| report["type"] == "FlowNodesWillRun").expect("a report");
        assert_eq!(start["start_nodes"], json!([last]));
        succeed(&stage, &["cache", "clear"]);
        let run = stage.run(&flow, &["--nodes", last, "--use-cache"]);
        assert_eq!(run.outcome["nodes"].as_object().map(serde_json::Map::len), Some(3), "{}", run.stderr);
    }
}

#[test]
fn tasks_and_subflows_run_by_themselves() {
    let stage = Stage::new();
    let run = stage.run(&corpus().join("tasks/inc"), &["--inputs", "{\"x\": 5}"]);
    assert_eq!((run.status, &run.outcome["outputs"]), (Some(0), &json!({ "y": 6 })), "{}", run.stderr);
    let run = stage.run(&corpus().join("subflows/twice/subflow.oo.yaml"), &["--inputs", "{\"x\": 5}"]);
    assert_eq!((run.status, &run.outcome["outputs"]), (Some(0), &json!({ "y": 7 })), "{}", run.stderr);
    let run = stage.run(&corpus().join("tasks/fail"), &[]);
    assert_eq!(run.status, Some(255));
    assert!(run.stderr.contains("this block is broken"), "{}", run.stderr);
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    let stage = Stage::new();
    let flow = flow("empty").display().to_string();
    for arguments in [
        &["run"][..],
        &["run", &flow, "--inputs", "{"],
        &["run", &flow, "--reporter", "x", "y"],
        &["nothing"],
    ] {
        assert_eq!(output(&stage, arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(output(&stage, &["run", "not/there"]).status.code(), Some(255));
    // What launchers pass.
    let config = stage
        .write("config.toml", "[global]\nsearch_paths = [\"/x\"]\n[run.extra]\nsearch_paths = [\"/y\"]\n");
    let config = config.display().to_string();
    let words = ["--config", &config, "run", &flow, "--reporter=false", "--debug=false", "--dry-run"];
    assert_eq!(succeed(&stage, &words), "bind_paths: \nsearch_paths: /x,/y\n");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(&stage, &["completions", shell]);
        let path = stage.write("script", &script);
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
        let checked =
            std::process::Command::new(testkit::tool(shell)).arg("-n").arg(&path).status().expect("a shell");
        assert!(checked.success(), "{shell} does not like its script");
    }
}

/// Nothing is said on standard output unless it is asked for: launchers read it.
#[test]
fn a_run_prints_nothing_on_stdout() {
    let stage = Stage::new();
    let output = stage.bounded(&["run"]).arg(flow("shell-fails")).output().expect("the program starts");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(255), 0), "{output:?}");
    assert!(Path::new(&stage.path().join("home/.oocana/sessions")).is_dir());
}
