//! Where a flow runs: a home and temporary folders of its own, the executors in PATH.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;

/// The version of the published Python executor; `xtask` installs it.
const PYTHON_EXECUTOR: &str = "0.16.18";

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root of the repository")
}

/// The package with all flows.
pub(crate) fn corpus() -> PathBuf {
    root().join("tests/flows/corpus")
}

/// The folder with the programs of the published Python executor.
pub(crate) fn python_programs() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let folder = target.join(format!("executor-tools/python-{PYTHON_EXECUTOR}/bin"));
    assert!(
        folder.join("python-executor").exists(),
        "{} is not there; `cargo xtask executors` installs it",
        folder.display()
    );
    folder
}

/// A place to run flows in; it goes with the value.
pub(crate) struct Stage {
    folder: TempDir,
    path: OsString,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    /// What `--json` prints.
    pub(crate) outcome: Value,
    /// The reports, in order.
    pub(crate) reports: Vec<Value>,
    pub(crate) stderr: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// The same, with the programs of a folder before all others.
    pub(crate) fn with_programs(folder: &Path) -> Self {
        Self::with(&[folder])
    }

    fn with(first: &[&Path]) -> Self {
        let folder = tempfile::Builder::new().prefix("oocana-flows").tempdir().expect("a folder");
        for name in ["home", "tmp", "project", "packages"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let old = std::env::var_os("PATH").unwrap_or_default();
        let new = first.iter().map(|path| path.to_path_buf());
        let new = new.chain([python_programs(), root().join("executors/node/bin")]);
        let path = std::env::join_paths(new.chain(std::env::split_paths(&old))).expect("a PATH");
        Self { folder, path }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a written file");
        path
    }

    /// The program with what every run here needs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(Command::new(env!("CARGO_BIN_EXE_oocana")), arguments)
    }

    /// The same, ended after a long time: a run that hangs is a failure like others.
    pub(crate) fn bounded(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(testkit::tool("timeout"));
        command.args(["--kill-after=5", "90", env!("CARGO_BIN_EXE_oocana")]);
        self.prepared(command, arguments)
    }

    fn prepared(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.env_clear();
        command
            .env("PATH", &self.path)
            .env("HOME", self.path().join("home"))
            .env("TMPDIR", self.path().join("tmp"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// `run` with all that is looked at afterwards.
    fn run_arguments(&self, mut command: Command, flow: &Path, arguments: &[&str]) -> Command {
        command.arg(flow).args(["--json", "--verbose", "--report-to-console", "--search-paths"]);
        command.arg(corpus().join("packages"));
        command.args(["--project-data", "project", "--pkg-data-root", "packages"]).args(arguments);
        command
    }

    pub(crate) fn run(&self, flow: &Path, arguments: &[&str]) -> Run {
        Run::of(
            &self
                .run_arguments(self.bounded(&["run"]), flow, arguments)
                .output()
                .expect("the program starts"),
        )
    }

    /// The same, with further variables.
    pub(crate) fn run_with(&self, flow: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.run_arguments(self.bounded(&["run"]), flow, arguments);
        command.envs(variables.iter().copied());
        Run::of(&command.output().expect("the program starts"))
    }

    /// Waits until a run has made a file in a folder.
    pub(crate) fn await_file(&self, name: &str, child: &mut Child) {
        let path = self.path().join(name);
        let watch = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).expect("a watch");
        let folder = path.parent().expect("a folder");
        rustix::fs::inotify::add_watch(&watch, folder, rustix::fs::inotify::WatchFlags::CREATE)
            .expect("a watch");
        let pid = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("a handle");
        while !path.exists() {
            let mut handles = [PollFd::new(&watch, PollFlags::IN), PollFd::new(&pid, PollFlags::IN)];
            poll(&mut handles, None).expect("poll");
            assert!(handles[1].revents().is_empty(), "the run ended before it made {name}");
            let _ = rustix::io::read(&watch, &mut [0_u8; 4096]);
        }
    }

    /// Starts a run and goes on.
    pub(crate) fn start(&self, flow: &Path, arguments: &[&str]) -> Child {
        let mut command = self.run_arguments(self.command(&["run"]), flow, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let mut values: Vec<Value> =
            stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let outcome = match values.last() {
            Some(last) if last.get("status").is_some() && last.get("type").is_none() => {
                values.pop().expect("one")
            }
            _ => Value::Null,
        };
        Self {
            status: output.status.code(),
            outcome,
            reports: values,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
