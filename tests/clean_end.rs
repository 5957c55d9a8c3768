//! Whatever ends a build, nothing of it stays: no process, no mount, no file that could be taken for an artifact. And
//! the next build is as good as any.
//!
//! `OVMLAYER_KILLS` sets how many builds are ended (6), `OVMLAYER_SEED` the moments. A moment is a number of progress
//! events, so that the whole run is covered however fast the machine is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Program, Random, TestUser, await_no_process_about, number, processes_about, run, tool};

const RECIPE: &str = "format = 1
kind = \"rootfs\"
description = \"a build that is ended\"
architectures = [\"ARCH\"]
output = \"{arch}-ended.tar\"
variant = \"essential\"
distro = \"debian\"
";

#[test]
fn builds_of_root_end_cleanly() {
    println!("{}", rounds("root", &Stage::new(None), 0));
}

#[test]
fn builds_of_an_ordinary_user_end_cleanly() {
    let user = TestUser::create();
    println!("{}", rounds("an ordinary user", &Stage::new(Some(&user)), 1));
}

/// Ends this test's half of the builds and gives the counts.
fn rounds(who: &str, stage: &Stage<'_>, half: u64) -> String {
    let kills = number("OVMLAYER_KILLS", 6);
    let seed = number("OVMLAYER_SEED", 1);
    let mut random = Random::new(seed + half);
    let mut ended = BTreeMap::new();
    for round in 0..kills.div_ceil(2) {
        let end = match round % 3 {
            0 => End { signal: Signal::INT, twice: random.below(2) == half },
            1 => End { signal: Signal::TERM, twice: false },
            _ => End { signal: Signal::KILL, twice: false },
        };
        // The file of an artifact lies in the output folder during the last phase only: often enough, that is the moment.
        let moment = if end.signal == Signal::KILL && round % 2 == 0 {
            stage.events.iter().rposition(|event| event.contains("\"write\"")).expect("a phase of writing")
                + 1
        } else {
            random.below(stage.events.len() as u64) as usize
        };
        let name = format!("{who}, build {round}, {} after event {moment}, seed {seed}", end.name());
        let completed = stage.round(&name, end, moment);
        let outcome = if completed { "too late" } else { "ended" };
        *ended.entry(format!("{} {outcome}", end.name())).or_insert(0) += 1;
    }
    assert!(ended.keys().any(|outcome| outcome.ends_with("ended")), "no build was ended: {ended:?}");
    let counts: Vec<String> = ended.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
    format!("soak: clean end as {who}: {} builds, {}, seed {seed}", kills.div_ceil(2), counts.join(", "))
}

/// What is sent to a build.
#[derive(Clone, Copy)]
struct End {
    signal: Signal,
    twice: bool,
}

impl End {
    fn name(self) -> &'static str {
        match (self.signal, self.twice) {
            (Signal::INT, true) => "SIGINT twice",
            (Signal::INT, false) => "SIGINT",
            (Signal::TERM, _) => "SIGTERM",
            _ => "SIGKILL",
        }
    }
}

/// A program with everything in its cache, and what an undisturbed build of it says.
struct Stage<'u> {
    program: Program<'u>,
    /// Where roots are built: root builds where it is best, the user on disk, where more can be left.
    build_dir: Option<PathBuf>,
    events: Vec<String>,
    /// File names and digests.
    artifacts: BTreeMap<String, String>,
}

impl<'u> Stage<'u> {
    fn new(user: Option<&'u TestUser>) -> Self {
        let recipe = RECIPE.replace("ARCH", native());
        let source = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs")).shared_cache();
        source.write("ended.toml", &recipe);
        source.succeed(["build", "ended.toml", "--update"]);
        let program = Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs"));
        for name in ["ended.toml", "ended.lock"] {
            fs::copy(source.folder().join(name), program.folder().join(name)).expect("a recipe and its lock");
        }
        copy_cache(source.cache(), program.cache());
        let program = match user {
            Some(user) => program.as_user(user),
            None => program,
        };
        let build_dir = user.map(|_| program.folder().join("roots"));
        let mut stage = Self { program, build_dir, events: Vec::new(), artifacts: BTreeMap::new() };
        let build = stage.build("undisturbed", usize::MAX, None);
        assert!(build.status.success(), "{}", build.events.join("\n"));
        stage.events = build.events;
        stage.artifacts = digests(&stage.out("undisturbed"));
        assert_eq!(stage.artifacts.len(), 2, "a tar and its lock: {:?}", stage.artifacts);
        stage
    }

    fn out(&self, name: &str) -> PathBuf {
        self.program.folder().join(name)
    }

    fn build_options(&self) -> Vec<OsString> {
        self.build_dir.iter().flat_map(|folder| ["--build-dir".into(), folder.into()]).collect()
    }

    /// Folders in which nothing is left by a build that could clean up.
    fn working_folders(&self) -> Vec<PathBuf> {
        let cache = self.program.cache().join("ovmlayer-rootfs");
        let folders = ["build", "temporary"].map(|name| cache.join(name));
        folders.into_iter().chain(self.build_dir.clone()).collect()
    }

