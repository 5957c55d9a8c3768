//! Runs jobs as GitHub's runner does, in a scratch checkout: steps in bash, outputs and variables through files, actions of this
//! repository from its own folder, and artifacts between jobs in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use testkit::tool;

use crate::expression::{holds, interpolate};

/// The repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A file of YAML in the repository.
pub(crate) fn document(path: &str) -> Value {
    let path = repository().join(path);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
    flow::yaml::parse(&path, &bytes).unwrap_or_else(|problems| panic!("{path:?}: {problems:?}")).to_json()
}

/// What starts a workflow.
pub(crate) struct Event {
    /// `refs/tags/v1` and the like.
    pub(crate) reference: &'static str,
    /// `push`, `pull_request` …
    pub(crate) name: &'static str,
    pub(crate) inputs: Value,
}

/// A run of one workflow: what its jobs share.
pub(crate) struct Run {
    folder: TempDir,
    event: Event,
    /// What every step finds in its environment.
    variables: BTreeMap<String, String>,
    /// Steps with a script that ran, by file and name.
    executed: BTreeSet<(String, String)>,
}

/// One job while it runs.
struct Job {
    workspace: PathBuf,
    temporary: PathBuf,
    path: Vec<PathBuf>,
    context: Value,
}

impl Run {
    /// A run with these programs before all others on PATH: name and text of a script of sh.
    pub(crate) fn new(event: Event, programs: &[(&str, String)], variables: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["bin", "artifacts", "releases"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in it");
        }
        for (name, text) in programs {
            let path = folder.path().join("bin").join(name);
            // By another process: one that a test beside this one starts must not have it open for writing.
            let write = format!("cat > '{0}' && chmod +x '{0}'", path.display());
            let mut child = Command::new(tool("sh"))
                .args(["-c", &write])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .expect("a shell");
            let mut input = child.stdin.take().expect("its input");
            std::io::Write::write_all(&mut input, format!("#!/bin/sh\nset -eu\n{text}\n").as_bytes())
                .expect("it reads");
            drop(input);
            assert!(child.wait().expect("its end").success());
        }
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { folder, event, variables, executed: BTreeSet::new() }
    }

