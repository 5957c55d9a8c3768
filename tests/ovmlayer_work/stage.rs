//! Where a test works: a store of its own, for root or for an ordinary user, of which nothing may be left.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;
use testkit::{TestUser, base_rootfs, output, run, tool};

use crate::watch;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer");

/// What of this process's environment a program gets.
const INHERITED: [&str; 7] =
    ["PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// Who runs the program.
#[derive(Clone)]
pub(crate) enum Who {
    /// As containers and CI do.
    Root,
    /// A user without `sudo`, with subordinate ids.
    User(Arc<Ordinary>),
}

/// The ordinary user that tests share while they run, with a copy of the program and a root filesystem of their own.
pub(crate) struct Ordinary {
    user: TestUser,
    has_rootfs: Mutex<bool>,
}

impl Who {
    /// The ordinary user.
    pub(crate) fn user() -> Self {
        static SHARED: Mutex<Weak<Ordinary>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        Self::User(shared.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Ordinary::create());
            *shared = Arc::downgrade(&made);
            made
        }))
    }

    /// Whether this is root of the machine.
    pub(crate) const fn is_root(&self) -> bool {
        matches!(self, Self::Root)
    }

    /// A command with `HOME` and little else in its environment.
    fn command(&self, home: &Path, program: &OsStr) -> Command {
        let env = tool("env");
        let mut command = match self {
            Self::Root => Command::new(&env),
            Self::User(ordinary) => ordinary.user.command(&env),
        };
        command.arg("-i").arg(format!("HOME={}", home.display()));
        for name in INHERITED {
            command.args(std::env::var(name).map(|value| format!("{name}={value}")));
        }
        command.arg(program).current_dir(home);
        command
    }

    /// The program, where this one can start it.
    pub(crate) fn program(&self) -> PathBuf {
        match self {
            Self::Root => PROGRAM.into(),
            Self::User(ordinary) => ordinary.user.home().join("ovmlayer"),
        }
    }
}

impl Ordinary {
    fn create() -> Self {
        let user = TestUser::create();
        // The build folder may lie in root's home.
        fs::copy(PROGRAM, user.home().join("ovmlayer")).expect("a copy of the program");
        fs::copy(&base_rootfs().tar, user.home().join("rootfs.tar")).expect("a copy of the root filesystem");
        user.own(user.home());
        Self { user, has_rootfs: Mutex::new(false) }
    }
}

/// A store with a home of its own.
pub(crate) struct Stage {
    pub(crate) who: Who,
    folder: TempDir,
}

impl Stage {
    /// Set up as `setup --runtime R --external E --rootfs-path P`, over the base root filesystem. That of an ordinary user
    /// is unpacked by the first of these.
    pub(crate) fn new(who: &Who) -> Self {
        let stage = Self::bare(who);
        match who {
            Who::Root => stage.set_up(&base_rootfs().folder, None),
            Who::User(ordinary) => {
                let home = ordinary.user.home();
                let mut has_rootfs = ordinary.has_rootfs.lock().unwrap_or_else(PoisonError::into_inner);
                stage.set_up(&home.join("rootfs"), (!*has_rootfs).then(|| home.join("rootfs.tar")));
                *has_rootfs = true;
            }
        }
        stage
    }

    /// Not set up, with an empty home.
    pub(crate) fn bare(who: &Who) -> Self {
        let folder = tempfile::Builder::new().prefix("ovmlayer-work").tempdir().expect("a folder");
        for name in ["home", "runtime", "external"] {
            fs::create_dir(folder.path().join(name)).expect("a folder of a stage");
        }
        let stage = Self { who: who.clone(), folder };
        stage.give(stage.folder());
        stage
    }

    /// `setup` in its newest form.
    pub(crate) fn set_up(&self, rootfs: &Path, tar: Option<PathBuf>) {
        let tar = tar.map(|tar| tar.display().to_string());
        let (runtime, external) = (self.at("runtime"), self.at("external"));
        let rootfs = rootfs.display().to_string();
        let mut arguments = vec!["setup", "--runtime", &runtime, "--external", &external];
        arguments.extend(tar.as_deref().into_iter().flat_map(|tar| ["--rootfs-tar", tar]));
        arguments.extend(["--rootfs-path", &rootfs]);
        self.with(&arguments);
    }

