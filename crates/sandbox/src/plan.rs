//! From the description of a sandbox to the list of acts and everything else the child needs, ready-made.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::act::{Act, Slot};
use crate::command::Command;
use crate::raw::Stack;
use crate::sandbox::{Mount, Sandbox, Sys, c_string, inside};
use crate::signals::Signals;
use crate::targets::is_directory;
use crate::{Bind, Devices, Error, Network};

/// Everything the child touches. Nothing in it is allocated after the fork.
#[derive(Debug)]
pub(crate) struct Plan {
    /// `CLONE_NEW*` flags of the new namespaces.
    pub(crate) namespaces: i32,
    pub(crate) acts: Vec<Act>,
    pub(crate) slots: Vec<Option<OwnedFd>>,
    pub(crate) command: Command,
    pub(crate) stack: Stack,
    pub(crate) signals: Signals,
}

/// Parts of `/proc` through which uid 0 could reach the machine. With root's identity map uid 0 is the real
/// root to the kernel's file permissions, so these must not be writable.
const READ_ONLY: [&str; 5] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];

/// Parts of `/proc` that show the machine's memory, keys, timers or hardware.
const MASKED: [&str; 8] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/acpi",
    "/proc/scsi",
    "/proc/asound",
];

/// The machine's devices that a sandbox has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

impl Plan {
    pub(crate) fn new(sandbox: &Sandbox, command: &[&OsStr]) -> Result<Self, Error> {
        let mut planner = Planner::default();
        planner.root(sandbox)?;
        planner.dev(sandbox)?;
        planner.proc(sandbox.guard_proc)?;
        planner.mounts(sandbox)?;
        planner.rest(sandbox)?;
        Ok(Self {
            namespaces: namespaces(sandbox),
            acts: planner.before.into_iter().chain(planner.after).collect(),
            slots: (0..planner.slots).map(|_| None).collect(),
            command: Command::new(sandbox, command)?,
            stack: Stack::new(),
            signals: Signals { grace: sandbox.grace, shared_terminal: sandbox.keep_session },
        })
    }
}

fn namespaces(sandbox: &Sandbox) -> i32 {
    let own = sandbox.namespaces;
    let choices = [
        (true, libc::CLONE_NEWNS | libc::CLONE_NEWPID),
        (own.host_name, libc::CLONE_NEWUTS),
        (own.ipc, libc::CLONE_NEWIPC),
        (sandbox.network == Network::None, libc::CLONE_NEWNET),
        // Kernels can be built without control groups; then there is nothing to hide.
        (own.cgroup && Path::new("/proc/self/ns/cgroup").exists(), libc::CLONE_NEWCGROUP),
    ];
    choices.into_iter().filter(|(chosen, _)| *chosen).fold(0, |flags, (_, flag)| flags | flag)
}

/// The terminal that is a standard stream of ours.
fn terminal() -> Option<PathBuf> {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let terminal = streams.into_iter().find(|stream| rustix::termios::isatty(stream))?;
    let name = rustix::termios::ttyname(terminal, Vec::new()).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(name.as_bytes())))
}

/// Collects acts: those that still see the machine's files, then those inside the new root. Targets are thus
/// resolved inside the root, where no symbolic link leads out.
#[derive(Debug, Default)]
struct Planner {
    before: Vec<Act>,
    after: Vec<Act>,
    slots: usize,
    /// Directories in memory, in which targets may be made.
    memories: Vec<PathBuf>,
    /// Slots of the files given as bytes, in their order.
    contents: Vec<Slot>,
}

