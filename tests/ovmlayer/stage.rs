//! A place to work in: the program with a home, stores and a root filesystem of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;
use testkit::{Program, TestUser, tool};

/// What of busybox the root filesystem has.
const APPLETS: [&str; 28] = [
    "cat", "chmod", "cp", "cut", "echo", "env", "false", "find", "grep", "head", "hostname", "id", "ln",
    "ls", "mkdir", "mv", "nc", "nslookup", "ps", "readlink", "rm", "sh", "sleep", "stat", "touch", "true",
    "tty", "wc",
];

/// Folders of the root filesystem, with their modes.
const FOLDERS: [(&str, u32); 10] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/local/bin", 0o755),
    ("var/lib", 0o755),
];

/// The program, with stores in its folder. Every merge point goes with it.
pub(crate) struct Stage<'u> {
    pub(crate) program: Program<'u>,
}

impl Stage<'_> {
    /// Not set up yet, as root.
    pub(crate) fn bare() -> Self {
        Self { program: Program::new(env!("CARGO_BIN_EXE_ovmlayer")).env("COLUMNS", "100") }
    }

    /// Set up in the newest dialect, as root.
    pub(crate) fn ready() -> Self {
        Self::bare().set_up()
    }

    /// As [`Stage::ready`], with a log.
    pub(crate) fn logging(log: &Path) -> Self {
        let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer")).env("OVMLAYER_LOG", log);
        Self { program }.set_up()
    }
}

impl<'u> Stage<'u> {
    /// As [`Stage::ready`], as an ordinary user.
    pub(crate) fn ready_for(user: &'u TestUser) -> Self {
        let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer")).as_user(user);
        // The folder is root's choice: others may pass through it.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(program.folder(), open).expect("a folder that can be passed");
        Self { program }.set_up()
    }

    /// Puts a tar of the root filesystem into the folder and gives its path.
    pub(crate) fn rootfs_tar(&self) -> String {
        let path = self.program.write("rootfs.tar", rootfs_tar());
        path.to_str().expect("a path of UTF-8").to_owned()
    }

    fn set_up(self) -> Self {
        let (runtime, external) = (self.path("runtime"), self.path("external"));
        let tar = self.rootfs_tar();
        self.program.write("marker", "a file of the machine\n");
        self.ok(["setup", "--runtime"].map(OsStr::new).into_iter().chain([
            runtime.as_os_str(),
            OsStr::new("--external"),
            external.as_os_str(),
            OsStr::new("--rootfs-tar"),
            OsStr::new(&tar),
            OsStr::new("--rootfs-path"),
            self.path("rootfs").as_os_str(),
        ]));
        fs::remove_file(tar).expect("the tar goes");
        self
    }

    /// A path in the program's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.program.folder().join(name)
    }

    /// The same, as text of an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path of UTF-8").to_owned()
    }

    /// Runs the program, which must succeed, and gives its stdout.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.program.succeed(arguments)
    }

    /// Runs the program, which must exit with 1, and gives its stderr.
    pub(crate) fn fails<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.program.fail(arguments)
    }

    /// Runs words separated by blanks.
    pub(crate) fn does(&self, words: &str) -> String {
        self.ok(words.split_whitespace())
    }

    /// The same, which must exit with 1.
    pub(crate) fn refuses(&self, words: &str) -> String {
        self.fails(words.split_whitespace())
    }

    /// Runs a script of the shell in a merge point and gives its stdout.
    pub(crate) fn sh(&self, point: &str, script: &str) -> String {
        self.ok(["run", "--merged-point", point, "sh", "-c", script])
    }

    /// Runs the program, whatever comes of it.
    pub(crate) fn try_run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.program.run(arguments)
    }

    /// The layers that are listed with these flags.
    pub(crate) fn layers(&self, flags: &[&str]) -> Vec<String> {
        let listed = self.ok(["list", "layers"].iter().chain(flags));
        listed.lines().map(str::to_owned).collect()
    }

    /// Makes a file of the machine that the program's user owns.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        if let Some(folder) = Path::new(name).parent() {
            self.make_folders(folder);
        }
        if mode & 0o111 == 0 {
            self.program.write(name, text);
        } else {
            // By another process: a child that a test beside this one forks must not have it open for writing, because
            // then it cannot be run.
            let source = self.program.write(&format!("{name}.text"), text);
            testkit::run(Command::new(tool("cp")).arg(&source).arg(&path));
            fs::remove_file(source).expect("the file goes");
            self.program.own(&path);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        path
    }

    /// Makes folders of the machine that the program's user owns.
    pub(crate) fn make_folders(&self, name: &Path) {
        let mut folder = PathBuf::new();
        for part in name {
            folder.push(part);
            let path = self.program.folder().join(&folder);
            if !path.exists() {
                fs::create_dir(&path).expect("a folder");
                self.program.own(&path);
            }
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let _ = self.try_run(["delete", "--all"]);
        // What a test of failures has left mounted would keep the folder from being removed.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in ours.filter(|mount| Path::new(mount).starts_with(self.program.folder())) {
            let _ = testkit::output(Command::new(tool("umount")).arg("--lazy").arg(mount));
        }
    }
}

/// A tar of the root filesystem, made once.
fn rootfs_tar() -> &'static [u8] {
    static TAR: OnceLock<Vec<u8>> = OnceLock::new();
    TAR.get_or_init(|| {
        let folder = TempDir::with_prefix("ovmlayer-rootfs").expect("a folder");
        fill(folder.path());
        let options = ["--create", "--numeric-owner", "--owner=0", "--group=0", "--directory"];
        testkit::run(Command::new(tool("tar")).args(options).arg(folder.path()).args(["--file", "-", "."]))
    })
}

fn fill(root: &Path) {
    for (name, mode) in FOLDERS {
        fs::create_dir_all(root.join(name)).expect("a folder");
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    // Its own mode, which a folder for one test does not have.
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::create_dir(root.join("usr/bin")).expect("a folder");
    for (target, link) in [("usr/bin", "bin"), ("usr/lib", "lib"), ("usr/lib64", "lib64")] {
        symlink(target, root.join(link)).expect("a link");
    }
    let busybox = tool("busybox");
    fs::copy(&busybox, root.join("usr/bin/busybox")).expect("busybox");
    for applet in APPLETS {
        symlink("busybox", root.join("usr/bin").join(applet)).expect("an applet");
    }
    let mut libraries = BTreeSet::new();
    for shell in ["bash", "zsh"] {
        let path = tool(shell);
        fs::copy(&path, root.join("usr/bin").join(shell)).expect("a shell");
        let linked = String::from_utf8(testkit::run(Command::new(tool("ldd")).arg(path))).expect("text");
        // `NAME => PATH (ADDRESS)`, or the loader's path alone.
        libraries.extend(linked.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned));
    }
    for library in libraries {
        let folder = root
            .join("usr")
            .join(Path::new(&library).parent().expect("a folder").strip_prefix("/").expect("a path"));
        fs::create_dir_all(&folder).expect("a folder");
        let name = Path::new(&library).file_name().expect("a name");
        fs::copy(&library, folder.join(name)).expect("a library");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("a file");
    fs::write(root.join("etc/group"), "root:x:0:\n").expect("a file");
    // As an image has them: empty, or leading to what a service of its own would write.
    fs::write(root.join("etc/hosts"), "").expect("a file");
    symlink("../run/systemd/resolve/stub-resolv.conf", root.join("etc/resolv.conf")).expect("a link");
    fs::write(root.join("etc/os-release"), "ID=test\n").expect("a file");
}
