//! `run`: a command in a merge point.

mod bind;
mod environment;
mod placeholders;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use sandbox::{Capabilities, Devices, Namespaces, Network, Sandbox, Stdio};
use tree::{Links, Root};

use crate::store::RUNS;
use crate::{Engine, Error, PointName, Result};
pub use bind::{Bind, BindError};
use placeholders::Placeholders;

/// How long what runs inside may go on after a signal that ends it.
const GRACE: Duration = Duration::from_secs(5);

/// The greatest size of a file of variables, in bytes.
const MAX_ENV_FILE: u64 = 16 * 1024 * 1024;

/// Files of the machine without which names do not resolve inside: a root filesystem has them empty, or as links to what a
/// service of its own would write.
const NAME_SERVICE: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// What is to be run, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where.
    pub point: PointName,
    /// The program, looked for in the `PATH` inside, and its arguments.
    pub command: Vec<OsString>,
    /// What of the machine is shown, in this order.
    pub binds: Vec<Bind>,
    /// The folder inside in which the command starts; `/` if there is none.
    pub work_in: Option<PathBuf>,
    /// Variables as `NAME=VALUE`, or `NAME` for one of the caller's.
    pub env: Vec<OsString>,
    /// Files of variables.
    pub env_files: Vec<PathBuf>,
    /// Whether all of the machine's devices are there.
    pub all_devices: bool,
    /// Whether the machine's network is.
    pub network: bool,
}

impl Engine {
    /// Runs a command in a merge point, with this process's standard streams, and waits for its end. Everything that it
    /// started is gone then. Its processes and mounts are its own, the rest is the machine's.
    ///
    /// To be called while there is one thread: an ordinary user's process joins the merge point's namespaces, and signals
    /// that reach this process go to the command.
    ///
    /// # Errors
    /// [`Error::UnknownPoint`]; a file of variables or the source of a bind that cannot be used; [`Error::Sandbox`]
    /// when the command cannot be started.
    pub fn run(&self, request: &Request) -> Result<ExitStatus> {
        let files = request.env_files.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let mut binds = request.binds.clone();
        for bind in &mut binds {
            // A relative path loses its meaning when the namespaces of the merge point are joined.
            bind.source = std::path::absolute(&bind.source).map_err(Error::io("bind", &bind.source))?;
            fs::metadata(&bind.source).map_err(Error::io("bind", &bind.source))?;
        }
        let variables = environment::variables(&|name| std::env::var_os(name), &files, &request.env);
        let path = self.join(&request.point)?;
        if request.network {
            binds.splice(0..0, name_service());
        }
        let merged = Root::open(&path, Links::Refuse).map_err(Error::tree("open", &path))?;
        let mut placeholders = Placeholders::enter(&self.runtime().folder(RUNS)?.join(&request.point))?;
        let made = placeholders.make(&merged, &binds);
        let outcome = made.and_then(|()| {
            let mut sandbox = sandbox(&path, request).work_in(request.work_in.as_deref().unwrap_or(Path::new("/")));
            for (name, value) in variables {
                sandbox = sandbox.env(name, value);
            }
            for bind in &binds {
                sandbox = sandbox.bind_as(sandbox::Bind {
                    source: bind.source.clone(),
                    target: bind.target.clone(),
                    read_only: bind.read_only,
                    recursive: bind.recursive,
                });
            }
            let program = request.command.first().cloned().unwrap_or_default();
            let doing = format!("run `{}` in merge point `{}`", program.display(), request.point);
            sandbox.run(&request.command, Stdio::inherit()).map_err(Error::sandbox(doing))
        });
        // The outcome of the command counts; what is left over is removed by the next run.
        let _ = placeholders.leave(&merged);
        outcome
    }

    /// Forgets what runs in a merge point have made there, when it begins or ends: what lies there under the same names
    /// next time is something else.
    pub(crate) fn forget_runs(&self, point: &PointName) {
        let _ = fs::remove_file(self.runtime().path(RUNS).join(point));
    }
}

fn sandbox(root: &Path, request: &Request) -> Sandbox {
    Sandbox::new(root)
        .network(if request.network { Network::Host } else { Network::None })
        .capabilities(Capabilities::All)
        .namespaces(Namespaces::SHARED)
        .devices(if request.all_devices { Devices::All } else { Devices::Few })
        .guard_proc(false)
        .sys_writable(true)
        .keep_session(true)
        .keep_limits(true)
        .pass_signals(GRACE)
        // A bind into what another bind shows.
        .create_targets(true)
}

/// The machine's own files for finding names, read-only.
fn name_service() -> impl Iterator<Item = Bind> {
    NAME_SERVICE.into_iter().filter_map(|path| {
        // Often a link to what a service writes elsewhere.
        let source = fs::canonicalize(path).ok()?;
        Some(Bind { source, target: path.into(), read_only: true, recursive: false })
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_ENV_FILE).read_to_end(&mut text))
        .map_err(Error::io("read the variables in", path))?;
    Ok(text)
}

/// The exit code that stands for the outcome of a run: the command's own; 128 and the number of the signal that ended it;
/// 127 when it was not found, 126 when it cannot be run, 125 for every other failure.
#[must_use]
pub fn exit_code(outcome: Result<ExitStatus>) -> u8 {
    match outcome {
        Ok(status) => sandbox::exit_code(&Ok(status)),
        Err(Error::Sandbox { source, .. }) => sandbox::exit_code(&Err(source)),
        Err(_) => 125,
    }
}
