//! Blocks and values that come from servers, with stand-ins for these on the loopback interface: connectors, blocks
//! without source, secrets of accounts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use testkit::{Asked, Reply, Script};

use crate::stage::{Run, Stage};

const CONNECTORS: &str = "nodes:
- node_id: a
  task: {executor: {name: connector, options: {action: 'mail.send_it/now-1~é'}}, inputs_def: [{handle: x}],
    outputs_def: [{handle: y}, {handle: told}]}
  inputs_from: [{handle: x, value: {deep: [1, 'two']}}]
- node_id: b
  task: {executor: {name: connector, options: {action: whole}}, inputs_def: [{handle: x}], outputs_def: [{handle: output}]}
  inputs_from: [{handle: x, from_node: [{node_id: a, output_handle: y}]}]
outputs_def: [{handle: r}, {handle: told}]
outputs_from:
- {handle: r, from_node: [{node_id: b, output_handle: output}]}
- {handle: told, from_node: [{node_id: a, output_handle: told}]}
";

fn json_of(asked: &Asked) -> Value {
    serde_json::from_slice(&asked.body).unwrap_or_default()
}

fn answer(value: &Value) -> Reply {
    Reply::new(200, value.to_string())
}

fn error_of(run: &Run) -> String {
    assert_eq!(run.status, Some(255), "{}", run.stderr);
    run.outcome["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn connectors_are_asked_and_their_values_go_on() {
    let server = Script::start(|asked| {
        let told = ["authorization", "content-type"].map(|name| asked.request.header(name));
        let data = json!({ "y": json_of(asked)["input"]["x"], "told": told, "undeclared": 1 });
        answer(&json!({ "success": true, "message": "OK", "data": data, "meta": { "actionId": "a" } }))
    });
    let stage = Stage::new();
    let flow = stage.write("p/flows/f/flow.oo.yaml", CONNECTORS);
    let value = json!({ "deep": [1, "two"] });
    // With and without a token, by flag and by variable, with and without a slash at the end.
    let url = server.url();
    let run = stage.run_with(
        &flow,
        &["--connector-base-url", &format!("{url}/")],
        &[("OOMOL_TOKEN", "t0ken"), ("OOCANA_CONNECTOR_BASE_URL", "http://127.0.0.1:1")],
    );
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.outcome["outputs"]["told"], json!(["Bearer t0ken", "application/json"]));
    assert_eq!(run.outcome["outputs"]["r"]["y"], value, "{}", run.outcome);
    let run = stage.run_with(&flow, &[], &[("OOCANA_CONNECTOR_BASE_URL", &url)]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.outcome["outputs"]["told"], json!([null, "application/json"]));
    let asked: Vec<String> = server
        .requests()
        .iter()
        .map(|request| format!("{} {} {}", request.method, request.target, request.status))
        .collect();
    let each = ["POST /v1/actions/mail.send_it%2Fnow-1~%C3%A9 200", "POST /v1/actions/whole 200"];
    assert_eq!(asked, [each, each].concat());
}

#[test]
fn what_a_connector_complains_about_is_the_error_of_its_block() {
    let no = json!({ "success": false, "message": "no more mail", "errorCode": "QUOTA" }).to_string();
    let table = [
        ("refusal", Reply::new(200, no.clone()), "no more mail (QUOTA)"),
        ("refusal with a status", Reply::new(403, no), "status 403: no more mail (QUOTA)"),
        ("a status with a page", Reply::new(404, "<p>nothing"), "status 404: <p>nothing"),
        ("a server that is broken", Reply::new(500, "{}"), "500"),
        ("no JSON", Reply::new(200, "<p>hello"), "the answer is no JSON"),
        ("another form", Reply::new(200, "[1]"), "[1]"),
        ("no answer", Reply::hang_up(), "/v1/actions/mail.send_it"),
    ];
    let stage = Stage::new();
    let flow = stage.write("p/flows/f/flow.oo.yaml", CONNECTORS);
    for (summary, reply, part) in table {
        let server = Script::start(move |_| reply.clone());
        let run = stage.run(&flow, &["--connector-base-url", &server.url()]);
        let error = error_of(&run);
        assert!(error.contains(part), "{summary}: {error}");
        assert!(run.stderr.contains("node `a` failed"), "{summary}: {}", run.stderr);
        assert_eq!(server.requests().len(), 1, "{summary}: what may change something is asked for once");
    }
    let error = error_of(&stage.run(&flow, &[]));
    assert!(error.contains("no connector server is known; say `--connector-base-url`"), "{error}");
}

