//! What this machine can do: each thing is tried, in a process that ends right after, so nothing changes.
#![expect(unsafe_code, reason = "forks the process that tries things")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::WaitOptions;

use crate::architecture::Architecture;
use crate::foreign::{self, Support};
use crate::obstacle::{Obstacle, Switches};
use crate::raw::{self, Fork};
use crate::{Error, IdMap, Sandbox, Stdio, enter};

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Ok,
    /// It works in part, or will not for long.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is, in a few words.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// The one thing to do, if there is something to do.
    pub remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), remedy: None }
    }

    fn with(name: &'static str, state: State, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// Free space below which a build is likely to fail, in bytes.
const LITTLE_SPACE: u64 = 2 << 30;

/// Looks at the machine; `folders` are those that must have room on their disks. To be called while this process
/// has one thread and has not entered a namespace.
#[must_use]
pub fn checks(folders: &[&Path]) -> Vec<Check> {
    let mut checks = vec![kernel()];
    if !rustix::process::geteuid().is_root() {
        checks.extend(ordinary_user());
    }
    let inside = inside();
    let entered = inside.first().is_some_and(|check| check.state == State::Ok);
    checks.extend(inside);
    checks.extend(restrictions(&Switches::read(), entered));
    checks.extend(folders.iter().map(|folder| disk(folder)));
    checks
}

fn kernel() -> Check {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    check_kernel(&release)
}

/// The first two numbers of a kernel's release, zero where there are none.
pub(crate) fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn check_kernel(release: &str) -> Check {
    const NAME: &str = "kernel";
    let version = kernel_version(release);
    if version < (5, 12) {
        Check::with(NAME, State::Fail, format!("Linux {release}"), "use Linux 5.12 or newer")
    } else if version < (6, 7) {
        let remedy = "for foreign architectures, install `qemu-user-static` or use Linux 6.7 or newer";
        Check::with(NAME, State::Warn, format!("Linux {release}"), remedy)
    } else {
        Check::ok(NAME, format!("Linux {release}"))
    }
}

fn ordinary_user() -> [Check; 2] {
    let programs = match ["newuidmap", "newgidmap"].map(enter::find_program) {
        [Some(_), Some(_)] => Check::ok("newuidmap", "installed"),
        _ => Check::with("newuidmap", State::Fail, "not installed", "install the package `uidmap`"),
    };
    let ranges = enter::subordinate("/etc/subuid", 0).and_then(|_| enter::subordinate("/etc/subgid", 0));
    let ids = match ranges {
        Ok(_) => Check::ok("subordinate ids", "65535 or more"),
        Err(Error::SubordinateIds { found, file, command, .. }) => Check::with(
            "subordinate ids",
            State::Fail,
            format!("{found} in {file}"),
            format!("run `{command}`"),
        ),
        Err(error) => Check::with("subordinate ids", State::Fail, error.to_string(), "repair the file"),
    };
    [programs, ids]
}

fn restrictions(switches: &Switches, entered: bool) -> Vec<Check> {
    let apparmor = match switches.apparmor_restricts {
        None => Check::ok("AppArmor", "does not restrict user namespaces"),
        Some(0) => Check::ok("AppArmor", "restriction of user namespaces is off"),
        Some(_) if entered => Check::ok("AppArmor", "restricts user namespaces, but not of this program"),
        Some(_) => {
            Check::with("AppArmor", State::Fail, "restricts user namespaces", Obstacle::AppArmor.to_string())
        }
    };
    let seccomp = match switches.seccomp {
        Some(2) if !entered => {
            Check::with("seccomp", State::Fail, "a filter is active", Obstacle::Seccomp.to_string())
        }
        Some(2) => Check::ok("seccomp", "a filter is active, and allows what is needed"),
        _ => Check::ok("seccomp", "no filter"),
    };
    vec![apparmor, seccomp]
}

fn disk(folder: &Path) -> Check {
    const NAME: &str = "disk space";
    let nearest = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(nearest) {
        Ok(status) => {
            let free = status.f_bavail.saturating_mul(status.f_frsize);
            let found = format!("{:.1} GiB free for {}", free as f64 / f64::from(1 << 30), folder.display());
            if free < LITTLE_SPACE {
                Check::with(NAME, State::Warn, found, "make at least 2 GiB free")
            } else {
                Check::ok(NAME, found)
            }
        }
        Err(errno) => {
            let found = format!("cannot look at {}: {}", folder.display(), std::io::Error::from(errno));
            Check::with(NAME, State::Warn, found, "choose a folder that can be read")
        }
    }
}

const NAMES: [&str; 4] = ["user namespace", "sandbox", "overlayfs", "foreign programs"];

/// What is tried inside namespaces, by a process that ends right after.
fn inside() -> Vec<Check> {
    let lost = |reason: String| vec![Check::with(NAMES[0], State::Fail, reason, "report this as a bug")];
    match raw::thread_count() {
        Ok(1) => {}
        count => return lost(format!("this process has more than one thread ({count:?})")),
    }
    let Ok((read, write)) = pipe_with(PipeFlags::CLOEXEC) else { return lost("cannot create a pipe".into()) };
    // SAFETY: this process has one thread, so the child may run any code.
    match unsafe { raw::fork(0) } {
        Ok(Fork::Child) => {
            drop(read);
            let text = try_all().iter().map(encode).collect::<String>();
            // If nobody reads it there is nobody to tell.
            let _ = File::from(write).write_all(text.as_bytes());
            raw::exit(0)
        }
        Ok(Fork::Parent(pid)) => {
            drop(write);
            let mut text = String::new();
            let read = File::from(read).read_to_string(&mut text);
            while let Err(Errno::INTR) = rustix::process::waitpid(Some(pid), WaitOptions::empty()) {}
            match read {
                Ok(_) if !text.is_empty() => text.split_terminator('\0').filter_map(decode).collect(),
                _ => lost("the process that tries things died".into()),
            }
        }
        Err(errno) => lost(format!("cannot start a process: {}", std::io::Error::from(errno))),
    }
}

/// Fields separated by a byte that no text has, ended by NUL.
fn encode(check: &Check) -> String {
    let Check { name, state, found, remedy } = check;
    format!("{name}\u{1}{state:?}\u{1}{found}\u{1}{}\0", remedy.as_deref().unwrap_or_default())
}

fn decode(text: &str) -> Option<Check> {
    let mut fields = text.split('\u{1}');
    let (name, state) = (fields.next()?, fields.next()?);
    let (found, remedy) = (fields.next()?.to_owned(), fields.next()?.to_owned());
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let state = [State::Ok, State::Warn, State::Fail].into_iter().find(|s| format!("{s:?}") == state)?;
    Some(Check { name, state, found, remedy: Some(remedy).filter(|remedy| !remedy.is_empty()) })
}

fn try_all() -> Vec<Check> {
    let ids = match crate::enter_user_namespace() {
        Ok(ids) => ids,
        Err(error) => return vec![failure(NAMES[0], &error)],
    };
    vec![entered(&ids), try_sandbox(), try_overlay(), try_foreign(&ids)]
}

fn failure(name: &'static str, error: &Error) -> Check {
    let source = std::error::Error::source(error).map(|source| format!(" ({source})")).unwrap_or_default();
    // The messages end with what to do, after a semicolon.
    let message = error.to_string();
    match message.split_once("; ") {
        Some((what, remedy)) => Check::with(name, State::Fail, format!("{what}{source}"), remedy),
        None => Check { name, state: State::Fail, found: format!("{message}{source}"), remedy: None },
    }
}

fn entered(ids: &IdMap) -> Check {
    if ids.is_own() {
        return Check::ok(NAMES[0], "can be created, with ids 0 to 65535");
    }
    let remedy = "run as an ordinary user, or outside of a chroot, to have foreign programs without changing \
                  the machine";
    Check::with(NAMES[0], State::Warn, "refused, but root does without", remedy)
}

/// Runs a program in a sandbox around the machine's own root, read-only.
fn try_sandbox() -> Check {
    match Sandbox::new("/").read_only(true).run(&["true"], Stdio::null()) {
        Ok(status) if status.success() => Check::ok(NAMES[1], "a program runs in its own namespaces"),
        Ok(status) => {
            Check::with(NAMES[1], State::Fail, format!("`true` ended: {status}"), "report this as a bug")
        }
        Err(error) => failure(NAMES[1], &error),
    }
}

fn try_overlay() -> Check {
    match mount_overlay() {
        Ok(()) => Check::ok(NAMES[2], "can be mounted in a user namespace"),
        Err(errno) => {
            let found = format!("cannot be mounted in a user namespace ({})", std::io::Error::from(errno));
            Check::with(NAMES[2], State::Warn, found, "use Linux 5.12 or newer with `CONFIG_OVERLAY_FS`")
        }
    }
}

/// Mounts an overlay of directories in memory, in this process's own mount namespace.
fn mount_overlay() -> Result<(), Errno> {
    let attach = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let new = |kind: &std::ffi::CStr, options: &[(&str, &str)]| {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            rustix::mount::fsconfig_set_string(&context, *key, *value)?;
        }
        rustix::mount::fsconfig_create(&context)?;
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    let memory = new(c"tmpfs", &[])?;
    rustix::mount::move_mount(&memory, c"", rustix::fs::CWD, c"/tmp", attach)?;
    for name in ["lower", "upper", "work"] {
        rustix::fs::mkdirat(&memory, name, rustix::fs::Mode::RWXU)?;
    }
    let options = [("lowerdir", "/tmp/lower"), ("upperdir", "/tmp/upper"), ("workdir", "/tmp/work")];
    new(c"overlay", &options).map(drop)
}

/// Tries the architecture that a build on this machine is most likely to want besides its own.
fn try_foreign(ids: &IdMap) -> Check {
    let other = match Architecture::machine() {
        Some(Architecture::Arm64) => Architecture::Amd64,
        _ => Architecture::Arm64,
    };
    match foreign::support(other, ids) {
        Support::Native => Check::ok(NAMES[3], format!("{other} runs natively")),
        Support::OwnNamespace => Check::ok(NAMES[3], format!("{other} by binfmt_misc in our own namespace")),
        Support::MachineRegistration { interpreter, .. } => {
            Check::ok(NAMES[3], format!("{other} by the machine's {interpreter}"))
        }
        Support::None { reason, remedy } => {
            Check::with(NAMES[3], State::Warn, format!("{other}: {reason}"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_judged_by_version() {
        let tests = [
            ("4.19.0-27-amd64", State::Fail),
            ("5.11.22", State::Fail),
            ("5.12.0", State::Warn),
            ("6.6.99-1-lts", State::Warn),
            ("6.7", State::Ok),
            ("6.18.44-fc", State::Ok),
            ("7.0-rc1", State::Ok),
            ("nonsense", State::Fail),
        ];
        for (release, state) in tests {
            assert_eq!(check_kernel(release).state, state, "{release}");
        }
    }

    #[test]
    fn checks_survive_the_pipe() {
        let check = Check::with(NAMES[1], State::Warn, "a (b)", "do c; then d");
        for check in [Check::ok(NAMES[0], "fine"), check] {
            assert_eq!(decode(encode(&check).trim_end_matches('\0')), Some(check));
        }
    }

    #[test]
    fn restrictions_fail_only_what_they_prevent() {
        let ubuntu = Switches { apparmor_restricts: Some(1), seccomp: Some(2), ..Switches::default() };
        let states =
            |entered| restrictions(&ubuntu, entered).iter().map(|check| check.state).collect::<Vec<_>>();
        assert_eq!(states(true), [State::Ok, State::Ok]);
        assert_eq!(states(false), [State::Fail, State::Fail]);
    }

    #[test]
    fn remedies_are_cut_from_messages() {
        let error = Error::HelperMissing { program: "newuidmap" };
        let check = failure(NAMES[0], &error);
        assert_eq!(check.found, "`newuidmap` is not installed");
        assert_eq!(check.remedy.as_deref(), Some("install the package `uidmap`"));
    }
}
