//! A machine's worth of stores, and people to use them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use ovmlayer_layers::{Config, Engine, Environment, LayerName, PointName, Setup};
use tempfile::TempDir;
use testkit::TestUser;

/// A home, a rootfs with a static busybox, a runtime store and an external one; unmounted and removed when dropped.
pub(crate) struct Place {
    user: Option<TestUser>,
    folder: TempDir,
    pub(crate) env: Environment,
}

impl Place {
    /// One that is set up, used by root in this process.
    pub(crate) fn root() -> Self {
        let place = Self::bare();
        place.set_up();
        place
    }

    /// As [`Place::root`], on a file system of its own: what `mount -t` takes, and its options.
    pub(crate) fn on(kind: &str, options: &str) -> Self {
        let place = Self::bare();
        fs::create_dir(place.runtime()).unwrap();
        place.mount(kind, options, &place.runtime());
        place
    }

    /// A rootfs and nothing else.
    pub(crate) fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut env = Environment::of_process().unwrap();
        env.home = Some(folder.path().to_owned());
        env.passwd_home = env.home.clone();
        env.default_store = folder.path().join("opt");
        let place = Self { user: None, folder, env };
        make_rootfs(&place.rootfs());
        place
    }

    /// Gives it to an ordinary user.
    pub(crate) fn given_to_user(mut self) -> Self {
        let user = TestUser::create();
        user.own(self.path());
        self.user = Some(user);
        self
    }

    /// One that is set up by and for an ordinary user, through the example program.
    pub(crate) fn user() -> Self {
        let place = Self::bare().given_to_user();
        let (runtime, rootfs, external) = (place.runtime(), place.rootfs(), place.external());
        place.ok(["setup".as_ref(), runtime.as_os_str(), rootfs.as_os_str(), external.as_os_str()]);
        place
    }

    pub(crate) fn set_up(&self) -> Vec<String> {
        Engine::setup(&self.env, &self.stores()).unwrap().notes
    }

    pub(crate) fn stores(&self) -> Setup {
        Setup::Stores {
            runtime: self.runtime(),
            external: Some(self.external()),
            read_only: Vec::new(),
            rootfs_path: self.rootfs(),
            rootfs_tar: None,
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::open(&self.env).unwrap()
    }

    /// The engine after a restart of the machine that left the mounts out.
    pub(crate) fn restarted(&self) -> Engine {
        Engine::open(&Environment { boot_id: "another".to_owned(), ..self.env.clone() }).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn runtime(&self) -> PathBuf {
        self.path().join("runtime")
    }

    pub(crate) fn external(&self) -> PathBuf {
        self.path().join("external")
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.runtime().join("layer_dir").join(name)
    }

    pub(crate) fn merged(&self, name: &str) -> PathBuf {
        self.runtime().join("merged").join(name)
    }

    /// The example program, as whoever uses the place.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = match &self.user {
            Some(user) => {
                let mut command = user.command("env");
                command.arg(format!("HOME={}", self.path().display()));
                command
                    .arg(format!("ROOTFS_TAR={}", self.path().join("rootfs.tar").display()))
                    .arg(program());
                command
            }
            None => {
                let mut command = Command::new(program());
                command.env("HOME", self.path());
                command
            }
        };
        command.arg(&self.env.default_store).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs the example program, which succeeds; what it printed.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the example program, which fails; its message.
    pub(crate) fn fails<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let Output { status, stderr, .. } = self.command(arguments).output().unwrap();
        assert_eq!(status.code(), Some(1), "{}", text(&stderr));
        text(&stderr)
    }

    pub(crate) fn mount(&self, kind: &str, options: &str, target: &Path) {
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options, "test"]).arg(target);
        assert!(mount.status().unwrap().success(), "cannot mount {kind}");
    }

    pub(crate) fn config(&self) -> Config {
        Config::read(&self.env).unwrap().unwrap()
    }

    /// `fsck` finds nothing.
    pub(crate) fn assert_clean(&self) {
        if self.user.is_some() {
            assert_eq!(self.ok(["fsck"]), "");
        } else {
            assert_eq!(self.engine().fsck(false).unwrap(), []);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.user.is_some() {
            let points = text(&self.command(["points"]).output().unwrap().stdout);
            for point in points.lines().filter_map(|line| line.split(' ').next()) {
                let _ = self.command(["unmerge", point]).output();
            }
        }
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let targets = table.lines().filter_map(|line| line.split(' ').nth(4));
        let mut targets: Vec<&str> =
            targets.filter(|target| Path::new(target).starts_with(self.path())).collect();
        targets.reverse();
        for target in targets {
            let _ = Command::new("umount").args(["--lazy", target]).status();
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn layer(name: &str) -> LayerName {
    LayerName::new(name).unwrap()
}

pub(crate) fn layers<const N: usize>(names: [&str; N]) -> Vec<LayerName> {
    names.map(layer).into()
}

pub(crate) fn point(name: &str) -> PointName {
    PointName::new(name).unwrap()
}

/// A root with a static busybox and the directories that a Debian root has.
fn make_rootfs(root: &Path) {
    for directory in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr/lib/node_modules"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("install the Debian package `busybox-static`");
    for applet in ["sh", "cat", "ls", "mkdir", "rm", "touch"] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/os-release"), "ID=test\n").unwrap();
}

/// The example program, where everybody can run it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(PathBuf, TempDir)> = OnceLock::new();
    &PROGRAM
        .get_or_init(|| {
            // Cargo builds it beside the tests, but not with every way of calling for tests, so ask it to.
            let here = std::env::current_exe().unwrap();
            let profile = here.parent().unwrap().parent().unwrap();
            let release = profile.ends_with("release").then_some("--release");
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--offline", "--example", "layers", "--package"]);
            let status = cargo.arg(env!("CARGO_PKG_NAME")).args(release).status();
            assert!(status.unwrap().success(), "cannot build the example program");
            let folder = tempfile::tempdir().unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            let path = folder.path().join("layers");
            fs::copy(profile.join("examples/layers"), &path).unwrap();
            (path, folder)
        })
        .0
}
