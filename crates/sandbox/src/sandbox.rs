use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use crate::options::{Bind, Capabilities, Devices, Namespaces, Network};
use crate::{Cancel, Error, Limits, SeccompProfile, Stdio};

/// What is mounted at a place of the root.
#[derive(Clone, Debug)]
pub(crate) enum Mount {
    Bind(Bind),
    Bytes { target: PathBuf, bytes: Vec<u8> },
    Memory { target: PathBuf, mode: u32 },
}

/// How the machine's `/sys` is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sys {
    ReadOnly,
    Writable,
}

/// How to run commands inside a root directory.
///
/// The root must have the directories `proc` and `dev` (and `sys`, if that is asked for); they may be empty and
/// stay so, for everything that is mounted lives in a mount namespace that ends with the command.
///
/// Unless told otherwise, a command sees: processes, mounts, host name, System V IPC and network of its own; a
/// fresh `/proc` with the kernel's switches read-only and its secrets hidden; a `/dev` in memory with `null`,
/// `zero`, `full`, `random`, `urandom`, `tty`, pseudo-terminals and `shm`; the environment given here and no other
/// variable; umask 022; default signal handling; no descriptor but its standard streams.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub(crate) root: PathBuf,
    pub(crate) network: Network,
    pub(crate) capabilities: Capabilities,
    pub(crate) namespaces: Namespaces,
    pub(crate) devices: Devices,
    pub(crate) guard_proc: bool,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) host_name: OsString,
    pub(crate) work_in: PathBuf,
    pub(crate) user: Option<(u32, u32)>,
    pub(crate) deferred_fsync: bool,
    pub(crate) no_new_privileges: bool,
    pub(crate) keep_session: bool,
    pub(crate) keep_limits: bool,
    pub(crate) grace: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) seccomp: Option<SeccompProfile>,
    pub(crate) read_only: bool,
    pub(crate) sys: Option<Sys>,
    pub(crate) create_targets: bool,
    pub(crate) resolver: bool,
    pub(crate) cancel: Option<Cancel>,
}

