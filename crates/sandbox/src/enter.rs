//! Entering a user namespace with a full range of ids, in the process that is running already.
#![expect(unsafe_code, reason = "forks the helper that writes the id maps")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions};
use rustix::thread::{CapabilitySet, Gid, Uid, UnshareFlags};

use crate::Error;
use crate::ids::{self, IdRange};
use crate::obstacle::refused;
use crate::raw::{self, Fork};

/// The user namespace a process is in after [`enter_user_namespace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap {
    own: bool,
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
}

impl IdMap {
    /// Whether the namespace was made by us, for this process alone. Only root may lack it (see
    /// [`enter_user_namespace`]).
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// User ids and what they are outside.
    #[must_use]
    pub fn uids(&self) -> &[IdRange] {
        &self.uids
    }

    /// Group ids and what they are outside.
    #[must_use]
    pub fn gids(&self) -> &[IdRange] {
        &self.gids
    }

    /// The map of the namespace we are in.
    fn current(own: bool) -> Result<Self, Error> {
        let read = |path: &str| {
            let text = fs::read_to_string(path).map_err(Error::system(format!("read {path}")))?;
            Ok::<_, Error>(ids::parse_map(&text))
        };
        Ok(Self { own, uids: read("/proc/self/uid_map")?, gids: read("/proc/self/gid_map")? })
    }

    fn check(self) -> Result<Self, Error> {
        let found = ids::mapped(&self.uids).min(ids::mapped(&self.gids));
        if found < u64::from(ids::NEEDED) { Err(Error::IdsUnmapped { found }) } else { Ok(self) }
    }
}

/// Moves this process into a user and a mount namespace of its own, where it is root and may mount.
///
/// To be called first thing in `main`, while there is one thread. The process keeps its id and its descriptors;
/// afterwards it has user and group 0, no supplementary groups, ids 0 to 65535 at least, and mounts that nobody
/// outside sees (those made outside later still appear here).
///
/// * Root keeps every id as it is, so files have the owners they would have without the namespace.
/// * An ordinary user becomes 0, and 1 to 65535 are taken from `/etc/subuid` and `/etc/subgid`, by means of
///   `newuidmap` and `newgidmap`.
/// * Root in a place where user namespaces are refused (a chroot, some containers) but with the right to mount
///   goes on with a mount namespace only; [`IdMap::is_own`] tells.
///
/// # Errors
/// Each says the one thing to do: missing subordinate ids, `uidmap` not installed, user namespaces switched off by
/// one of several means. After an error the process may be in a half-made namespace and can only report and exit.
pub fn enter_user_namespace() -> Result<IdMap, Error> {
    require_one_thread()?;
    let helper = Helper::start(&Mapper::choose()?)?;
    match raw::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) {
        Ok(()) => {}
        Err(errno) => {
            helper.dismiss();
            return without_user_namespace(errno);
        }
    }
    helper.map_ids()?;
    become_root().map_err(|errno| refused("become root of a user namespace", errno))?;
    detach_mounts()?;
    IdMap::current(true)?.check()
}

/// Fails in a process with several threads, which cannot change its user namespace, and of which a fork has but one.
pub(crate) fn require_one_thread() -> Result<(), Error> {
    let count = raw::thread_count().map_err(Error::system("read /proc/self/task"))?;
    if count == 1 { Ok(()) } else { Err(Error::Threads { count }) }
}

fn without_user_namespace(errno: Errno) -> Result<IdMap, Error> {
    let capable = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    if !capable || raw::unshare(UnshareFlags::NEWNS).is_err() {
        return Err(refused("create a user namespace", errno));
    }
    detach_mounts()?;
    IdMap::current(false)?.check()
}

pub(crate) fn become_root() -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    match rustix::thread::set_thread_groups(&[]) {
        // Denied for good in the namespace around us; the groups then show as `nogroup` and grant little.
        Err(Errno::PERM) => Ok(()),
        other => other,
    }
}

fn detach_mounts() -> Result<(), Error> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", flags).map_err(|errno| refused("make mounts private", errno))
}

/// Who writes the maps, with what in them.
#[derive(Debug)]
enum Mapper {
    /// A privileged process of the namespace around us writes them itself.
    Direct { uids: Vec<IdRange>, gids: Vec<IdRange> },
    /// The set-user-id programs `newuidmap` and `newgidmap`, which check `/etc/subuid` and `/etc/subgid`.
    Programs { uids: Vec<IdRange>, gids: Vec<IdRange> },
}

