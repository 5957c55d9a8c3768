//! The process that keeps a mount, started by an ordinary user and by root.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ovmlayer_sandbox::overlay::upper_in_use;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::place::{Background, Place, overlay, read};
use crate::support::{Outcome, Who, first_subordinate_id, user_id};

/// An overlay kept at a place.
struct Kept {
    place: Place,
    lease: PathBuf,
    target: PathBuf,
    upper: PathBuf,
    arguments: Vec<PathBuf>,
}

impl Kept {
    fn new(who: Who) -> Self {
        let place = Place::of(who);
        let lower = place.layer("lower");
        let [target, upper, work] = ["m", "upper", "work"].map(|name| place.directory(name));
        let lease = place.path().join("lease");
        let arguments = vec!["hold".into(), lease.clone(), target.clone(), upper.clone(), work, lower];
        Self { place, lease, target, upper, arguments }
    }

    /// Starts the holder; its process id.
    fn hold(&self) -> u32 {
        self.place.run(&self.arguments).ok().trim().parse().unwrap()
    }

    fn holder(&self) -> String {
        self.place.run(&[Path::new("holder"), &self.lease]).ok()
    }

    fn join(&self, script: &str) -> Command {
        let words =
            [Path::new("join"), &self.lease, "sh".as_ref(), "-c".as_ref(), script.as_ref(), "sh".as_ref()];
        self.place.command(&[&words[..], &[&self.target]].concat())
    }

    fn release(&self) {
        self.place.run(&[Path::new("release"), &self.lease]).ok();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.place.command(&[Path::new("release"), &self.lease]).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_mount_lives_as_long_as_its_holder() {
    for who in Who::EVERYONE {
        let kept = Kept::new(who);
        let pid = kept.hold();
        assert_eq!(kept.holder(), format!("{pid}\n"));
        assert!(!kept.target.join("name").exists(), "it is seen outside");
        assert!(upper_in_use(&kept.upper).unwrap());
        let out = kept.join("cat \"$1/name\"; echo new >\"$1/new\"; id -u; pwd").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "lower0\n/\n", "{who:?} {out:?}");
        assert_eq!(read(&kept.upper.join("new")), "new\n");
        kept.release();
        assert_eq!(kept.holder(), "Free\n");
        assert!(has_ended(pid));
        assert!(!upper_in_use(&kept.upper).unwrap());
        let error = kept.join("true").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&error.stderr), "mounts: Free\n");
    }
}

#[test]
fn a_holder_has_nothing_of_its_callers() {
    let kept = Kept::new(Who::User);
    // The pipes of this call end when all who hold them have closed them: `hold` would never return else.
    let pid = kept.hold();
    let process = PathBuf::from(format!("/proc/{pid}"));
    let mut open: Vec<_> = fs::read_dir(process.join("fd")).unwrap().map(|fd| fd.unwrap().path()).collect();
    open.sort();
    let open: Vec<_> = open.iter().map(|fd| fs::read_link(fd).unwrap()).collect();
    let null = PathBuf::from("/dev/null");
    assert_eq!(open, [null.clone(), null.clone(), null, kept.lease.clone()]);
    let status = read(&process.join("status"));
    assert!(status.starts_with("Name:\tovmlayer-holder\n"), "{status}");
    let stat = read(&process.join("stat"));
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    // Group, session and terminal, by which signals of a terminal come.
    assert_eq!((fields[3], fields[4], fields[5]), (pid.to_string().as_str(), pid.to_string().as_str(), "0"));
}

#[test]
fn the_lease_is_free_whichever_way_the_holder_ends() {
    for signal in [Signal::TERM, Signal::KILL] {
        let kept = Kept::new(Who::User);
        let pid = kept.hold();
        for harmless in ["-HUP", "-INT", "-QUIT", "-USR1", "-PIPE"] {
            assert!(Command::new("kill").args([harmless, &pid.to_string()]).status().unwrap().success());
        }
        assert_eq!(kept.holder(), format!("{pid}\n"));
        end(pid, signal);
        assert_eq!(kept.holder(), "Free\n");
        assert!(!upper_in_use(&kept.upper).unwrap());
        // A lease of old does not hinder.
        kept.hold();
    }
}