    /// What became of the release `tag`: its files by name.
    pub(crate) fn release(&self, tag: &str) -> BTreeMap<String, String> {
        let folder = self.folder.path().join("releases").join(tag);
        let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .map(|path| {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned())
            })
            .collect()
    }

    /// What the programs in place of real ones were told, a line for each time.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Which steps with a script ran, by file and name.
    pub(crate) fn executed(&self) -> &BTreeSet<(String, String)> {
        &self.executed
    }

    /// Runs all jobs of the workflow in the order in which they stand, which is that of their needs.
    pub(crate) fn workflow(&mut self, name: &str) {
        let file = format!(".github/workflows/{name}.yml");
        let workflow = document(&file);
        for (name, job) in workflow["jobs"].as_object().expect("jobs") {
            for matrix in matrix(job) {
                self.job(&file, name, job, &matrix);
            }
        }
    }

    fn job(&mut self, file: &str, name: &str, description: &Value, matrix: &Value) {
        let runner = description["runs-on"].as_str().expect("a runner");
        let arm = interpolate(runner, &json!({ "matrix": matrix })).ends_with("-arm");
        let place = tempfile::tempdir_in(self.folder.path()).expect("a folder").keep();
        let (workspace, temporary) = (place.join("workspace"), place.join("temporary"));
        fs::create_dir_all(&workspace).expect("a workspace");
        fs::create_dir_all(&temporary).expect("a folder for what is temporary");
        let tag = self.event.reference.rsplit('/').next().unwrap_or_default();
        let context = json!({
            "github": {
                "event_name": self.event.name, "ref": self.event.reference, "ref_name": tag, "token": "gh-t0ken",
                "repository": "oomol/ovmlayer-rootfs", "repository_owner": "oomol", "actor": "somebody",
                "workspace": workspace,
            },
            "inputs": self.event.inputs,
            "matrix": matrix,
            "runner": { "temp": temporary, "arch": if arm { "ARM64" } else { "X64" } },
            "secrets": { "token": "s3cret-t0ken" },
            "steps": {},
        });
        if !holds(description["if"].as_str(), &context) {
            return;
        }
        let mut job = Job { workspace, temporary, path: vec![self.folder.path().join("bin")], context };
        let origin = format!("{file}, job {name}");
        self.steps(&mut job, file, &origin, &description["steps"]);
    }

    fn steps(&mut self, job: &mut Job, file: &str, origin: &str, steps: &Value) {
        for step in steps.as_array().expect("steps") {
            let name = step["name"].as_str().unwrap_or_else(|| panic!("a step without a name in {origin}"));
            if !holds(step["if"].as_str(), &job.context) {
                continue;
            }
            let outputs = match (step["run"].as_str(), step["uses"].as_str()) {
                (Some(script), None) => {
                    self.executed.insert((file.to_owned(), name.to_owned()));
                    self.script(job, file, &format!("{origin}, step `{name}`"), step, script)
                }
                (None, Some(action)) => self.action(job, origin, step, action),
                _ => panic!("the step `{name}` of {origin} has no script and no action, or both"),
            };
            if let Some(id) = step["id"].as_str() {
                job.context["steps"][id] = json!({ "outputs": outputs });
            }
        }
    }

    /// Runs a script and gives its outputs.
    fn script(&mut self, job: &mut Job, file: &str, origin: &str, step: &Value, script: &str) -> Value {
        let new = |name: &str| {
            let path = job.temporary.join(name);
            fs::write(&path, "").expect("a file");
            path
        };
        let (output, path) = (new("output"), new("path"));
        let text = job.temporary.join("script");
        fs::write(&text, interpolate(script, &job.context)).expect("a script");
        let mut command = Command::new(tool("bash"));
        // As the runner does: an explicit shell also sees failures in pipes.
        match step["shell"].as_str() {
            None => command.arg("-e"),
            Some("bash") => command.args(["--noprofile", "--norc", "-e", "-o", "pipefail"]),
            Some(other) => panic!("the shell `{other}` of {origin} is not known here"),
        };
        let mut folders = job.path.clone();
        folders.extend(["/usr/bin".into(), "/bin".into()]);
        let action = repository().join(file).parent().expect("a folder").to_owned();
        command
            .arg(&text)
            .env_clear()
            .env("PATH", std::env::join_paths(folders).expect("a list of folders"))
            .env("HOME", &job.temporary)
            .env("XDG_CACHE_HOME", job.temporary.join("cache"))
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_REF", self.event.reference)
            .env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567")
            .env("GITHUB_PATH", &path)
            .env("GITHUB_ACTION_PATH", action)
            .env("GITHUB_WORKSPACE", &job.workspace)
            .env("RUNNER_TEMP", &job.temporary)
            .env("RUNNER_ARCH", job.context["runner"]["arch"].as_str().expect("an architecture"))
            .env("TEST_LOG", self.folder.path().join("log"))
            .env("TEST_RELEASES", self.folder.path().join("releases"))
            .envs(&self.variables);
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, interpolate(value.as_str().expect("a text"), &job.context));
        }
        let folder = interpolate(step["working-directory"].as_str().unwrap_or("."), &job.context);
        let result = command.current_dir(job.workspace.join(folder)).output().expect("bash");
        let shown = [&result.stdout[..], &result.stderr].concat();
        let shown = String::from_utf8_lossy(&shown);
        assert!(result.status.success(), "{origin} failed:\n{shown}");
        for secret in ["gh-t0ken", "s3cret-t0ken"] {
            assert!(!shown.contains(secret), "{origin} shows a secret:\n{shown}");
        }
        let added = fs::read_to_string(&path).expect("the paths");
        job.path.splice(0..0, added.lines().map(PathBuf::from));
        let pairs = fs::read_to_string(&output).expect("the outputs");
        let pairs =
            pairs.lines().map(|line| line.split_once('=').unwrap_or_else(|| panic!("an output `{line}`")));
        Value::Object(pairs.map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    /// Runs an action: one of this repository, or what stands in for one that moves artifacts. Gives its outputs.
    fn action(&mut self, job: &mut Job, origin: &str, step: &Value, action: &str) -> Value {
        let input = |name: &str| step["with"][name].as_str().map(|text| interpolate(text, &job.context));
        if let Some(path) = action.strip_prefix("$/") {
            return self.own_action(job, step, path);
        }
        let artifacts = self.folder.path().join("artifacts");
        match action.split('@').next().unwrap_or_default() {
            "actions/checkout" => {}
            "actions/upload-artifact" => {
                let folder = artifacts.join(input("name").expect("a name"));
                fs::create_dir_all(&folder).expect("a folder");
                for path in
                    input("path").expect("paths").lines().map(str::trim).filter(|path| !path.is_empty())
                {
                    for path in files(&job.workspace.join(path)) {
                        let target = folder.join(path.file_name().expect("a name"));
                        fs::copy(&path, target)
                            .unwrap_or_else(|error| panic!("{origin} keeps {path:?}: {error}"));
                    }
                }
            }
            "actions/download-artifact" => {
                let wanted = input("name").or(input("pattern")).expect("a name or a pattern");
                let (head, tail) = wanted.split_once('*').unwrap_or((&wanted, ""));
                let target = job.workspace.join(input("path").expect("a folder"));
                fs::create_dir_all(&target).expect("a folder");
                for entry in fs::read_dir(&artifacts).expect("artifacts") {
                    let path = entry.expect("an artifact").path();
                    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                    if name.starts_with(head) && name.ends_with(tail) {
                        for file in fs::read_dir(&path).expect("files") {
                            let file = file.expect("a file").path();
                            fs::copy(&file, target.join(file.file_name().expect("a name"))).expect("a copy");
                        }
                    }
                }
            }
            other => panic!("{origin} uses `{other}`, for which nothing stands in here"),
        }
        json!({})
    }

    fn own_action(&mut self, job: &mut Job, step: &Value, path: &str) -> Value {
        let file = format!("{path}/action.yml");
        let action = document(&file);
        let given = step["with"].as_object().cloned().unwrap_or_default();
        let empty = Map::new();
        let known = action["inputs"].as_object().unwrap_or(&empty);
        if let Some(unknown) = given.keys().find(|name| !known.contains_key(*name)) {
            panic!("{file} has no input `{unknown}`");
        }
        let mut inputs = Map::new();
        for (name, description) in known {
            let value = given.get(name).or(description.get("default"));
            let value = value.unwrap_or_else(|| panic!("{file} is used without its input `{name}`"));
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            inputs.insert(name.clone(), interpolate(&text, &job.context).into());
        }
        let outer = job.context.clone();
        job.context["inputs"] = inputs.into();
        job.context["steps"] = json!({});
        self.steps(job, &file, &file, &action["runs"]["steps"]);
        let outputs = action["outputs"].as_object().unwrap_or(&empty).iter();
        let outputs: Map<String, Value> = outputs
            .map(|(name, output)| {
                let value = interpolate(output["value"].as_str().expect("a value"), &job.context);
                (name.clone(), value.into())
            })
            .collect();
        job.context = outer;
        Value::Object(outputs)
    }
}

