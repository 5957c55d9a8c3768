//! What the first process of a container does before it becomes another program.

use std::path::Path;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount_remount};

use crate::{Engine, Environment, Error, Result, SetUp, Setup};

/// Where control groups are mounted, which containers often get read-only.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

impl Engine {
    /// Prepares a container in which layers are to be used: makes control groups writable, as far as that is allowed, and
    /// sets up as [`Engine::setup`] does. May be repeated, and may be done by several containers on one volume at once.
    ///
    /// # Errors
    /// What stands in the way of layers: those of [`Engine::setup`] and of [`Engine::test_system`]; [`Error::Setup`] when
    /// this process is not root.
    pub fn start(env: &Environment, setup: &Setup) -> Result<SetUp> {
        if !env.is_root() {
            return Err(Error::Setup { why: "the container is not run as root".to_owned() });
        }
        // Only limits of `run` need them, and say so themselves.
        let _ = open_control_groups(Path::new(CONTROL_GROUPS));
        let made = Self::setup(env, setup)?;
        Self::test_system(env)?;
        Ok(made)
    }
}

/// Makes control groups writable that are mounted read-only, in this mount alone: their file system is everybody's.
fn open_control_groups(path: &Path) -> Result<(), Errno> {
    match access(path, Access::WRITE_OK) {
        Err(Errno::ROFS) => {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::BIND;
            mount_remount(path, flags, "")
        }
        other => other,
    }
}
