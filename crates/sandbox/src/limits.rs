//! Limits of memory, processors and processes, by control groups of version 2, version 1, or both side by side.
//!
//! A group is made beside or below our own, the command enters it before it starts, and it is removed afterwards. A
//! lock on its directory shows that it is in use, so that groups whose owner was killed are removed by the next run.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::Error;
use crate::hierarchy::{Hierarchy, hierarchies};

/// How much all processes of a sandbox together may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Bytes of memory, page cache included and without any swap. The kernel kills a process where that is not enough.
    pub memory: Option<u64>,
    /// Processors, in time: 1.5 is one and a half. At least 0.01.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// Microseconds in which the time of processors is counted: the kernel's default.
const PERIOD: u32 = 100_000;

/// Begins the name of every group of ours.
const PREFIX: &str = "ovmlayer-";

/// How often a group that is still emptying is tried to be removed, a millisecond apart.
const TRIES: u32 = 1000;

/// A file of a group, what is written to it, and whether all kernels have it.
struct Setting {
    file: &'static str,
    value: String,
    needed: bool,
}

impl Setting {
    fn new(file: &'static str, value: &impl ToString) -> Self {
        Self { file, value: value.to_string(), needed: true }
    }

    fn optional(file: &'static str, value: &impl ToString) -> Self {
        Self { needed: false, ..Self::new(file, value) }
    }
}

impl Limits {
    /// The controllers that are asked for.
    fn controllers(&self) -> Vec<&'static str> {
        let all =
            [("memory", self.memory.is_some()), ("cpu", self.cpus.is_some()), ("pids", self.pids.is_some())];
        all.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect()
    }

    fn settings(&self, controller: &str, version_2: bool) -> Vec<Setting> {
        // At least the millisecond that the kernel demands.
        let quota = self.cpus.map(|cpus| ((cpus * f64::from(PERIOD)) as u64).max(1000));
        match (controller, self.memory, quota, self.pids) {
            ("memory", Some(bytes), ..) if version_2 => {
                vec![Setting::new("memory.max", &bytes), Setting::optional("memory.swap.max", &0)]
            }
            ("memory", Some(bytes), ..) => vec![
                Setting::new("memory.limit_in_bytes", &bytes),
                Setting::optional("memory.memsw.limit_in_bytes", &bytes),
            ],
            ("cpu", _, Some(quota), _) if version_2 => {
                vec![Setting::new("cpu.max", &format!("{quota} {PERIOD}"))]
            }
            ("cpu", _, Some(quota), _) => {
                vec![Setting::new("cpu.cfs_period_us", &PERIOD), Setting::new("cpu.cfs_quota_us", &quota)]
            }
            ("pids", _, _, Some(pids)) => vec![Setting::new("pids.max", &pids)],
            _ => Vec::new(),
        }
    }
}

/// The groups of one sandbox, one per hierarchy. Removed when dropped; no process may be left in them.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    path: PathBuf,
    /// The directory, locked.
    _lock: OwnedFd,
    /// Its file `cgroup.procs`: who writes `0` is in.
    processes: Option<OwnedFd>,
}

