//! Running programs of the root in its sandbox.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::{Network, Sandbox, Stdio, make_placeholders, remove_placeholders};

use crate::{Error, Interrupt};

/// How much of a program's output a failure shows, in lines.
const TAIL_LINES: usize = 20;

/// Told what happens during a build.
pub trait Progress: Send + Sync {
    /// A package was unpacked: `done` of `total`.
    fn unpacked(&self, done: usize, total: usize);
    /// dpkg begins to configure a package: `done` of `total` so far.
    fn configuring(&self, package: &str, done: usize, total: usize);
    /// A program inside the root printed a line.
    fn output(&self, line: &str);
}

/// Runs programs inside one root.
pub struct Scripts {
    root: PathBuf,
    epoch: i64,
    interrupt: Interrupt,
    progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripts")
            .field("root", &self.root)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Scripts {
    /// Programs will run in `root`; `epoch` is what they are told as `SOURCE_DATE_EPOCH`, in seconds.
    #[must_use]
    pub fn new(root: &Path, epoch: i64, interrupt: Interrupt, progress: Arc<dyn Progress>) -> Self {
        Self { root: root.into(), epoch, interrupt, progress }
    }

    /// Runs `argv` with the standard environment and `env`; `what` names it in an error.
    ///
    /// # Errors
    /// [`Error::Script`] with the end of its output when it does not exit 0, [`Error::Sandbox`] when it cannot be run.
    pub fn run(
        &self,
        what: &str,
        argv: &[&str],
        env: &[(&str, &str)],
        network: Network,
    ) -> Result<(), Error> {
        self.run_with(what, argv, env, network, &mut |_| {})
    }

    /// As [`Scripts::run`], and shows each line of output to `line` as well.
    pub(crate) fn run_with(
        &self,
        what: &str,
        argv: &[&str],
        env: &[(&str, &str)],
        network: Network,
        line: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        let mut tail = VecDeque::new();
        let mut on_line = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            line(&text);
            self.progress.output(&text);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(text.into_owned());
        };
        let sandbox = self.sandbox(env, network);
        // A root need not have the files in which names are looked up; what is made for the machine's goes again.
        let missing = if network == Network::Host { sandbox.missing_targets()? } else { Vec::new() };
        make_placeholders(&self.root, &missing)?;
        let ended = sandbox.run(argv, Stdio::lines(&mut on_line));
        remove_placeholders(&self.root, &missing)?;
        let status = ended?;
        if self.interrupt.is_set() {
            return Err(Error::Interrupted);
        }
        if status.success() {
            return Ok(());
        }
        let tail = tail.into_iter().collect::<Vec<_>>().join("\n");
        Err(Error::Script { what: what.to_owned(), status: status.to_string(), tail })
    }

    fn sandbox(&self, env: &[(&str, &str)], network: Network) -> Sandbox {
        let epoch = self.epoch.to_string();
        let standard = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            ("SOURCE_DATE_EPOCH", epoch.as_str()),
            // debconf and others write what they hold in the order of Perl's hashes.
            ("PERL_HASH_SEED", "0"),
        ];
        let mut sandbox = Sandbox::new(&self.root)
            .network(network)
            .resolver(network == Network::Host)
            .deferred_fsync(true)
            .host_name("localhost")
            .cancel(self.interrupt.cancel());
        for (name, value) in standard.iter().chain(env) {
            sandbox = sandbox.env(name, value);
        }
        sandbox
    }
}