    /// The folder of the stage, removed at the end.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same stores, used by root of the machine.
    pub(crate) fn by_root(&self) -> Root<'_> {
        Root(self)
    }

    /// A path in the folder, as text.
    pub(crate) fn at(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }

    /// Gives everything beneath a path to who runs the program.
    pub(crate) fn give(&self, path: &Path) {
        if let Who::User(ordinary) = &self.who {
            ordinary.user.own(path);
        }
    }

    /// Puts a file into the folder, with folders above it, and gives its path.
    pub(crate) fn file(&self, name: &str, content: &str, mode: u32) -> String {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of a file");
        fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the mode of a file");
        self.give(&self.folder().join(name.split('/').next().expect("a name")));
        path.display().to_string()
    }

    /// Where the content of a layer of the runtime store lies.
    pub(crate) fn content(&self, layer: &str) -> PathBuf {
        self.folder().join("runtime/layer_dir").join(layer)
    }

    /// Any program, run as the one who uses this stage, at home in it.
    pub(crate) fn any(&self, program: impl AsRef<OsStr>) -> Command {
        self.who.command(&self.folder().join("home"), program.as_ref())
    }

    /// The program under test.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.any(self.who.program());
        command.args(arguments);
        command
    }

    /// Runs the program, which must succeed; gives its standard output.
    pub(crate) fn with<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        text(&run(&mut self.command(arguments)))
    }

    /// The same with arguments that are words of a line.
    pub(crate) fn ok(&self, line: &str) -> String {
        self.with(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs the program, which must fail with status 1; gives what it says on standard error.
    pub(crate) fn refused(&self, line: &str) -> String {
        let result = output(&mut self.command(&line.split_whitespace().collect::<Vec<_>>()));
        let errors = text(&result.stderr);
        assert_eq!(result.status.code(), Some(1), "`{line}`: {}{errors}", text(&result.stdout));
        errors
    }

    /// The names of layers, as a caller reads them: lines without a trim.
    pub(crate) fn layers(&self) -> Vec<String> {
        self.ok("list layers").lines().map(str::to_owned).collect()
    }

    /// The command by which oocana runs a script in a merge point; `more` stands before the environment.
    pub(crate) fn script(&self, point: &str, more: &[&str], script: &str) -> Command {
        let merged = format!("--merged-point={point}");
        let mut arguments = vec!["run", "--all-devices"];
        arguments.extend(more);
        arguments.extend(["--env", "DEBIAN_FRONTEND=noninteractive", &merged, "zsh", "-i", "-c", script]);
        let mut command = self.command(&arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a script so; it must succeed. Gives its standard output.
    pub(crate) fn run(&self, point: &str, script: &str) -> String {
        text(&run(&mut self.script(point, &[], script)))
    }

    /// Starts a script so, with its standard output at hand and standard error let through.
    pub(crate) fn start(&self, point: &str, more: &[&str], script: &str) -> Child {
        let mut command = self.script(point, more, script);
        command.stdout(Stdio::piped()).spawn().expect("a started program")
    }

    /// Runs a shell script of a caller with `ovmlayer` in its `PATH`.
    pub(crate) fn shell(&self, script: &str) -> Output {
        let folder = self.folder().join("bin");
        if !folder.exists() {
            fs::create_dir(&folder).expect("a folder for the program");
            fs::copy(PROGRAM, folder.join("ovmlayer")).expect("a copy of the program");
        }
        let file = self.file("bin/script", script, 0o755);
        self.give(&folder);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.any("env");
        command.arg(format!("PATH={}:{path}", folder.display())).arg("bash").arg(file);
        output(command.stdin(Stdio::null()))
    }

    /// No mount and no process is left of this stage.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(watch::mounts_beneath(self.folder()), Vec::<String>::new(), "mounts that stay");
        let left = watch::wait_for_processes_of(self.folder());
        assert!(left.is_empty(), "processes that stay: {left:?}");
    }
}

/// Root of the machine, at home in a stage of somebody else.
pub(crate) struct Root<'s>(&'s Stage);

impl Root<'_> {
    fn with(&self, arguments: &[&str]) -> String {
        let home = self.0.folder().join("home");
        text(&run(Who::Root.command(&home, PROGRAM.as_ref()).args(arguments).stdin(Stdio::null())))
    }

    /// Runs the program with the words of a line.
    pub(crate) fn ok(&self, line: &str) -> String {
        self.with(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a script in a merge point.
    pub(crate) fn run(&self, point: &str, script: &str) -> String {
        self.with(&["run", "--merged-point", point, "zsh", "-i", "-c", script])
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_clean();
            return;
        }
        watch::end_processes_of(self.folder());
        for point in watch::mounts_beneath(self.folder()).iter().rev() {
            let _ = output(Command::new(tool("umount")).arg("--lazy").arg(point));
        }
    }
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command wrote to standard output; it must have ended well.
pub(crate) fn well(result: &Output) -> String {
    let (written, errors) = (text(&result.stdout), text(&result.stderr));
    assert!(result.status.success(), "{}:\n{written}{errors}", result.status);
    written
}

/// Writes a note that is worth reading when a test passes as well.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