    /// Builds, and ends it after `moment` events.
    fn build(&self, out: &str, moment: usize, end: Option<End>) -> Ended {
        let options = ["build", "ended.toml", "--offline", "--locked", "--progress", "json", "--out", out];
        let mut child = self
            .program
            .command(options.into_iter().map(OsString::from).chain(self.build_options()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut events: Vec<String> = lines.by_ref().take(moment).collect();
        if let Some(end) = end {
            // What looks for processes that are left finds the one that is there.
            let surely_alive = moment > 0 && moment < self.events.len() / 2;
            assert!(!surely_alive || processes_about(self.program.folder()).contains_key(&child.id()));
            send(&child, end.signal);
            if end.twice {
                send(&child, end.signal);
            }
        }
        events.extend(lines);
        Ended { status: child.wait().expect("its status"), events }
    }

    /// Ends one build, looks at what it leaves, and builds again. Whether it was complete before it could be ended.
    fn round(&self, name: &str, end: End, moment: usize) -> bool {
        let out = self.out("out");
        let ended = self.build("out", moment, Some(end));
        await_no_process_about(self.program.folder(), name, |_| false);
        assert_eq!(
            mounts_about(self.program.folder()),
            Vec::<String>::new(),
            "{name}: these mounts are left"
        );
        let found = digests(&out);
        let completed = ended.status.success();
        if completed {
            assert_eq!(found, self.artifacts, "{name}: complete");
        } else if end.signal == Signal::KILL {
            self.only_what_is_reclaimed(name, &ended, &found);
        } else {
            self.says_so(name, end, moment, &ended);
            assert_eq!(found, BTreeMap::new(), "{name}: the output folder");
            for folder in self.working_folders() {
                assert_eq!(names(&folder), Vec::<String>::new(), "{name}: {}", folder.display());
            }
        }
        let next = self.build("out", usize::MAX, None);
        assert!(next.status.success(), "{name}: the next build failed:\n{}", next.events.join("\n"));
        assert_eq!(digests(&out), self.artifacts, "{name}: the next build");
        for folder in self.working_folders() {
            let left = names(&folder);
            assert!(left.is_empty(), "{name}: the next build did not reclaim {left:?} in {folder:?}");
        }
        fs::remove_dir_all(&out).expect("the output folder goes");
        completed
    }

    /// A signal that can be caught ends the program with a message, unless it came before the program was ready for it.
    fn says_so(&self, name: &str, end: End, moment: usize, ended: &Ended) {
        if moment == 0 && ended.status.signal() == Some(end.signal.as_raw()) {
            return;
        }
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", ended.status);
        let last = ended.events.last().map(String::as_str);
        assert_eq!(last, Some("error: interrupted; nothing was written"), "{name}");
    }

    /// What can be left by a program that was killed: temporary files that the next build knows.
    fn only_what_is_reclaimed(&self, name: &str, ended: &Ended, found: &BTreeMap<String, String>) {
        assert_eq!(ended.status.signal(), Some(Signal::KILL.as_raw()), "{name}: {}", ended.status);
        let publishing = ended.events.iter().any(|event| event.contains("\"write\""));
        for (file, digest) in found {
            // Between the first rename and the last one, whole artifacts are there.
            let whole = publishing && self.artifacts.get(file) == Some(digest);
            let temporary = file.starts_with('.') && file.ends_with(".tmp");
            assert!(whole || temporary, "{name}: `{file}` is left in the output folder");
        }
    }
}

struct Ended {
    status: ExitStatus,
    /// Lines on standard error.
    events: Vec<String>,
}

fn native() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_child(child);
    // It has not been waited for, so the number is still its own.
    kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal:?}: {error}"));
}

/// Copies what a build without a network needs.
fn copy_cache(from: &Path, to: &Path) {
    let (from, to) = (from.join("ovmlayer-rootfs"), to.join("ovmlayer-rootfs"));
    fs::create_dir_all(&to).expect("a cache");
    for name in ["files", "records", "version", "CACHEDIR.TAG"] {
        run(Command::new(tool("cp")).arg("-a").arg(from.join(name)).arg(&to));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.collect()
}

/// What is mounted beneath `folder` or from it, in the namespace of the machine.
fn mounts_about(folder: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let folder = folder.to_string_lossy();
    table.lines().filter(|line| line.contains(&*folder)).map(str::to_owned).collect()
}

/// The files in `folder` with their SHA-256.
fn digests(folder: &Path) -> BTreeMap<String, String> {
    let digest = |name: &String| {
        let sum = run(Command::new(tool("sha256sum")).arg(folder.join(name)));
        String::from_utf8_lossy(&sum).split_whitespace().next().unwrap_or_default().to_owned()
    };
    names(folder).into_iter().map(|name| (name.clone(), digest(&name))).collect()
}