#[test]
fn a_connector_may_take_as_long_as_its_node_says() {
    // It answers when the run is over, so that nothing is measured.
    let (over, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let server = Script::start(move |_| {
        let _ = wait.lock().expect("a lock").recv();
        Reply::new(200, "{}")
    });
    let stage = Stage::new();
    let text = CONNECTORS.replace("- node_id: a\n", "- node_id: a\n  timeout: 1\n");
    let flow = stage.write("p/flows/f/flow.oo.yaml", &text);
    let run = stage.run(&flow, &["--connector-base-url", &server.url()]);
    drop(over);
    let error = error_of(&run);
    assert!(error.to_lowercase().contains("timeout"), "{error}");
}

const FAR: &str = "nodes:
- {node_id: f, task: 'far::blk', inputs_from: [{handle: x, value: 4}]}
outputs_def: [{handle: r}]
outputs_from: [{handle: r, from_node: [{node_id: f, output_handle: y}]}]
";

/// A flow with a block of a package that hides its source, and what has to be said for the package to be found.
struct Far {
    stage: Stage,
    flow: PathBuf,
    search: PathBuf,
}

impl Far {
    fn new(metadata: &str) -> Self {
        let stage = Stage::new();
        stage.write("far/far/.metadata.oo.json", metadata);
        stage.write("far/far/package.oo.yaml", "name: '@me/far'\nversion: 1.2.3\n");
        let task = "executor: {name: python, options: {entry: not-here.py}}\ninputs_def: [{handle: x}]\noutputs_def: [{handle: y}]\n";
        stage.write("far/far/tasks/blk/task.oo.yaml", task);
        let flow = stage.write("p/flows/f/flow.oo.yaml", FAR);
        let search = stage.path().join("far");
        Self { stage, flow, search }
    }

    fn run(&self, url: &str, arguments: &[&str]) -> Run {
        let search = self.search.to_str().expect("a path of UTF-8");
        let all = [&["--remote-block-url", url, "--search-paths", search], arguments].concat();
        self.stage.run_with(&self.flow, &all, &[("OOMOL_TOKEN", "t0ken")])
    }
}

/// A server that makes a task `t-1` and says of it what is asked for: `state` by how often it was asked before.
fn tasks(state: impl Fn(usize) -> Value + Send + Sync + 'static) -> Script {
    let polls = AtomicUsize::new(0);
    Script::start(move |asked| {
        if asked.request.header("authorization") != Some("Bearer t0ken") {
            return Reply::new(401, r#"{"message":"who?"}"#);
        }
        match asked.request.target.strip_prefix("/v3/users/me/tasks").unwrap_or_default() {
            "" => {
                let expected = json!({ "type": "serverless", "packageName": "@me/far", "packageVersion": "1.2.3",
                    "blockName": "blk", "inputValues": { "x": 4 } });
                let is_right = asked.request.method == "POST" && json_of(asked) == expected;
                if is_right {
                    answer(&json!({ "taskID": "t-1" }))
                } else {
                    Reply::new(400, asked.body.clone())
                }
            }
            "/t-1" => answer(&state(polls.fetch_add(1, Ordering::Relaxed))),
            "/t-1/logs?page=1" => answer(&json!({ "logs": ["one", "two"] })),
            "/t-1/logs?page=2" => answer(&json!({ "logs": [{ "message": "three" }] })),
            "/t-1/logs?page=3" => answer(&json!({ "logs": [] })),
            "/t-1/result" => answer(&json!({ "resultData": { "y": 5, "undeclared": 6 } })),
            _ => Reply::new(404, "{}"),
        }
    })
}

fn logs(run: &Run) -> Vec<&str> {
    let logs = run.reports.iter().filter(|report| report["type"] == "BlockLog");
    logs.filter(|report| report["stdio"] == "remote_task")
        .filter_map(|report| report["log"].as_str())
        .collect()
}

#[test]
fn blocks_without_source_run_far_away() {
    let far = Far::new(r#"{"hide_source":true}"#);
    let server = tasks(|poll| match poll {
        0 => json!({ "status": "running", "progress": 30 }),
        _ => json!({ "status": "success", "progress": 100 }),
    });
    let run = far.run(&format!("{}/", server.url()), &[]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.outcome["outputs"], json!({ "r": 5 }), "{}", run.outcome);
    assert_eq!(logs(&run), ["one", "two", "three"], "each line once, however often it is asked for");
    let progress: Vec<&Value> = run
        .reports
        .iter()
        .filter(|report| report["type"] == "BlockProgress" && report["stacks"][0]["node_id"] == "f")
        .map(|report| &report["progress"])
        .collect();
    assert_eq!(progress.first().and_then(|progress| progress.as_f64()), Some(30.0), "{progress:?}");
}

#[test]
fn what_goes_wrong_far_away_is_the_error_of_the_block() {
    let far = Far::new(r#"{"hide_source":true}"#);
    let server = tasks(|_| json!({ "status": "failed", "failedMessage": "out of memory" }));
    let run = far.run(&server.url(), &[]);
    assert!(error_of(&run).contains("out of memory"), "{}", run.stderr);
    assert_eq!(logs(&run), ["one", "two", "three"], "what it has said before it failed");
    // Of a server that makes no task, and of none at all.
    let server = Script::start(|_| Reply::new(200, r#"{"oops":1}"#));
    assert!(error_of(&far.run(&server.url(), &[])).contains(r#"has given no task: {"oops":1}"#));
    let search = far.search.to_str().expect("a path of UTF-8");
    let run = far.stage.run(&far.flow, &["--search-paths", search]);
    assert!(error_of(&run).contains("no server is known; say `--remote-block-url`"), "{}", run.stderr);
}

#[test]
fn a_block_far_away_has_its_time() {
    // What the package says counts more than what the command line does.
    for (metadata, arguments) in [
        (r#"{"hide_source":true}"#, ["--remote-block-timeout", "1"]),
        (r#"{"hide_source":true,"timeout":1}"#, ["--remote-block-timeout", "900"]),
    ] {
        let server = tasks(|_| json!({ "status": "running" }));
        let run = Far::new(metadata).run(&server.url(), &arguments);
        assert!(error_of(&run).contains("the block took longer than 1 s"), "{}", run.stderr);
    }
}

/// A package whose metadata cannot be read is taken for one that hides its source.
#[test]
fn metadata_that_cannot_be_read_hides_the_source() {
    let server = tasks(|_| json!({ "status": "success" }));
    let run = Far::new("{").run(&server.url(), &[]);
    assert_eq!(run.outcome["outputs"], json!({ "r": 5 }), "{}", run.stderr);
}

const VAULT: &str = "nodes:
- node_id: p
  task: {executor: {name: python, options: {entry: ask.py}},
    inputs_def: [{handle: c, json_schema: {contentMediaType: oomol/credential}}], outputs_def: [{handle: y}]}
  inputs_from: [{handle: c, value: '${{OO_CREDENTIAL:key,mine,id/1}}'}]
- node_id: n
  task: {executor: {name: nodejs, options: {entry: ask.ts}},
    inputs_def: [{handle: c, json_schema: {contentMediaType: oomol/credential}}], outputs_def: [{handle: y}]}
  inputs_from: [{handle: c, value: '${{OO_CREDENTIAL:key,mine,id/1}}'}]
outputs_def: [{handle: p}, {handle: n}]
outputs_from:
- {handle: p, from_node: [{node_id: p, output_handle: y}]}
- {handle: n, from_node: [{node_id: n, output_handle: y}]}
";

const ASK_PY: &str = "async def main(inputs, context):
    try:
        return {'y': await context.query_auth(inputs['c'])}
    except Exception as error:
        return {'y': str(error)}
";

const ASK_TS: &str = "export default async function (inputs: { c: { id: string } }, context: any) {
  const found = await context.queryAuth(inputs.c.id).catch((error: Error) => error.message);
  return { y: found };
}
";

fn vault(stage: &Stage, flow: &Path, variables: &[(&str, &str)]) -> [String; 2] {
    let run = stage.run_with(flow, &[], variables);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    ["p", "n"].map(|name| run.outcome["outputs"][name].to_string())
}

#[test]
fn blocks_get_the_secrets_of_accounts() {
    let stage = Stage::new();
    stage.write("p/flows/f/ask.py", ASK_PY);
    stage.write("p/flows/f/ask.ts", ASK_TS);
    let flow = stage.write("p/flows/f/flow.oo.yaml", VAULT);
    let server = Script::start(|asked| {
        let is_right = asked.request.target == "/v1/vaultlet/id%2F1"
            && asked.request.header("authorization") == Some("Bearer t0ken");
        if is_right {
            Reply::new(200, r#"{"user":"me","key":"k"}"#)
        } else {
            Reply::new(403, r#"{"message":"who?"}"#)
        }
    });
    let url = server.url();
    for answer in vault(&stage, &flow, &[("OOMOL_VAULT_ADDR", &url), ("OOMOL_TOKEN", "t0ken")]) {
        assert_eq!(answer, r#"{"key":"k","user":"me"}"#);
    }
    for answer in vault(&stage, &flow, &[("OOMOL_VAULT_ADDR", &url), ("OOMOL_TOKEN", "wrong")]) {
        assert!(answer.contains("status 403: who?"), "{answer}");
    }
    for answer in vault(&stage, &flow, &[("OOMOL_VAULT_ADDR", &url)]) {
        assert!(answer.contains("Vault client is not available."), "{answer}");
    }
}