impl Mapper {
    fn choose() -> Result<Self, Error> {
        let uid = rustix::process::geteuid();
        if uid.is_root() {
            let current = IdMap::current(false)?.check()?;
            return Ok(Self::Direct {
                uids: ids::identity(&current.uids),
                gids: ids::identity(&current.gids),
            });
        }
        for program in ["newuidmap", "newgidmap"] {
            if find_program(program).is_none() {
                return Err(Error::HelperMissing { program });
            }
        }
        let uids = subordinate("/etc/subuid", uid.as_raw())?;
        let gids = subordinate("/etc/subgid", rustix::process::getegid().as_raw())?;
        Ok(Self::Programs { uids, gids })
    }

    /// Runs in the helper, which is still outside.
    fn apply(&self, pid: Pid) -> Result<(), String> {
        match self {
            Self::Direct { uids, gids } => {
                for (name, ranges) in [("uid_map", uids), ("gid_map", gids)] {
                    let path = format!("/proc/{pid}/{name}");
                    // The kernel takes a map in a single write only.
                    fs::write(&path, ids::format_map(ranges))
                        .map_err(|e| format!("cannot write {path}: {e}"))?;
                }
                Ok(())
            }
            Self::Programs { uids, gids } => {
                run_mapper("newuidmap", pid, uids)?;
                run_mapper("newgidmap", pid, gids)
            }
        }
    }
}

/// The map of an ordinary user, whose own id (of a user or group, as `file` has it) is `own`.
pub(crate) fn subordinate(file: &'static str, own: u32) -> Result<Vec<IdRange>, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = ids::user_name(&passwd, uid);
    // A missing file grants nothing.
    let text = fs::read_to_string(file).unwrap_or_default();
    ids::subordinate_map(own, &ids::parse_subordinate(&text, name, uid)).map_err(|found| {
        let user = name.map_or_else(|| uid.to_string(), str::to_owned);
        let command = format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}");
        Error::SubordinateIds { user, file, found, needed: u64::from(ids::NEEDED) - 1, command }
    })
}

/// Where a program is, by `PATH` and the usual places.
pub(crate) fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin".into(), "/bin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

fn run_mapper(program: &str, pid: Pid, ranges: &[IdRange]) -> Result<(), String> {
    let path = find_program(program).unwrap_or_else(|| program.into());
    let mut command = Command::new(path);
    command.arg(pid.to_string());
    for range in ranges {
        command.args([range.inside, range.outside, range.count].map(|number| number.to_string()));
    }
    let output = command.output().map_err(|error| format!("cannot run `{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// A process that stays outside and writes the maps once we are inside.
struct Helper {
    pid: Pid,
    /// One byte says that we are inside; the end without a byte, that there is nothing to do.
    go: File,
    /// Answers with nothing (done) or a message.
    answer: File,
}

impl Helper {
    fn start(mapper: &Mapper) -> Result<Self, Error> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("create a pipe"));
        let (go_read, go_write) = pipe()?;
        let (answer_read, answer_write) = pipe()?;
        let main = rustix::process::getpid();
        // SAFETY: the caller has checked that this process has one thread, so the child may run any code.
        match unsafe { raw::fork(0) } {
            Ok(Fork::Child) => {
                drop((go_write, answer_read));
                help(mapper, main, go_read, answer_write)
            }
            Ok(Fork::Parent(pid)) => Ok(Self { pid, go: go_write.into(), answer: answer_read.into() }),
            Err(errno) => Err(Error::system("start a process")(errno)),
        }
    }

    fn map_ids(mut self) -> Result<(), Error> {
        let mut message = String::new();
        let told = self.go.write_all(b"!").and_then(|()| self.answer.read_to_string(&mut message));
        let status = self.collect();
        match (told, message.strip_suffix('.')) {
            // A full stop ends every answer, so that a helper that dies half-way is not taken for one that is done.
            (Ok(_), Some("")) => Ok(()),
            (Ok(_), Some(message)) => Err(Error::MapIds { message: message.to_owned() }),
            _ => Err(Error::MapIds { message: format!("the helper process died ({status:?})") }),
        }
    }

    fn dismiss(self) {
        self.collect();
    }

    fn collect(self) -> Option<i32> {
        let Self { pid, go, answer } = self;
        drop((go, answer));
        loop {
            match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
                Err(Errno::INTR) => {}
                other => return other.ok().flatten().map(|(_, status)| status.as_raw()),
            }
        }
    }
}

fn help(mapper: &Mapper, main: Pid, go: OwnedFd, answer: OwnedFd) -> ! {
    let mut byte = [0];
    if File::from(go).read_exact(&mut byte).is_ok() {
        let message = mapper.apply(main).err().unwrap_or_default();
        // If the main process is gone there is nobody to tell.
        let _ = File::from(answer).write_all(format!("{message}.").as_bytes());
    }
    raw::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_thread_is_refused() {
        let entered = std::thread::spawn(enter_user_namespace).join().unwrap();
        assert!(matches!(entered, Err(Error::Threads { count: 2.. })), "{entered:?}");
    }
}
