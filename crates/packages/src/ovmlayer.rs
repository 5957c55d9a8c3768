//! The program `ovmlayer`, by the command line that its callers share. Nothing is known of it but whether it succeeds, and the names
//! that `list layers` prints.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use crate::{Error, Interrupt, Result};

/// How much of what the program wrote goes into an error, in bytes.
const MAX_SAID: usize = 8 << 10;

/// The program and how it is called.
#[derive(Debug, Clone)]
pub struct Ovmlayer {
    /// The program, after what gives it the rights it needs.
    words: Vec<OsString>,
    log: Option<PathBuf>,
    interrupt: Option<Arc<Interrupt>>,
}

/// Where the standard output of scripts goes; their standard error goes where ours does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    /// Where ours goes.
    Same,
    /// To standard error: standard output is for results.
    Stderr,
}

/// What `run` of the program is told.
#[derive(Debug, Default)]
pub(crate) struct Run<'r> {
    pub(crate) point: &'r str,
    /// Values of `--mount`.
    pub(crate) mounts: Vec<OsString>,
    pub(crate) workdir: Option<&'r Path>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) env_file: Option<&'r Path>,
}

impl Ovmlayer {
    /// The program in `PATH`, when it can do its work here.
    ///
    /// # Errors
    /// [`Error::NotEnabled`] when it is not there, or `ovmlayer test system` fails.
    pub fn find() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).map(|folder| folder.join("ovmlayer"));
        match places.find(|path| is_program(path)) {
            Some(path) => Self::at(&path),
            None => Err(Error::NotEnabled { why: "`ovmlayer` is not in PATH".to_owned() }),
        }
    }

    /// The program at `path`, when it can do its work here: by itself, or else with the rights that `sudo` gives it.
    ///
    /// # Errors
    /// [`Error::NotEnabled`] when `ovmlayer test system` fails.
    pub fn at(path: &Path) -> Result<Self> {
        let own = Self { words: vec![path.into()], log: None, interrupt: None };
        let Err(error) = own.call(&["test", "system"]) else { return Ok(own) };
        if !rustix::process::geteuid().is_root() {
            let mut words: Vec<OsString> = ["sudo", "-n", "-E"].map(OsString::from).to_vec();
            words.push(path.into());
            let with_sudo = Self { words, ..own };
            if with_sudo.call(&["test", "system"]).is_ok() {
                return Ok(with_sudo);
            }
        }
        Err(Error::NotEnabled { why: error.to_string() })
    }

    /// Has it write its log to `path`, unless `OVMLAYER_LOG` says where.
    #[must_use]
    pub fn logging_to(mut self, path: &Path) -> Self {
        if std::env::var_os("OVMLAYER_LOG").is_none() {
            self.log = Some(path.to_owned());
        }
        self
    }

    /// Has scripts end when a signal comes.
    #[must_use]
    pub fn interrupted_by(mut self, interrupt: Arc<Interrupt>) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// Whether somebody wants us to stop.
    pub(crate) fn check_interrupt(&self) -> Result<()> {
        let is_seen = self.interrupt.as_ref().is_some_and(|interrupt| interrupt.is_seen());
        if is_seen { Err(Error::Interrupted) } else { Ok(()) }
    }

    pub(crate) fn create(&self, layer: &str) -> Result<()> {
        self.call(&["create", layer]).map(drop)
    }

    /// Deletes a layer; one that is not there is none.
    pub(crate) fn delete(&self, layer: &str) -> Result<()> {
        self.call(&["delete", layer]).map(drop)
    }

    pub(crate) fn delete_all(&self) -> Result<()> {
        self.call(&["delete", "--all"]).map(drop)
    }

    /// The names of all layers.
    pub(crate) fn layers(&self) -> Result<Vec<String>> {
        self.call(&["list", "layers"]).map(|output| lines(&output))
    }

    /// The names of those that are in a live merge point.
    pub(crate) fn used_layers(&self) -> Result<Vec<String>> {
        self.call(&["list", "layers", "--used"]).map(|output| lines(&output))
    }

    /// Merges layers, the lowest first, the last one writable.
    pub(crate) fn merge(&self, layers: &[&str], point: &str) -> Result<()> {
        let mut words = vec!["merge"];
        layers.iter().for_each(|layer| words.extend(["-l", layer]));
        words.extend(["-m", point]);
        self.call(&words).map(drop)
    }

    pub(crate) fn unmerge(&self, point: &str) -> Result<()> {
        self.call(&["unmerge", point]).map(drop)
    }

    /// Copies a file or folder of the machine into a folder of a layer.
    pub(crate) fn copy_to_layer(&self, source: &Path, layer: &str, folder: &Path) -> Result<()> {
        self.copy("host2layer", source, layer, folder)
    }

    /// Copies a file or folder of the machine into a folder of a merge point.
    pub(crate) fn copy_to_merged(&self, source: &Path, point: &str, folder: &Path) -> Result<()> {
        self.copy("host2merged", source, point, folder)
    }

    fn copy(&self, mode: &str, source: &Path, name: &str, folder: &Path) -> Result<()> {
        let mut target = OsString::from(name);
        target.push(":");
        target.push(folder);
        self.call(&["cp".as_ref(), "--mode".as_ref(), mode.as_ref(), source.as_os_str(), &target]).map(drop)
    }

    pub(crate) fn export(&self, layers: &[&str], file: &Path) -> Result<()> {
        let mut words: Vec<&OsStr> = vec!["export".as_ref()];
        layers.iter().for_each(|layer| words.extend([OsStr::new("-l"), layer.as_ref()]));
        words.extend([OsStr::new("-dest"), file.as_os_str()]);
        self.call(&words).map(drop)
    }

    pub(crate) fn import(&self, file: &Path) -> Result<()> {
        self.call(&["import".as_ref(), file.as_os_str()]).map(drop)
    }

    /// Moves a layer into the external store; one that is there already stays there.
    pub(crate) fn move_layer(&self, layer: &str) -> Result<()> {
        self.call(&["move", layer]).map(drop)
    }

    /// The command that runs a command line of zsh, which reads the rc files in the layers first: they set PATH.
    pub(crate) fn shell(&self, run: &Run<'_>, script: &OsStr) -> Command {
        let flag = |name: &str, value: &OsStr| {
            let mut flag = OsString::from(name);
            flag.push(value);
            flag
        };
        let mut command = self.command();
        command.args(["run", "--all-devices"]);
        command.args(run.mounts.iter().map(|mount| flag("--mount=", mount)));
        command.args(run.workdir.map(|folder| flag("--workdir=", folder.as_os_str())));
        let is_set = run.variables.iter().any(|(name, _)| name == "DEBIAN_FRONTEND");
        if !is_set {
            command.args(["--env", "DEBIAN_FRONTEND=noninteractive"]);
        }
        for (name, value) in &run.variables {
            command
                .arg("--env")
                .arg([name.as_os_str(), "=".as_ref(), value].into_iter().collect::<OsString>());
            command.env(name, value);
        }
        command.args(run.env_file.map(|path| flag("--env-file=", path.as_os_str())));
        command.arg(flag("--merged-point=", run.point.as_ref())).args(["zsh", "-i", "-c"]).arg(script);
        command
    }

    /// Runs a script, whose output is shown, to its end.
    pub(crate) fn show(&self, mut command: Command, stdout: Stdout) -> Result<ExitStatus> {
        self.check_interrupt()?;
        command.stdin(Stdio::null());
        if stdout == Stdout::Stderr {
            let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(self.failed())?;
            command.stdout(stderr);
        }
        let mut child = command.spawn().map_err(self.failed())?;
        let status = self.wait(&mut child).map_err(self.failed())?;
        self.check_interrupt()?;
        Ok(status)
    }

    fn wait(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        match &self.interrupt {
            Some(interrupt) => interrupt.wait(child),
            None => child.wait(),
        }
    }

    fn failed<E: Into<std::io::Error>>(&self) -> impl FnOnce(E) -> Error {
        Error::io("start", Path::new(self.words.last().map_or("ovmlayer".as_ref(), OsString::as_os_str)))
    }

    fn command(&self) -> Command {
        let (program, first) = self.words.split_first().expect("there is a program");
        let mut command = Command::new(program);
        command.args(first);
        if let Some(log) = &self.log {
            // The program goes on without a log.
            let _ = std::fs::create_dir_all(log.parent().unwrap_or(Path::new("/")));
            command.env("OVMLAYER_LOG", log);
        }
        command
    }

    fn call<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Output> {
        self.finish(self.command().args(words))
    }

    /// Runs a command whose output nobody sees unless it fails.
    pub(crate) fn finish(&self, command: &mut Command) -> Result<Output> {
        let output = command.stdin(Stdio::null()).output().map_err(self.failed())?;
        if output.status.success() {
            return Ok(output);
        }
        let words: Vec<_> = std::iter::once("ovmlayer".into())
            .chain(command.get_args().map(OsStr::to_string_lossy).skip(self.words.len() - 1))
            .collect();
        let said = [&output.stderr[..], &output.stdout[..]].concat();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(MAX_SAID)..]).into_owned();
        Err(Error::Program {
            command: words.join(" "),
            ending: ending(output.status),
            said: said.lines().map(|line| format!("\n  {line}")).collect(),
        })
    }
}

/// How a program has ended, for people.
pub(crate) fn ending(status: ExitStatus) -> String {
    status.to_string()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
