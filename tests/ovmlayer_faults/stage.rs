//! A store with a small root filesystem, and the program on it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::{TestUser, output, processes_about, run, tool};

/// Programs of the root, all of them one static file.
const APPLETS: &[&str] =
    &["cat", "chmod", "echo", "ln", "ls", "mkdir", "mv", "printf", "rm", "setsid", "sh", "sleep", "true"];

/// A folder with a rootfs, a runtime store, an external store and a home, which go with the value, whatever is mounted.
#[derive(Debug)]
pub(crate) struct Stage<'u> {
    folder: TempDir,
    program: PathBuf,
    user: Option<&'u TestUser>,
    runtime: PathBuf,
    external: PathBuf,
    home: PathBuf,
}

impl<'u> Stage<'u> {
    /// Everything in place and set up, for root or for an ordinary user.
    pub(crate) fn new(user: Option<&'u TestUser>) -> Self {
        let stage = Self::bare(user);
        stage.setup();
        stage
    }

    /// The same before `setup`.
    pub(crate) fn bare(user: Option<&'u TestUser>) -> Self {
        let folder = tempfile::Builder::new().prefix("ovmlayer-stage").tempdir().expect("a folder");
        let place = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make {path:?}: {error}"));
            path
        };
        let (runtime, external, home) = (place("runtime"), place("external"), place("home"));
        make_rootfs(&place("rootfs"));
        let program = folder.path().join("ovmlayer");
        // The build folder may lie in root's home. Another process copies: a file that is open for writing in this one
        // when a test beside it starts a program cannot be run for a moment.
        run(Command::new(tool("cp")).arg(env!("CARGO_BIN_EXE_ovmlayer")).arg(&program));
        if let Some(user) = user {
            user.own(folder.path());
        }
        Self { folder, program, user, runtime, external, home }
    }

    /// Puts the runtime store elsewhere, such as on a small disk.
    pub(crate) fn runtime_in(mut self, folder: &Path) -> Self {
        self.runtime = folder.join("runtime");
        self.make(&self.runtime);
        self
    }

    /// Puts the external store elsewhere.
    pub(crate) fn external_in(mut self, folder: &Path) -> Self {
        self.external = folder.join("external");
        self.make(&self.external);
        self
    }

    /// Puts the home, where the configuration is kept, elsewhere.
    pub(crate) fn home_in(mut self, folder: &Path) -> Self {
        self.home = folder.join("home");
        self.make(&self.home);
        self
    }

    /// Makes a folder that belongs to who runs the program.
    pub(crate) fn make(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("cannot make {folder:?}: {error}"));
        self.own(folder);
    }

    /// Gives what is beneath a path to who runs the program.
    pub(crate) fn own(&self, path: &Path) {
        if let Some(user) = self.user {
            user.own(path);
        }
    }

    /// What `setup` is called with.
    pub(crate) fn setup_arguments(&self) -> Vec<String> {
        let (runtime, external, rootfs) = (self.runtime(), self.external(), self.path("rootfs"));
        let paths = [("--runtime", runtime), ("--external", external), ("--rootfs-path", &rootfs)];
        let options = paths.iter().flat_map(|(name, path)| [(*name).to_owned(), path.display().to_string()]);
        std::iter::once("setup".to_owned()).chain(options).collect()
    }

    pub(crate) fn setup(&self) {
        self.ok(self.setup_arguments());
    }

    /// A path in the stage's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn runtime(&self) -> &Path {
        &self.runtime
    }

    pub(crate) fn external(&self) -> &Path {
        &self.external
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Where the content of a layer of the runtime store lies.
    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.runtime().join("layer_dir").join(name)
    }

    /// Where the content of a layer of the external store lies.
    pub(crate) fn external_layer(&self, name: &str) -> PathBuf {
        self.external().join("layer_dir").join(name)
    }

    /// Writes a file that who runs the program owns.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        self.make(path.parent().expect("a folder"));
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
        self.own(&path);
        path
    }

    /// The program; its process is the command's own, whoever runs it.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        self.command_behind(&[], arguments)
    }

    /// The program started by other ones, such as `nsenter` with its options.
    pub(crate) fn command_behind<S: AsRef<OsStr>>(
        &self,
        before: &[String],
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let env = tool("env");
        let mut command = match (before.split_first(), self.user) {
            (Some((first, rest)), _) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&env);
                command
            }
            (None, Some(user)) => user.command(&env),
            (None, None) => Command::new(&env),
        };
        let home = format!("HOME={}", self.home().display());
        // `env` changes the folder: for a command with another one the standard library forks, which takes the longer the
        // more memory the test has by then.
        command
            .arg("--chdir")
            .arg(self.folder())
            .args(["-i", path, &home])
            .arg(&self.program)
            .args(arguments);
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn output<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        output(&mut self.command(arguments))
    }

    /// Runs it and gives its standard output; it must succeed.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        String::from_utf8_lossy(&run(&mut self.command(arguments))).into_owned()
    }

    /// Runs it and gives its message; it must end with status 1, as for every failure but wrong usage.
    pub(crate) fn fails<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let mut command = self.command(arguments);
        let result = output(&mut command);
        let message = String::from_utf8_lossy(&result.stderr).into_owned();
        let status = result.status.code();
        assert_eq!(status, Some(1), "{command:?}: {}\n{message}", result.status);
        assert!(!message.contains("panicked"), "{command:?}: {message}");
        message
    }

    /// The lines of a list.
    pub(crate) fn list<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Vec<String> {
        let mut lines: Vec<String> = self.ok(arguments).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    pub(crate) fn layers(&self) -> Vec<String> {
        self.list(["list", "layers"])
    }

    pub(crate) fn points(&self) -> Vec<String> {
        self.list(["list", "merged-points"])
    }

    /// What is mounted beneath the stage's folder, in this process's namespace.
    pub(crate) fn mounts(&self) -> Vec<PathBuf> {
        mounts_beneath(self.folder())
    }

    /// A plain `fsck` finds nothing.
    pub(crate) fn fsck_is_clean(&self, name: &str) {
        let result = self.output(["fsck"]);
        let (found, said) =
            (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
        assert!(result.status.success(), "{name}: fsck ended with {}:\n{found}{said}", result.status);
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Only what a test that failed left behind: a child that another test has just forked has copies of our descriptors,
        // and so seems to have to do with the folder too.
        let left = if thread::panicking() { processes_about(self.folder.path()) } else { BTreeMap::new() };
        for pid in left.into_keys() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        for mount in self.mounts().iter().rev() {
            let _ = output(Command::new(tool("umount")).arg("--lazy").arg(mount));
        }
    }
}

/// The mount points beneath a folder, in the order in which they were mounted.
pub(crate) fn mounts_beneath(folder: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let targets = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    targets.filter(|target| target.starts_with(folder)).collect()
}

/// The names in a folder, sorted; none when it is not there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A root with a shell and a few programs, and a folder for what tests leave.
fn make_rootfs(root: &Path) {
    for (name, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("tags", 0o755)] {
        let folder = root.join(name);
        fs::create_dir(&folder).expect("a folder of the root");
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("its mode");
    }
    for name in ["dev", "proc", "sys", "run", "var"] {
        fs::create_dir(root.join(name)).expect("a folder of the root");
    }
    fs::copy(tool("busybox"), root.join("bin/busybox")).expect("busybox");
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).expect("a link to busybox");
    }
}
