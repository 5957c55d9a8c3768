//! An ordinary user of this machine, for a while.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::tool::{output, run, tool};

/// What the names of such users begin with; the number of the process that made the user follows.
const PREFIX: &str = "ovmtest";
/// How many subordinate ids a user gets, as `useradd` gives them.
const SUBORDINATE: u32 = 65_536;

/// A user with a home folder and 65,536 subordinate user and group ids, removed when the value is dropped.
///
/// Only root can make one. Users that a killed test left behind go when the next one is made.
#[derive(Debug)]
pub struct TestUser {
    name: String,
    uid: u32,
    gid: u32,
    home: TempDir,
}

impl TestUser {
    /// Makes a user.
    ///
    /// # Panics
    /// When this process is not root or the machine cannot make users.
    #[must_use]
    pub fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes a user of the machine: run it as root"
        );
        let name = format!("{PREFIX}{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let home = tempfile::Builder::new().prefix(&name).tempdir().expect("temporary folder as a home");
        let _lock = lock_users();
        remove_left_behind();
        run(Command::new(tool("useradd"))
            .args(["--no-create-home", "--shell", "/bin/sh", "--home-dir"])
            .arg(home.path())
            .arg(&name));
        let number = |option: &str| -> u32 {
            let id = run(Command::new(tool("id")).args([option, &name]));
            String::from_utf8_lossy(&id).trim().parse().expect("a number of the new user")
        };
        let (uid, gid) = (number("-u"), number("-g"));
        let user = Self { name, uid, gid, home };
        user.ensure_subordinate_ids();
        std::os::unix::fs::chown(user.home(), Some(uid), Some(gid)).expect("home of the new user");
        user
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's number.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// The home folder, empty at first.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command that runs as this user: own groups, no capabilities, an environment as after a login, in the home.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(tool("setpriv"));
        command.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
        command.args(["--init-groups", "--inh-caps=-all", "--reset-env", "--"]).arg(program);
        command.current_dir(self.home());
        command
    }

    /// Gives everything beneath a folder to this user.
    pub fn own(&self, folder: &Path) {
        run(Command::new(tool("chown")).arg("-R").arg(format!("{}:{}", self.uid, self.gid)).arg(folder));
    }

    /// `useradd` gives subordinate ids only where the machine is set up so; otherwise they are taken from above all
    /// that others have.
    fn ensure_subordinate_ids(&self) {
        for (file, option) in [("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")] {
            let text = fs::read_to_string(file).unwrap_or_default();
            if text.lines().any(|line| line.starts_with(&format!("{}:", self.name))) {
                continue;
            }
            let free = text.lines().filter_map(end_of_range).max().unwrap_or(0).max(100_000);
            let range = format!("{free}-{}", free + SUBORDINATE - 1);
            run(Command::new(tool("usermod")).args([option, &range, &self.name]));
        }
    }
}

impl Drop for TestUser {
    fn drop(&mut self) {
        let _lock = lock_users();
        remove(&self.name);
    }
}

/// First number after the range of a line `NAME:START:COUNT`.
fn end_of_range(line: &str) -> Option<u32> {
    let mut fields = line.split(':').skip(1).map(|field| field.parse::<u32>().ok());
    fields.next()??.checked_add(fields.next()??)
}

/// The programs that change the user database give up when another one does.
fn lock_users() -> File {
    let path = std::env::temp_dir().join(format!("{PREFIX}.lock"));
    let file = File::create(&path).unwrap_or_else(|error| panic!("cannot create {path:?}: {error}"));
    file.lock().unwrap_or_else(|error| panic!("cannot lock {path:?}: {error}"));
    file
}

fn remove_left_behind() {
    let users = fs::read_to_string("/etc/passwd").expect("list of users");
    for name in users.lines().filter_map(|line| line.split(':').next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('x').next());
        let owner = owner.and_then(|process| process.parse::<u32>().ok());
        if owner.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            remove(name);
        }
    }
}

/// Bounded, because a removal that waits for a lock would hang the test.
fn remove(name: &str) {
    let _ = output(Command::new(tool("timeout")).arg("20").arg(tool("userdel")).args(["--force", name]));
}
