//! What a build prints, and builds side by side.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::{OFFLINE, locked, native, program, recipe};

#[test]
fn results_on_stdout_and_progress_as_lines_of_json() {
    let program = locked();
    let result = program.run(OFFLINE.iter().chain(&["--progress", "json", "--json"]));
    let errors = String::from_utf8_lossy(&result.stderr).into_owned();
    assert!(result.status.success(), "{errors}");
    let artifacts: Vec<Value> = serde_json::from_slice(&result.stdout).expect("JSON and nothing else");
    let tar = format!("dist/{}-small.tar", native());
    assert_eq!(
        artifacts.iter().map(|artifact| &artifact["path"]).collect::<Vec<_>>(),
        [&tar, "dist/small.lock"]
    );
    let size = fs::metadata(program.folder().join(&tar)).expect("the tar").len();
    assert_eq!(artifacts[0]["size"], size);
    let events: Vec<Value> = errors.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let phases: Vec<_> = of(&events, "phase").map(|event| &event["phase"]).collect();
    assert_eq!(phases, ["fetch", "unpack", "configure", "steps", "write"]);
    let told: Vec<_> = of(&events, "artifact").map(|event| (&event["path"], &event["sha256"])).collect();
    assert_eq!(
        told,
        artifacts.iter().map(|artifact| (&artifact["path"], &artifact["sha256"])).collect::<Vec<_>>()
    );
    counts(&events);
}

fn of<'e>(events: &'e [Value], kind: &'static str) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| event["event"] == kind)
}

/// Counters run to the total, without going back.
fn counts(events: &[Value]) {
    let mut totals = BTreeMap::new();
    for kind in ["unpacked", "configuring"] {
        let counted: Vec<u64> =
            of(events, kind).map(|event| event["done"].as_u64().expect("a number")).collect();
        let total = of(events, kind).map(|event| event["total"].as_u64().expect("a number"));
        let total: Vec<u64> = total.collect();
        assert!(total.windows(2).all(|pair| pair[0] == pair[1]), "{kind}: totals {total:?}");
        let mut sorted = counted.clone();
        sorted.sort_unstable();
        let first = sorted[0];
        assert_eq!(sorted, (first..first + total[0]).collect::<Vec<_>>(), "{kind}: each number once");
        if kind == "configuring" {
            assert_eq!(counted, sorted, "dpkg configures one package after the other");
        }
        totals.insert(kind, total[0]);
    }
    assert_eq!(totals["unpacked"], totals["configuring"]);
}

#[test]
fn plain_progress_and_results_in_words() {
    let program = locked();
    let result = program.run(OFFLINE);
    let (out, errors) = (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    assert!(result.status.success(), "{errors}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with(&format!("dist/{}-small.tar  ", native())), "{out}");
    assert!(lines.iter().all(|line| line.contains(" bytes  sha256:")), "{out}");
    for phase in ["unpacking packages", "running maintainer scripts", "running the recipe's steps", "writing"]
    {
        let line = format!("{}: {phase}", native());
        assert!(errors.lines().any(|shown| shown == line), "`{line}` is not in:\n{errors}");
    }
    assert!(!errors.contains("Setting up"), "what programs print is shown only with --verbose:\n{errors}");
}

#[test]
fn a_failing_script_shows_the_end_of_its_output() {
    let program = locked();
    let script = "\n[[steps]]\nrun = { script = \"printf 'first\\\\nlast \\\\033[31m\\\\n'; exit 3\" }\n";
    program.write("small.toml", recipe() + script);
    let errors = program.fail(OFFLINE);
    let start = errors.find("error: ").expect("an error");
    let expected =
        "error: step 1 of recipe `small` (run): the script failed (exit status: 3) and printed at last:
    | first
    | last \u{fffd}[31m
";
    assert_eq!(&errors[start..], expected);
    program.write("small.toml", recipe() + "\n[[steps]]\nrun = { script = \"kill -KILL $$\" }\n");
    let errors = program.fail(OFFLINE);
    assert!(errors.contains("(signal: 9 (SIGKILL)) and printed nothing\n"), "{errors}");
    assert!(fs::read_dir(program.dist()).expect("a folder").next().is_none(), "nothing is written");
}

#[test]
fn builds_side_by_side_share_a_cold_cache() {
    let source = locked();
    // Both have to fetch every package, and each package is fetched by one of them.
    let folder = tempfile::tempdir().expect("a folder");
    let programs = [(); 2].map(|()| program().cache_in(folder.path()));
    let children = programs.each_ref().map(|program| {
        for name in ["small.toml", "small.lock"] {
            fs::copy(source.folder().join(name), program.folder().join(name)).expect("a recipe and its lock");
        }
        let mut command = program.command(["build", "small.toml", "--locked"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    });
    let results = children.map(|child| child.wait_with_output().expect("a result"));
    for result in &results {
        assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    }
    let [one, other] = results.map(|result| String::from_utf8_lossy(&result.stdout).into_owned());
    assert_eq!(one, other);
    assert_eq!(one, source.succeed(OFFLINE), "and a warm cache gives the same");
}
