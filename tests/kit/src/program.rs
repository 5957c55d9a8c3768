//! The program under test, as a user would start it: with a cache, an output folder and an environment of its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::tool::{output, tool};
use crate::user::TestUser;

/// What of this process's environment a program gets: how to reach the network, and nothing that changes a build.
const INHERITED: &[&str] =
    &["PATH", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// A program with a folder of its own, in which it starts: `dist` is where it writes, recipes can be put beside it.
///
/// The environment holds `PATH`, the proxy settings, a `HOME` in that folder and `XDG_CACHE_HOME`; the rest is up to the
/// test. Everything but a shared cache goes with the value.
#[derive(Debug)]
pub struct Program<'u> {
    path: PathBuf,
    folder: TempDir,
    cache: PathBuf,
    user: Option<&'u TestUser>,
    umask: Option<u32>,
    variables: BTreeMap<OsString, OsString>,
}

impl<'u> Program<'u> {
    /// The program at `path`, a test's `env!("CARGO_BIN_EXE_…")`, with a new, empty cache.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let folder = tempfile::Builder::new().prefix("ovmlayer-program").tempdir().expect("a folder");
        fs::create_dir(folder.path().join("home")).expect("a home");
        let mut variables: BTreeMap<OsString, OsString> = INHERITED
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
            .collect();
        variables.insert("HOME".into(), folder.path().join("home").into());
        let cache = folder.path().join("cache");
        Self { path: path.as_ref().to_owned(), folder, cache, user: None, umask: None, variables }
    }

    /// Uses the machine's cache of test runs: what it holds need not be downloaded again. Programs may share it at the
    /// same time. It may be empty, so no test may count on what is in it.
    #[must_use]
    pub fn shared_cache(mut self) -> Self {
        self.cache = shared_folder().join("cache");
        self
    }

    /// Uses the cache in `folder`.
    #[must_use]
    pub fn cache_in(mut self, folder: &Path) -> Self {
        self.cache = folder.to_owned();
        self
    }

    /// Runs as `user`, who then owns the program's folder. The cache must be one the user can write to.
    ///
    /// # Panics
    /// When the program cannot be copied to where the user can read it: the build folder may lie in root's home.
    #[must_use]
    pub fn as_user(mut self, user: &'u TestUser) -> Self {
        let copy = self.folder.path().join("program");
        // By another process: a child that a test beside this one forks must not have it open for writing, because then
        // it cannot be run.
        crate::tool::run(Command::new(tool("cp")).arg(&self.path).arg(&copy));
        self.path = copy;
        user.own(self.folder.path());
        self.user = Some(user);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.insert(name.into(), value.as_ref().into());
        self
    }

    /// Sets the mask of permissions that new files do not get, such as `0o077`.
    #[must_use]
    pub const fn umask(mut self, mask: u32) -> Self {
        self.umask = Some(mask);
        self
    }

    /// The folder it starts in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where `build` writes unless told otherwise: `dist` in its folder.
    #[must_use]
    pub fn dist(&self) -> PathBuf {
        self.folder().join("dist")
    }

    /// The folder of the cache, as `--cache-dir` would name it.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Puts a file into the program's folder, such as a recipe, and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
        self.own(&path);
        path
    }

    /// Gives what is at `path`, in the program's folder, to the user that it runs as.
    pub fn own(&self, path: &Path) {
        if let Some(user) = self.user {
            user.own(path);
        }
    }

    /// The command that [`Self::run`] runs, for tests that need its process.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let shell = tool("sh");
        let mut command = self.user.map_or_else(|| Command::new(&shell), |user| user.command(&shell));
        // The mask is set by a shell, which then becomes the program: it keeps its number and gets its signals.
        let mask = self.umask.map(|mask| format!("umask {mask:04o}; ")).unwrap_or_default();
        // Who runs tests in the background may ignore signals that a program is to end by, and so would the program.
        let environment = format!("{mask}exec {} --default-signal -i \"$@\"", tool("env").display());
        command.args(["-c", &environment, "sh"]);
        let variable = |name: &OsStr, value: &OsStr| [name, OsStr::new("="), value].into_iter().collect();
        command.args(self.variables.iter().map(|(name, value)| -> OsString { variable(name, value) }));
        // The program's own folder of that name lies below the variable's.
        let cache_home: OsString = self.cache.clone().into();
        command.arg(variable(OsStr::new("XDG_CACHE_HOME"), &cache_home));
        command.arg(&self.path).args(arguments).current_dir(self.folder());
        command
    }

    /// Runs it to its end; whether it succeeded is for the test to say.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        output(&mut self.command(arguments))
    }

    /// Runs it and gives what it wrote to standard output.
    ///
    /// # Panics
    /// When it fails; the message carries both of its outputs.
    pub fn succeed<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        String::from_utf8_lossy(&crate::tool::run(&mut self.command(arguments))).into_owned()
    }

    /// Runs it and gives what it wrote to standard error.
    ///
    /// # Panics
    /// When it succeeds, or does not end with status 1.
    pub fn fail<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let result = self.run(arguments);
        let errors = String::from_utf8_lossy(&result.stderr).into_owned();
        let written = String::from_utf8_lossy(&result.stdout);
        assert_eq!(
            result.status.code(),
            Some(1),
            "the program ended with another status:\n{written}{errors}"
        );
        errors
    }
}

/// The folder in which tests keep between runs what is costly to get: `OVMLAYER_TEST_CACHE`, else a folder of this user
/// among the temporary files.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn shared_folder() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::var_os("OVMLAYER_TEST_CACHE")
        .map_or_else(|| std::env::temp_dir().join(format!("ovmlayer-test-cache-{user}")), PathBuf::from);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot create {folder:?}: {error}"));
    folder
}