impl Groups {
    /// Makes the groups for these limits.
    pub(crate) fn new(limits: &Limits) -> Result<Self, Error> {
        if let Some(cpus) = limits.cpus.filter(|cpus| !(0.01..=1e6).contains(cpus)) {
            return Err(Error::Plan { what: format!("{cpus} is not a number of processors") });
        }
        let all = hierarchies()?;
        let mut parts: Vec<(&Hierarchy, Vec<&'static str>)> = Vec::new();
        for controller in limits.controllers() {
            let hierarchy = Hierarchy::of(&all, controller).ok_or_else(|| Error::Limit {
                controller,
                reason: "the kernel offers no control group for it here; is /sys/fs/cgroup mounted?".into(),
            })?;
            match parts.iter_mut().find(|(other, _)| std::ptr::eq(*other, hierarchy)) {
                Some((_, controllers)) => controllers.push(controller),
                None => parts.push((hierarchy, vec![controller])),
            }
        }
        let mut groups = Self::default();
        for (hierarchy, controllers) in parts {
            let group = Group::new(hierarchy, &controllers, limits)?;
            groups.groups.push(group);
        }
        Ok(groups)
    }

    /// What the command writes to, to be in.
    pub(crate) fn take_processes(&mut self) -> Vec<OwnedFd> {
        self.groups.iter_mut().filter_map(|group| group.processes.take()).collect()
    }
}

impl Group {
    fn new(hierarchy: &Hierarchy, controllers: &[&'static str], limits: &Limits) -> Result<Self, Error> {
        let mut refusal = io::Error::from(io::ErrorKind::NotFound);
        let mut refused_at = hierarchy.own();
        for parent in hierarchy.parents() {
            match Self::below(&parent, hierarchy, controllers, limits) {
                Ok(group) => return Ok(group),
                Err(error) => (refusal, refused_at) = (error, parent),
            }
        }
        let remedy = if hierarchy.version_2 {
            "; start it in a group of its own, for instance by `systemd-run --scope -p Delegate=yes`"
        } else {
            ""
        };
        let reason = format!("no control group can be made in {}: {refusal}{remedy}", refused_at.display());
        Err(Error::Limit { controller: controllers.first().copied().unwrap_or("resources"), reason })
    }

    fn below(
        parent: &Path,
        hierarchy: &Hierarchy,
        controllers: &[&'static str],
        limits: &Limits,
    ) -> io::Result<Self> {
        if hierarchy.version_2 {
            enable(parent, controllers)?;
        }
        remove_left_over(parent);
        let mut group = Self::make(parent)?;
        for controller in controllers {
            for Setting { file, value, needed } in limits.settings(controller, hierarchy.version_2) {
                match write(&group.path.join(file), &value) {
                    Err(error) if needed || error.kind() != io::ErrorKind::NotFound => {
                        return Err(io::Error::new(error.kind(), format!("cannot write {file} ({error})")));
                    }
                    _ => {}
                }
            }
        }
        let processes = File::options().write(true).open(group.path.join("cgroup.procs"))?;
        group.processes = Some(above_standard(processes.into())?);
        Ok(group)
    }

    /// Makes an empty group with a new name.
    fn make(parent: &Path) -> io::Result<Self> {
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let path = parent.join(format!("{PREFIX}{}-{}", std::process::id(), now.as_nanos()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other?,
            }
            // Before it is locked another run may have taken it for left over and removed it.
            match lock(&path) {
                Ok(lock) if path.exists() => return Ok(Self { path, _lock: lock, processes: None }),
                Ok(_) | Err(Errno::NOENT | Errno::AGAIN) => {}
                Err(errno) => {
                    // Nobody is in it; that it cannot be locked says more than that it cannot be removed.
                    let _ = fs::remove_dir(&path);
                    return Err(errno.into());
                }
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel takes dead processes from their group a moment after their parent has collected them.
        for _ in 0..TRIES {
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                // Otherwise the next run with limits tries again.
                _ => break,
            }
        }
    }
}

fn above_standard(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
}

fn lock(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    flock(directory.as_fd(), FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}

/// Removes the groups of runs that were killed.
fn remove_left_over(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        if let Ok(_lock) = lock(&entry.path()) {
            // It is refused while somebody is in there, and there is time until the next run.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Lets the children of a group of version 2 have these controllers. Refused by the kernel while processes are in the
/// group itself, unless it is the root of all.
fn enable(group: &Path, controllers: &[&'static str]) -> io::Result<()> {
    let file = group.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&file)?;
    for controller in controllers {
        if !enabled.split_whitespace().any(|word| word == *controller) {
            write(&file, &format!("+{controller}"))?;
        }
    }
    Ok(())
}

fn write(file: &Path, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    File::options().write(true).open(file)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_the_version() {
        let limits = Limits { memory: Some(1 << 20), cpus: Some(1.5), pids: Some(7) };
        let settings = |version_2| -> Vec<String> {
            let of = |controller| limits.settings(controller, version_2);
            let all = limits.controllers().into_iter().flat_map(of);
            all.map(|setting| format!("{}={}", setting.file, setting.value)).collect()
        };
        let expected = ["memory.max=1048576", "memory.swap.max=0", "cpu.max=150000 100000", "pids.max=7"];
        assert_eq!(settings(true), expected);
        let expected = [
            "memory.limit_in_bytes=1048576",
            "memory.memsw.limit_in_bytes=1048576",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=150000",
            "pids.max=7",
        ];
        assert_eq!(settings(false), expected);
        assert!(Limits::default().controllers().is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for cpus in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = Groups::new(&Limits { cpus: Some(cpus), ..Limits::default() });
            assert!(matches!(refused, Err(Error::Plan { .. })), "{cpus}");
        }
    }
}
