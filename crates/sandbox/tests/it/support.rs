//! A machine to test on: a small root of a static busybox, and people to run the example program as.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Who starts the example program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    /// An ordinary user with subordinate ids.
    User,
}

impl Who {
    pub(crate) const EVERYONE: [Self; 2] = [Self::Root, Self::User];
}

const USER: &str = "ovmlayer-test";

/// The ordinary user's id; the user is made when missing.
pub(crate) fn user_id() -> u32 {
    static ID: OnceLock<u32> = OnceLock::new();
    *ID.get_or_init(|| {
        assert!(rustix::process::geteuid().is_root(), "these tests make a user: run them as root");
        if !Command::new("id").arg(USER).output().unwrap().status.success() {
            let made = Command::new("useradd").args(["--no-create-home", USER]).status();
            assert!(made.unwrap().success(), "cannot make the user {USER}");
        }
        let id = Command::new("id").args(["-u", USER]).output().unwrap().stdout;
        String::from_utf8(id).unwrap().trim().parse().unwrap()
    })
}

/// First of the user's subordinate user ids.
pub(crate) fn first_subordinate_id() -> u32 {
    let text = fs::read_to_string("/etc/subuid").unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{USER}:"))).unwrap();
    line.split(':').nth(1).unwrap().parse().unwrap()
}

/// The example program `sandbox`, where everybody can run it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<Example> = OnceLock::new();
    &PROGRAM.get_or_init(|| Example::build("sandbox")).path
}

/// An example program of this crate.
pub(crate) struct Example {
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Example {
    /// Cargo builds it beside the tests, but not with every way of calling for tests, so ask it to.
    pub(crate) fn build(name: &str) -> Self {
        let here = std::env::current_exe().unwrap();
        let profile = here.parent().unwrap().parent().unwrap();
        let release = profile.ends_with("release").then_some("--release");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", name]);
        assert!(cargo.args(release).status().unwrap().success(), "cannot build the example program");
        let folder = open_folder();
        let path = folder.path().join(name);
        fs::copy(profile.join("examples").join(name), &path).unwrap();
        Self { path, _folder: folder }
    }
}

/// A temporary folder that everybody may enter.
pub(crate) fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A root with a static busybox, owned by the one who uses it.
pub(crate) struct Root {
    pub(crate) who: Who,
    folder: tempfile::TempDir,
}

impl Root {
    pub(crate) fn new(who: Who) -> Self {
        let folder = open_folder();
        let root = folder.path().join("root");
        for directory in ["bin", "dev", "etc", "proc", "sys", "tmp", "run"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let busybox = fs::read("/bin/busybox").expect("install the Debian package `busybox-static`");
        assert!(is_static(&busybox), "/bin/busybox: install the Debian package `busybox-static`");
        fs::write(root.join("bin/busybox"), busybox).unwrap();
        fs::set_permissions(root.join("bin/busybox"), fs::Permissions::from_mode(0o755)).unwrap();
        let list = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
        for applet in String::from_utf8(list).unwrap().lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let new = Self { who, folder };
        new.give_to_owner();
        new
    }

    /// Makes all of it the owner's, who may have got new files by the test.
    pub(crate) fn give_to_owner(&self) {
        if self.who == Who::User {
            let id = user_id();
            for path in self.paths() {
                std::os::unix::fs::lchown(&path, Some(id), Some(id)).unwrap();
            }
            chown(self.folder.path(), Some(id), Some(id)).unwrap();
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A folder beside the root.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }

    fn paths(&self) -> Vec<PathBuf> {
        let mut found = vec![self.path()];
        let mut next = 0;
        while let Some(path) = found.get(next).cloned() {
            next += 1;
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                found.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
        found
    }

    /// What is in it, in a form to compare: path, mode, owner, size and times of change.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .paths()
            .iter()
            .map(|path| {
                let m = fs::symlink_metadata(path).unwrap();
                let ids = format!("{}:{}", m.uid(), m.gid());
                format!(
                    "{} {:o} {ids} {} {}.{}",
                    path.display(),
                    m.mode(),
                    m.size(),
                    m.mtime(),
                    m.mtime_nsec()
                )
            })
            .collect();
        lines.sort();
        lines
    }

    /// The example program with these arguments; a lone `ROOT` among them stands for the root.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = run_as(self.who, program());
        for argument in arguments {
            match argument.as_ref().to_str() {
                Some("ROOT") => command.arg(self.path()),
                _ => command.arg(argument),
            };
        }
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        Outcome::of(&self.command(arguments).output().unwrap())
    }

    /// Runs a shell script in the root, without options.
    pub(crate) fn shell(&self, script: &str) -> Outcome {
        self.run(&["--env", "PATH=/bin", "ROOT", "sh", "-c", script])
    }
}

/// Runs a test as everybody.
pub(crate) fn for_everyone(test: impl Fn(Root)) {
    Who::EVERYONE.into_iter().map(Root::new).for_each(test);
}

/// A program run as somebody.
pub(crate) fn run_as(who: Who, program: &Path) -> Command {
    if who == Who::Root {
        return Command::new(program);
    }
    let id = user_id().to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
    command
}

/// Whether an ELF program of 64 bits has no segment that names a dynamic linker (type 3).
fn is_static(elf: &[u8]) -> bool {
    let count = usize::from(elf[56]);
    (0..count).all(|index| elf[64 + 56 * index] != 3)
}

/// The example program run in some surroundings made by a shell script, which finds it as `$0`: in a mount and a
/// user namespace with ids 0 to 65535, where switches can be turned that would else be the machine's.
pub(crate) fn in_surroundings<S: AsRef<OsStr>>(script: &str, arguments: &[S]) -> Outcome {
    let mut command = Command::new("unshare");
    // The maps are written while the shell waits for a line; then root of the namespace is born by exec.
    command.args([
        "--user",
        "--mount",
        "sh",
        "-c",
        "read _; exec </dev/null; exec sh -c \"$@\"",
        "sh",
        script,
    ]);
    command.arg(program()).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_namespace(child.id());
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536\n").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    Outcome::of(&child.wait_with_output().unwrap())
}

/// Waits until a process has left our user namespace, which nothing announces.
fn wait_for_namespace(pid: u32) {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    while namespace(&pid.to_string()) == namespace("self") {
        std::thread::yield_now();
    }
}

/// What a program left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The output of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.code == Some(0) && self.err.is_empty(), "{self:?}");
        self.out
    }
}