/// Sends a signal to a process, and waits until it has ended.
fn end(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, signal).unwrap();
    assert_eq!(poll(&mut [PollFd::new(&process, PollFlags::IN)], None), Ok(1));
}

/// Whether a process has ended, and at most waits to be collected by whoever is the parent of orphans here.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

#[test]
fn a_second_holder_of_a_lease_is_refused() {
    let kept = Kept::new(Who::User);
    let pid = kept.hold();
    let mut second = Kept::new(Who::User);
    let lease = std::mem::replace(&mut second.arguments[1], kept.lease.clone());
    let outcome = second.place.run(&second.arguments);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.err,
        "mounts: cannot start the process that keeps the mount: another process keeps it already; unmerge first\n"
    );
    assert!(!upper_in_use(&second.upper).unwrap());
    assert_eq!(kept.holder(), format!("{pid}\n"));
    second.arguments[1] = lease;
    second.hold();
}

#[test]
fn a_mount_that_fails_is_told_and_leaves_no_process() {
    let mut kept = Kept::new(Who::User);
    *kept.arguments.last_mut().unwrap() = kept.place.path().join("missing");
    let outcome = kept.place.run(&kept.arguments);
    let expected = format!(
        "mounts: cannot start the process that keeps the mount: cannot use {}/missing in an overlay; \
         it does not exist: No such file or directory (os error 2)\n",
        kept.place.path().display()
    );
    assert_eq!(outcome.err, expected);
    assert_eq!(kept.holder(), "Free\n");
}

#[test]
fn a_mount_outlives_its_holder_while_somebody_is_inside() {
    let kept = Kept::new(Who::User);
    kept.hold();
    let inside = Background::start(kept.join("cd \"$1\"; echo; read _; cat name; exit 0"));
    kept.release();
    assert_eq!(kept.holder(), "Free\n");
    assert!(upper_in_use(&kept.upper).unwrap());
    inside.end();
    assert!(!upper_in_use(&kept.upper).unwrap());
}

#[test]
fn root_can_join_a_users_holder() {
    let kept = Kept::new(Who::User);
    kept.hold();
    let root = Place::new();
    let words = [Path::new("join"), &kept.lease, "cat".as_ref(), &kept.target.join("name")];
    assert_eq!(root.run(&words).ok(), "lower");
}

#[test]
fn root_sees_what_a_user_did_in_layers() {
    let kept = Kept::new(Who::User);
    let lower = kept.place.path().join("lower");
    fs::create_dir(lower.join("dir")).unwrap();
    fs::write(lower.join("dir/old"), "x").unwrap();
    std::os::unix::fs::chown(lower.join("dir"), Some(user_id()), Some(user_id())).unwrap();
    kept.hold();
    let script = "cd \"$1\" && rm -r dir name && mkdir dir && echo new >dir/new && chown 7:8 dir/new";
    assert_eq!(Outcome::of(&kept.join(script).output().unwrap()).ok(), "");
    kept.release();
    overlay(&[&kept.upper, &lower], None).mount(&kept.target).unwrap();
    let names =
        |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(&kept.target), ["dir"]);
    assert_eq!(names(&kept.target.join("dir")), ["new"]);
    // Owners are those of the user's map.
    let owner = fs::metadata(kept.target.join("dir/new")).unwrap().uid();
    assert_eq!(owner, first_subordinate_id() + 6);
}

#[test]
fn a_holder_that_cannot_be_seen_is_no_less_one() {
    let kept = Kept::new(Who::Root);
    let pid = kept.hold();
    let mut asking = Command::new("unshare");
    let ask = kept.place.command(&[Path::new("holder"), &kept.lease]);
    asking.args(["--pid", "--fork", "--kill-child"]).arg(ask.get_program()).args(ask.get_args());
    assert_eq!(Outcome::of(&asking.output().unwrap()).ok(), "Elsewhere\n");
    assert_eq!(kept.holder(), format!("{pid}\n"));
}

#[test]
fn a_lock_of_another_kind_makes_no_holder() {
    let kept = Kept::new(Who::User);
    let file = fs::File::create(&kept.lease).unwrap();
    file.lock().unwrap();
    assert_eq!(kept.holder(), "Free\n");
}
