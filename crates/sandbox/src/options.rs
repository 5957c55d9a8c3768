//! What a sandbox can be told to share with the machine, and what to keep from it.

use std::path::PathBuf;

use rustix::thread::CapabilitySet;

/// Which network a sandbox has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// A loopback device of its own and nothing else.
    #[default]
    None,
    /// The machine's network.
    Host,
}

/// Which capabilities a command can ever have, over the user namespace the sandbox is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capabilities {
    /// The set that container engines give by default, with which the world's packages install. Not among them:
    /// mounting, other people's processes, the clock, kernel modules, raw devices. Without the right to mount,
    /// what is hidden or read-only in a sandbox cannot be uncovered from inside.
    #[default]
    Build,
    /// All there are. Use only for code that is trusted as much as the caller.
    All,
}

impl Capabilities {
    pub(crate) fn set(self) -> CapabilitySet {
        match self {
            Self::All => CapabilitySet::all(),
            Self::Build => {
                CapabilitySet::CHOWN
                    | CapabilitySet::DAC_OVERRIDE
                    | CapabilitySet::FOWNER
                    | CapabilitySet::FSETID
                    | CapabilitySet::KILL
                    | CapabilitySet::SETGID
                    | CapabilitySet::SETUID
                    | CapabilitySet::SETPCAP
                    | CapabilitySet::NET_BIND_SERVICE
                    | CapabilitySet::NET_RAW
                    | CapabilitySet::SYS_CHROOT
                    | CapabilitySet::MKNOD
                    | CapabilitySet::AUDIT_WRITE
                    | CapabilitySet::SETFCAP
            }
        }
    }
}

/// Which namespaces a sandbox has to itself, besides those of mounts and processes, which it always has, and that
/// of [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// Host and domain name (UTS).
    pub host_name: bool,
    /// System V IPC and POSIX message queues.
    pub ipc: bool,
    /// The view of control groups.
    pub cgroup: bool,
}

impl Namespaces {
    /// None of them: everything but mounts and processes is the machine's.
    pub const SHARED: Self = Self { host_name: false, ipc: false, cgroup: false };
}

impl Default for Namespaces {
    /// All of them.
    fn default() -> Self {
        Self { host_name: true, ipc: true, cgroup: true }
    }
}

/// What is in `/dev`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Devices {
    /// `null`, `zero`, `full`, `random`, `urandom`, `tty`, pseudo-terminals and shared memory of its own.
    #[default]
    Few,
    /// The machine's `/dev` with all that is mounted below it: disks, graphics processors, its pseudo-terminals and
    /// its shared memory. Which of them can be used is up to the permissions of each.
    All,
}

/// A file or directory of the machine to be shown in the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// What is shown. Must exist.
    pub source: PathBuf,
    /// Where in the root.
    pub target: PathBuf,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether what is mounted below the source is shown as well. It is anyway where the kernel will not separate
    /// the two, because it would uncover what root has covered from an ordinary user.
    pub recursive: bool,
}

impl Bind {
    /// Writable and recursive.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), read_only: false, recursive: true }
    }
}