impl Planner {
    fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots - 1)
    }

    fn take(&mut self, source: &Path, recursive: bool, read_only: bool) -> Result<Slot, Error> {
        let slot = self.slot();
        self.before.push(Act::Take { slot, source: c_string("path", source)?, recursive, read_only });
        Ok(slot)
    }

    fn root(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        self.before.push(Act::Detach);
        let slot = self.take(&sandbox.root, true, sandbox.read_only)?;
        self.after.push(Act::Enter { slot, root: c_string("path", &sandbox.root)? });
        self.contents(sandbox)
    }

    /// Files given as bytes are written into a directory in memory that is mounted on `/dev` for the moment; the
    /// mounts of the single files outlive it.
    fn contents(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        let mut staged = Vec::new();
        for mount in &sandbox.mounts {
            if let Mount::Bytes { bytes, .. } = mount {
                let slot = self.slot();
                let path = c_string("path", format!("/dev/{}", slot.0))?;
                staged.push(Act::Content { slot, path, bytes: bytes.clone() });
                self.contents.push(slot);
            }
        }
        if !staged.is_empty() {
            self.new_mount(c"tmpfs", &[(c"mode", "755")], true, Path::new("/dev"))?;
            self.after.append(&mut staged);
            self.after.push(Act::Unmount { path: c"/dev".into() });
        }
        Ok(())
    }

    fn new_mount(
        &mut self,
        kind: &'static std::ffi::CStr,
        options: &[(&'static std::ffi::CStr, &str)],
        exec: bool,
        target: &Path,
    ) -> Result<(), Error> {
        let options = options.iter().map(|(key, value)| Ok((*key, c_string("option", value)?)));
        let options = options.collect::<Result<_, Error>>()?;
        let slot = self.slot();
        self.before.push(Act::New { slot, kind, options, exec });
        self.after.push(Act::Put { slot, target: inside(target)? });
        Ok(())
    }

    fn dev(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        if sandbox.devices == Devices::All {
            let slot = self.take(Path::new("/dev"), true, false)?;
            self.after.push(Act::Put { slot, target: c"/dev".into() });
            return Ok(());
        }
        self.new_mount(c"tmpfs", &[(c"mode", "755")], false, Path::new("/dev"))?;
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            let slot = self.take(&path, false, false)?;
            self.after.push(Act::File { path: inside(&path)? });
            self.after.push(Act::Put { slot, target: inside(&path)? });
        }
        // A terminal from outside has no name in the pseudo-terminals inside; programs that ask for it look here too.
        if let Some(terminal) = sandbox.keep_session.then(terminal).flatten() {
            let slot = self.take(&terminal, false, false)?;
            self.after.push(Act::File { path: c"/dev/console".into() });
            self.after.push(Act::Put { slot, target: c"/dev/console".into() });
        }
        for (path, target) in DEVICE_LINKS {
            self.after.push(Act::Link { path: inside(Path::new(path))?, target: c_string("link", target)? });
        }
        self.after.push(Act::Directory { path: c"/dev/shm".into(), mode: 0o1777 });
        self.after.push(Act::Directory { path: c"/dev/pts".into(), mode: 0o755 });
        // Group 5 is `tty` in every Debian and Ubuntu (base-passwd).
        let options = [(c"newinstance", ""), (c"ptmxmode", "666"), (c"mode", "620"), (c"gid", "5")];
        self.new_mount(c"devpts", &options, false, Path::new("/dev/pts"))
    }

    fn proc(&mut self, guard: bool) -> Result<(), Error> {
        self.new_mount(c"proc", &[], false, Path::new("/proc"))?;
        if !guard {
            return Ok(());
        }
        for path in READ_ONLY {
            self.after.push(Act::ReadOnly { path: inside(Path::new(path))? });
        }
        for path in MASKED {
            self.after.push(Act::Mask { path: inside(Path::new(path))? });
        }
        Ok(())
    }

    fn mounts(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        if let Some(sys) = sandbox.sys {
            let slot = self.take(Path::new("/sys"), true, sys == Sys::ReadOnly)?;
            self.after.push(Act::Put { slot, target: c"/sys".into() });
        }
        for file in sandbox.resolver_files() {
            let slot = self.take(file, false, true)?;
            self.make_target(file, false, sandbox.create_targets)?;
            self.after.push(Act::Cover { slot, target: inside(file)? });
        }
        let mut contents = std::mem::take(&mut self.contents).into_iter();
        for mount in &sandbox.mounts {
            match mount {
                Mount::Memory { target, mode } => {
                    self.make_target(target, true, sandbox.create_targets)?;
                    let mode = format!("{:o}", mode & 0o7777);
                    self.new_mount(c"tmpfs", &[(c"mode", &mode)], true, target)?;
                    self.memories.push(target.clone());
                }
                Mount::Bind(Bind { source, target, read_only, recursive }) => {
                    let slot = self.take(source, *recursive, *read_only)?;
                    self.make_target(target, is_directory(source)?, sandbox.create_targets)?;
                    self.after.push(Act::Put { slot, target: inside(target)? });
                }
                Mount::Bytes { target, .. } => {
                    let Some(slot) = contents.next() else { continue };
                    self.make_target(target, false, sandbox.create_targets)?;
                    self.after.push(Act::Put { slot, target: inside(target)? });
                }
            }
        }
        Ok(())
    }

    /// Makes what is missing of `target`, where that is allowed: in memory always, in the root only if asked for.
    fn make_target(&mut self, target: &Path, directory: bool, create: bool) -> Result<(), Error> {
        let floor = match self.memories.iter().rev().find(|memory| target.starts_with(memory)) {
            Some(memory) => memory.clone(),
            None if create => PathBuf::from("/"),
            None => return Ok(()),
        };
        let mut parents: Vec<_> = target.ancestors().skip(1).take_while(|p| *p != floor).collect();
        parents.reverse();
        for parent in parents {
            self.after.push(Act::Directory { path: inside(parent)?, mode: 0o755 });
        }
        if target == floor {
            return Ok(());
        }
        let path = inside(target)?;
        self.after.push(if directory { Act::Directory { path, mode: 0o755 } } else { Act::File { path } });
        Ok(())
    }

    fn rest(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        if sandbox.network == Network::None {
            self.after.push(Act::Loopback);
        }
        if sandbox.namespaces.host_name {
            self.after.push(Act::HostName { name: c_string("host name", &sandbox.host_name)? });
        }
        self.after.push(Act::WorkIn { path: inside(&sandbox.work_in)? });
        Ok(())
    }
}