impl Sandbox {
    /// A sandbox with `root` as its `/`: no network, an empty environment, host name `localhost`, start in `/`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            network: Network::None,
            capabilities: Capabilities::Build,
            namespaces: Namespaces::default(),
            devices: Devices::Few,
            guard_proc: true,
            mounts: Vec::new(),
            env: Vec::new(),
            host_name: "localhost".into(),
            work_in: "/".into(),
            user: None,
            deferred_fsync: false,
            no_new_privileges: false,
            keep_session: false,
            keep_limits: false,
            grace: None,
            limits: Limits::default(),
            seccomp: None,
            read_only: false,
            sys: None,
            create_targets: false,
            resolver: false,
            cancel: None,
        }
    }

    /// The same sandbox around another root.
    #[must_use]
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// Chooses the network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Chooses the capabilities that the command is limited to.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Chooses the namespaces that the sandbox has to itself; by default all.
    ///
    /// Without one of its own for the host name, [`Sandbox::host_name`] has no effect.
    #[must_use]
    pub fn namespaces(mut self, namespaces: Namespaces) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// Chooses what is in `/dev`; by default only what every program expects.
    #[must_use]
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = devices;
        self
    }

    /// Keeps the kernel's switches in `/proc` read-only and its secrets hidden. On by default.
    ///
    /// Without it `/proc` is fresh and whole, so that programs inside can make sandboxes of their own (the kernel
    /// refuses a new `/proc` to an ordinary user while parts of the old one are hidden), and root inside can change
    /// the machine by `/proc/sys`.
    #[must_use]
    pub fn guard_proc(mut self, on: bool) -> Self {
        self.guard_proc = on;
        self
    }

    /// Mounts the file or directory `source` of the machine, with all mounted below it, at `target`.
    ///
    /// Mounts are made in the order in which they were asked for. A target must exist in the root, unless it lies
    /// in a [`Sandbox::memory`] of this sandbox or [`Sandbox::create_targets`] is on. Symbolic links in `target`
    /// are followed within the root, except for one at the end that leads nowhere: it is covered.
    #[must_use]
    pub fn bind(self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.bind_as(Bind::new(source, target))
    }

    /// As [`Sandbox::bind`], read-only.
    #[must_use]
    pub fn bind_read_only(self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.bind_as(Bind { read_only: true, ..Bind::new(source, target) })
    }

    /// Mounts a file or directory of the machine as the description says; for its target see [`Sandbox::bind`].
    #[must_use]
    pub fn bind_as(mut self, bind: Bind) -> Self {
        self.mounts.push(Mount::Bind(bind));
        self
    }

    /// Shows a read-only file of mode 0644 with these contents at `target`; for `target` see [`Sandbox::bind`].
    #[must_use]
    pub fn file(mut self, target: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.mounts.push(Mount::Bytes { target: target.into(), bytes: bytes.into() });
        self
    }

    /// Mounts an empty directory in memory, of this mode (0 to 0o7777), at `target`.
    #[must_use]
    pub fn memory(mut self, target: impl Into<PathBuf>, mode: u32) -> Self {
        self.mounts.push(Mount::Memory { target: target.into(), mode });
        self
    }

    /// Shows the machine's `/etc/resolv.conf` and `/etc/hosts`, where it has them, read-only and with links resolved, so
    /// that names are looked up as outside. Off by default. For their targets see [`Sandbox::bind`]; a link there
    /// is covered, wherever it leads.
    #[must_use]
    pub fn resolver(mut self, on: bool) -> Self {
        self.resolver = on;
        self
    }

    /// The machine's files of [`Sandbox::resolver`].
    pub(crate) fn resolver_files(&self) -> impl Iterator<Item = &'static Path> {
        let files = ["/etc/resolv.conf", "/etc/hosts"].map(Path::new);
        files.into_iter().filter(|path| self.resolver && path.is_file())
    }

    /// Makes missing targets of mounts, and their parents, in the root, where they stay. Off by default. To have them
    /// removed afterwards, see [`Sandbox::missing_targets`].
    #[must_use]
    pub fn create_targets(mut self, on: bool) -> Self {
        self.create_targets = on;
        self
    }

    /// Gives the command a variable; a later value of the same name wins.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        self.env.retain(|(other, _)| *other != name);
        self.env.push((name, value.into()));
        self
    }

    /// Sets the host name, at most 64 bytes.
    #[must_use]
    pub fn host_name(mut self, name: impl Into<OsString>) -> Self {
        self.host_name = name.into();
        self
    }

    /// Sets the directory, in the root, in which the command starts.
    #[must_use]
    pub fn work_in(mut self, path: impl Into<PathBuf>) -> Self {
        self.work_in = path.into();
        self
    }

    /// Runs the command as this user and group of the sandbox instead of as its root.
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Answers fsync, fdatasync, sync, syncfs, sync_file_range and msync with success, without doing them;
    /// see [`crate::sync_tree`]. Off by default.
    #[must_use]
    pub fn deferred_fsync(mut self, on: bool) -> Self {
        self.deferred_fsync = on;
        self
    }

    /// Takes the effect from set-user-id bits and file capabilities. Off by default: maintainer scripts use `su`.
    #[must_use]
    pub fn no_new_privileges(mut self, on: bool) -> Self {
        self.no_new_privileges = on;
        self
    }

    /// Leaves the command in the caller's session, with its terminal, which is also `/dev/console` (for interactive use). Off by default: a
    /// command in a session of its own cannot push input into the caller's terminal.
    #[must_use]
    pub fn keep_session(mut self, on: bool) -> Self {
        self.keep_session = on;
        self
    }

    /// Passes the signals that this process receives during the run on to what runs inside, in place of their usual
    /// effect here. Off by default.
    ///
    /// SIGTERM, SIGHUP, SIGINT and SIGQUIT go to every process inside, and what has not ended after `grace` is
    /// killed. Others go to the command. Keys typed at a terminal that the command shares (see
    /// [`Sandbox::keep_session`]) reach it without our help and do nothing here. When the command is stopped, this
    /// process stops as well, for the sake of the shell it was started from. Signals that this process ignores are
    /// ignored inside.
    ///
    /// Only for programs with one thread, or whose others block these signals.
    #[must_use]
    pub fn pass_signals(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Limits what the command and all it starts may use. Off by default: control groups are neither needed nor touched.
    ///
    /// [`Error::Limit`] tells where this machine does not offer it.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets the command make only those system calls that the profile allows. Off by default.
    ///
    /// The profile must allow what starting the command itself takes: at least `execve`, `rt_sigaction` and
    /// `rt_sigprocmask`, and with [`Sandbox::user`] `setgroups`, `setresgid` and `setresuid`.
    #[must_use]
    pub fn seccomp(mut self, profile: SeccompProfile) -> Self {
        self.seccomp = Some(profile);
        self
    }

    /// Leaves the command the caller's resource limits. Off by default: the number of open files is then at most
    /// 1024, whoever the caller is.
    #[must_use]
    pub fn keep_limits(mut self, on: bool) -> Self {
        self.keep_limits = on;
        self
    }

    /// Makes the root itself read-only. Off by default.
    #[must_use]
    pub fn read_only(mut self, on: bool) -> Self {
        self.read_only = on;
        self
    }

    /// Shows the machine's `/sys`, read-only. Off by default.
    #[must_use]
    pub fn sys(mut self, on: bool) -> Self {
        self.sys = on.then_some(Sys::ReadOnly);
        self
    }

    /// Shows the machine's `/sys`, with all that is mounted below it, as writable as it is outside. Off by default.
    #[must_use]
    pub fn sys_writable(mut self, on: bool) -> Self {
        self.sys = on.then_some(Sys::Writable);
        self
    }

    /// Lets this switch end the command.
    #[must_use]
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    /// Runs a command and waits for it. A first word without `/` is looked for in the `PATH` given to the command.
    ///
    /// When this returns, every process started inside is dead and every mount gone, however it went; the same
    /// holds when the caller's process ends meanwhile, by whatever signal. Must be called by a process that may
    /// mount: see [`crate::enter_user_namespace`]. Any number of threads may run sandboxes side by side.
    pub fn run<S: AsRef<OsStr>>(&self, command: &[S], stdio: Stdio<'_>) -> Result<ExitStatus, Error> {
        let command: Vec<&OsStr> = command.iter().map(AsRef::as_ref).collect();
        crate::run::run(self, &command, stdio)
    }
}

/// A path or word as the kernel takes it.
pub(crate) fn c_string(what: &str, value: impl AsRef<OsStr>) -> Result<CString, Error> {
    let value = value.as_ref();
    CString::new(value.as_bytes())
        .map_err(|_| Error::Plan { what: format!("{what} {value:?} contains a NUL byte") })
}

/// A place inside the root: absolute and without `..`.
pub(crate) fn inside(path: &Path) -> Result<CString, Error> {
    let proper = path.is_absolute() && !path.components().any(|c| c == std::path::Component::ParentDir);
    if !proper {
        return Err(Error::Plan { what: format!("{} is not an absolute path without `..`", path.display()) });
    }
    c_string("path", path)
}