/// The files in a folder, or the file itself.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return vec![path.to_owned()] };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// All combinations of a job's matrix: what `include` lists, or the values of its only key.
fn matrix(job: &Value) -> Vec<Value> {
    let Some(matrix) = job["strategy"]["matrix"].as_object() else { return vec![json!({})] };
    matrix
        .iter()
        .flat_map(|(key, values)| {
            let values = values.as_array().expect("a list").iter().cloned();
            values.map(move |value| if key == "include" { value } else { json!({ key.as_str(): value }) })
        })
        .collect()
}

/// Every step with a script that there is, by file and name.
pub(crate) fn scripts() -> BTreeSet<(String, String)> {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(repository().join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let workflows = names(".github/workflows").into_iter().map(|name| format!(".github/workflows/{name}"));
    let actions =
        names(".github/actions").into_iter().map(|name| format!(".github/actions/{name}/action.yml"));
    let mut found = BTreeSet::new();
    for file in workflows.chain(actions) {
        let text = document(&file);
        let jobs = text["jobs"].as_object().into_iter().flat_map(|jobs| jobs.values());
        for steps in jobs.map(|job| &job["steps"]).chain([&text["runs"]["steps"]]) {
            for step in steps.as_array().into_iter().flatten().filter(|step| step["run"].is_string()) {
                found.insert((file.clone(), step["name"].as_str().unwrap_or_default().to_owned()));
            }
        }
    }
    found
}
