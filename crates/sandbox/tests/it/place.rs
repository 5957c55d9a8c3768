//! A folder in which overlays are mounted, and programs that do so elsewhere.
#![expect(unsafe_code, reason = "gives each test a mount namespace, of which a thread can have its own")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use ovmlayer_sandbox::mounts::{self, Mounted};
use ovmlayer_sandbox::overlay::{Overlay, Upper, Xattrs};
use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use crate::support::{Example, Outcome, Who, open_folder, run_as, user_id};

/// The folder, and a mount namespace for the test that has it, so that other tests do not see what is mounted.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    who: Who,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::of(Who::Root)
    }

    /// A place whose folders belong to somebody.
    pub(crate) fn of(who: Who) -> Self {
        // SAFETY: only dangerous for descriptors, and with another flag.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.expect("run these tests as root");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let folder = open_folder();
        let place = Self { folder, who };
        place.give(place.path());
        place
    }

    fn give(&self, path: &Path) {
        if self.who == Who::User {
            chown(path, Some(user_id()), Some(user_id())).unwrap();
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).unwrap();
        self.give(&path);
        path
    }

    /// A directory with a file in it that holds the directory's name.
    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        let path = self.directory(name);
        fs::write(path.join("name"), name).unwrap();
        self.give(&path.join("name"));
        path
    }

    pub(crate) fn upper(&self, name: &str) -> Option<Upper> {
        let (upper, work) = (self.directory(name), self.directory(&format!("{name}.work")));
        Some(Upper { upper, work })
    }

    pub(crate) fn mounted(&self) -> Vec<Mounted> {
        mounts::overlays_beneath(self.path()).unwrap()
    }

    /// The example program `mounts`, as the one whose place this is.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = run_as(self.who, program());
        command.args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        Outcome::of(&self.command(arguments).output().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for mounted in self.mounted() {
            mounts::unmount(&mounted.target, true).unwrap();
        }
    }
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<Example> = OnceLock::new();
    &PROGRAM.get_or_init(|| Example::build("mounts")).path
}

pub(crate) fn overlay(lowers: &[&Path], upper: Option<Upper>) -> Overlay {
    let lowers = lowers.iter().map(|lower| lower.to_path_buf()).collect();
    Overlay { source: "test".to_owned(), xattrs: Xattrs::User, lowers, upper }
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A program that lives until it is told to end.
pub(crate) struct Background {
    child: Child,
    input: ChildStdin,
    /// What it said when it was ready.
    pub(crate) line: String,
}

impl Background {
    /// Starts it, and waits until it has written a line.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let input = child.stdin.take().unwrap();
        assert!(line.ends_with('\n'), "it ended: {:?}", child.wait());
        Self { child, input, line }
    }

    /// Ends its input, and waits until it has ended.
    pub(crate) fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().unwrap().success());
    }
}
