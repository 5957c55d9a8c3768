//! `run`: a command in a merge point.

mod bind;
mod environment;
mod leftovers;
mod placeholders;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use sandbox::{Capabilities, Devices, Limits, Namespaces, Network, Sandbox, SeccompProfile, Stdio};

use crate::unmerge::Joined;
use crate::{Engine, Error, PointName, Result};
pub use bind::{Bind, BindError};
pub(crate) use placeholders::Placeholders;

/// How long what runs inside may go on after a signal that ends it.
const GRACE: Duration = Duration::from_secs(5);

/// How much of a file of variables or a seccomp profile is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

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
    /// How much it may use; the machine's limits hold anyway.
    pub limits: Limits,
    /// A file with the system calls that it may make, in the form of OCI runtimes and Docker.
    pub seccomp: Option<PathBuf>,
}

impl Engine {
    /// Runs a command in a merge point, with this process's standard streams, and waits for its end. Everything that it
    /// started is gone then. Its processes and mounts are its own, the rest is the machine's.
    ///
    /// To be called while there is one thread: an ordinary user's process joins the merge point's namespaces, the working
    /// directory changes, and signals that reach this process go to the command.
    ///
    /// # Errors
    /// [`Error::UnknownPoint`]; a file of variables or the source of a bind that cannot be used; [`Error::Sandbox`]
    /// when the command cannot be started.
    pub fn run(&self, request: &Request) -> Result<ExitStatus> {
        let files = request.env_files.iter().map(|path| read("read the variables in", path));
        let files = files.collect::<Result<Vec<_>>>()?;
        let profile = request.seccomp.as_deref().map(seccomp).transpose()?;
        let mut binds = request.binds.clone();
        for bind in &mut binds {
            // A relative path loses its meaning when the namespaces of the merge point are joined.
            bind.source = std::path::absolute(&bind.source).map_err(Error::io("bind", &bind.source))?;
            fs::metadata(&bind.source).map_err(Error::io("bind", &bind.source))?;
        }
        let variables = environment::variables(&|name| std::env::var_os(name), &files, &request.env);
        let unknown = || Error::UnknownPoint { point: request.point.clone() };
        let joined = self.join_with_top(&request.point, None)?.ok_or_else(unknown)?;
        // By its path the merge point could be another one by now, or none. The copy of this folder that the command's own
        // namespace gets is that of the same mount, and there is none once it is unmounted.
        rustix::process::fchdir(&joined.root).map_err(Error::io("change to", &joined.path))?;
        let mut sandbox = sandbox(Path::new("."), request);
        for (name, value) in variables {
            sandbox = sandbox.env(name, value);
        }
        for Bind { source, target, read_only, recursive } in binds {
            sandbox = sandbox.bind_as(sandbox::Bind { source, target, read_only, recursive });
        }
        if let Some(profile) = profile {
            sandbox = sandbox.seccomp(profile);
        }
        let mut placeholders = Placeholders::enter(&self.runs_of(&joined.top)?, &joined)?;
        let outcome = placeholders.make(sandbox).and_then(|sandbox| {
            let program = request.command.first().cloned().unwrap_or_default();
            let doing = format!("run `{}` in merge point `{}`", program.display(), request.point);
            let ran = sandbox.run(&request.command, Stdio::inherit());
            ran.map_err(|error| match error {
                sandbox::Error::Exec { program, source, .. } => {
                    sandbox::Error::Exec { program, root: joined.path.clone(), source }
                }
                other => other,
            })
            .map_err(Error::sandbox(doing))
        });
        // The outcome of the command counts; what is left over is removed by the next run.
        let _ = placeholders.leave();
        match outcome {
            Err(Error::Sandbox { source, .. }) if is_step(&source) && !is_mounted(&joined) => Err(unknown()),
            outcome => outcome,
        }
    }
}

/// Whether setting up failed, and not the command.
fn is_step(error: &sandbox::Error) -> bool {
    matches!(error, sandbox::Error::Step { .. })
}

/// Whether the merge point is still mounted where it was.
fn is_mounted(joined: &Joined) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let mount = |status: rustix::io::Result<rustix::fs::Statx>| status.map(|status| status.stx_mnt_id);
    let there = mount(statx(CWD, &joined.path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID));
    let ours = mount(statx(&joined.root, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID));
    there.is_ok() && there == ours
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
        .resolver(request.network)
        .limits(request.limits)
        .work_in(request.work_in.as_deref().unwrap_or(Path::new("/")))
}

fn seccomp(path: &Path) -> Result<SeccompProfile> {
    let doing = format!("use the seccomp profile `{}`", path.display());
    SeccompProfile::parse(&read("read the seccomp profile", path)?).map_err(Error::sandbox(doing))
}

fn read(doing: &'static str, path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut text))
        .map_err(Error::io(doing, path))?;
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
