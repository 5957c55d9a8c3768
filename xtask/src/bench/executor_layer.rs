//! `cargo xtask bench executor-layer`: our builds beside pip, npm and uv.
//!
//! The packages are those of `executors/`. For a foreign architecture the peers are pip and npm inside a root of it, under
//! emulation: what `docker buildx` does. For the machine's own they are uv and npm alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use testkit::{MachineEmulation, PIP_AND_NPM, Rootfs, machine_architecture};

use super::contest::{Commands, Contest, Entrant, script, table};
use super::timing::quietly;
use super::{build, publish};
use crate::step::{root, step, target};
use crate::{Error, machine, needs, python};

/// The section's heading.
const HEADING: &str = "The executor layer";

/// The version of uv, ours too.
const UV: &str = "uv==0.13.9";

/// Options of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often each program does each thing for the machine's own architecture.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The same for the foreign one, which takes minutes under emulation.
    #[arg(long, default_value_t = 2)]
    foreign_runs: usize,
    /// Only the situations with this text in their name, such as `own` or `foreign`; the section is then printed and not
    /// written.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Runs all contests and writes their section.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    step("packages the benchmarks need", needs::for_benches)?;
    let program = build("ovmlayer-rootfs")?;
    let tools = python::environment(&target().join("bench-tools/uv"), &[UV])
        .map_err(|reason| Error::Step { step: "uv".to_owned(), reason })?;
    let scratch = tempfile::Builder::new().prefix("ovmlayer-bench-executor-layer").tempdir();
    let scratch = scratch.map_err(Error::io("make a scratch folder"))?;
    let stage = Stage { program, uv: tools.join("uv"), folder: scratch.path().to_owned() };
    stage.set()?;
    let log = stage.folder.join("log");
    let wanted = |name: &str| options.only.as_ref().is_none_or(|text| name.contains(text));
    let mut outcomes = Vec::new();
    if wanted(OWN) {
        outcomes.extend(stage.own(options.runs).measure(&log)?);
    }
    let situations: Vec<&Foreign> = FOREIGN.iter().filter(|what| wanted(what.situation)).collect();
    if !situations.is_empty() {
        let foreign = stage.foreign_root()?;
        let _emulation = MachineEmulation::present();
        Stage::fill(&foreign)?;
        for what in situations {
            outcomes.extend(stage.foreign(options.foreign_runs, &foreign, what).measure(&log)?);
        }
    }
    let mut page = String::from("Written by `cargo xtask bench executor-layer`.\n\n");
    page.push_str(&machine::facts(&[("npm", &["--version"]), ("qemu-aarch64-static", &["--version"])]));
    page.push_str(&table(&outcomes));
    page.push_str(METHOD);
    publish(HEADING, &page, options.only.is_none())
}

/// The situation for the machine's own architecture.
const OWN: &str = "own architecture, from locks, without network";

/// What both do in a foreign situation.
struct Foreign {
    situation: &'static str,
    /// Our folder: with a lock beside the recipe, or without.
    folder: &'static str,
    options: &'static [&'static str],
    /// What pip and npm are told.
    pip: &'static str,
    npm: &'static str,
}

const FOREIGN: &[Foreign] = &[
    Foreign {
        situation: "foreign, from locks, without network",
        folder: "locked",
        options: &["--locked", "--offline"],
        pip: "--no-deps --no-index --find-links /wheels -r /pinned.txt",
        npm: "--offline",
    },
    Foreign {
        situation: "foreign, resolved anew",
        folder: "anew",
        options: &[],
        pip: "-r /project/requirements.txt",
        npm: "--prefer-offline",
    },
];

/// What everything is measured with.
struct Stage {
    program: PathBuf,
    uv: PathBuf,
    folder: PathBuf,
}

impl Stage {
    /// Fills our cache, makes the lock, and puts what the peers install into a folder.
    fn set(&self) -> Result<(), Error> {
        for name in ["anew", "locked/recipes", "project"] {
            let path = self.folder.join(name);
            fs::create_dir_all(&path).map_err(Error::io(format!("create {}", path.display())))?;
        }
        quietly(&mut self.ours("anew", &[]))?;
        let lock = self.folder.join("anew/out/executor-layer.lock");
        copy(&lock, &self.folder.join("locked/recipes/executor-layer.lock"))?;
        for path in ["requirements.txt", "node/package.json", "node/package-lock.json"] {
            let path = root().join("executors").join(path);
            copy(&path, &self.folder.join("project").join(path.file_name().unwrap_or_default()))?;
        }
        let text = fs::read_to_string(&lock).map_err(Error::io(format!("read {}", lock.display())))?;
        let path = self.folder.join("pinned.txt");
        fs::write(&path, pinned(&text)).map_err(Error::io(format!("write {}", path.display())))
    }

    /// Our program, in a folder with or without a lock.
    fn ours(&self, folder: &str, options: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["build", "executor-layer", "--distro", "debian", "--out", "out"]).args(options);
        command.current_dir(self.folder.join(folder));
        command
    }

    fn our_entrant(&self, folder: &'static str, options: Vec<&'static str>) -> Entrant {
        let stage = Self { program: self.program.clone(), uv: self.uv.clone(), folder: self.folder.clone() };
        let before = script(&format!("rm -rf {}/{folder}/out; sync", self.folder.display()));
        let timed: Commands = Box::new(move || vec![stage.ours(folder, &options)]);
        Entrant { program: "ovmlayer-rootfs", before, timed, makes: None }
    }

    /// For the machine's own architecture, beside uv and npm alone, on this machine.
    fn own(&self, rounds: usize) -> Contest {
        let (folder, uv) = (self.folder.display(), self.uv.display());
        let install = format!(
            "{uv} pip install --quiet --no-progress --offline --no-deps --python-version 3.13 --only-binary :all: \
             --target {folder}/own-python -r {folder}/pinned.txt; cd {folder}/own-node; npm ci --silent --offline \
             --omit=dev --ignore-scripts --no-audit --no-fund"
        );
        let clear = format!(
            "cd {folder}; rm -rf own-python own-node; mkdir own-node; cp project/package*.json own-node; sync"
        );
        // The first round, which is not counted, fills the caches.
        let install = format!(
            "test -e {folder}/own-warm || ({}; touch {folder}/own-warm); {install}",
            install.replace("--offline", "")
        );
        let peer = Entrant {
            program: "uv, then npm ci",
            before: script(&clear),
            timed: script(&install),
            makes: None,
        };
        let options = vec!["--arch", machine_architecture(), "--locked", "--offline"];
        Contest {
            situation: OWN.to_owned(),
            rounds,
            entrants: vec![self.our_entrant("locked", options), peer],
        }
    }

    /// A root of the foreign architecture, with what pip and npm install.
    fn foreign_root(&self) -> Result<Rootfs, Error> {
        let recipe = self.folder.join("native.toml");
        fs::write(&recipe, PIP_AND_NPM).map_err(Error::io(format!("write {}", recipe.display())))?;
        let mut native = Command::new(&self.program);
        native.args(["build", "native.toml", "--out", ".", "--arch", foreign()]).current_dir(&self.folder);
        quietly(&mut native)?;
        let root = Rootfs::extract(&self.folder.join(format!("{}-native.tar", foreign())));
        root.know_registries();
        copy(Path::new("/etc/resolv.conf"), &root.path().join("etc/resolv.conf"))?;
        quietly(
            Command::new("cp").arg("-r").arg(self.folder.join("project")).arg(root.path().join("project")),
        )?;
        copy(&self.folder.join("pinned.txt"), &root.path().join("pinned.txt"))?;
        Ok(root)
    }

    /// Fills the caches of pip and npm in it.
    fn fill(root: &Rootfs) -> Result<(), Error> {
        let fill = "pip download -q --no-deps --only-binary :all: -d /wheels -r /pinned.txt; cd /project; \
                    npm ci --silent --ignore-scripts";
        quietly(&mut inside(&root.path(), fill))
    }

    fn foreign(&self, rounds: usize, root: &Rootfs, what: &Foreign) -> Contest {
        let install = format!(
            "pip install -q --no-compile --only-binary :all: --root-user-action=ignore {}; cd /project; npm ci --silent \
             --omit=dev --ignore-scripts --no-audit --no-fund {}",
            what.pip, what.npm
        );
        let clear = format!(
            "rm -rf {0}/usr/local/lib/python3* {0}/usr/local/bin/* {0}/project/node_modules; sync",
            root.path().display()
        );
        let path = root.path();
        let timed: Commands = Box::new(move || vec![inside(&path, &install)]);
        let peer =
            Entrant { program: "pip, then npm ci, emulated", before: script(&clear), timed, makes: None };
        let options = [what.options, &["--arch", foreign()]].concat();
        let entrants = vec![self.our_entrant(what.folder, options), peer];
        Contest { situation: what.situation.to_owned(), rounds, entrants }
    }
}

/// The architecture that this machine is not of.
fn foreign() -> &'static str {
    if machine_architecture() == "amd64" { "arm64" } else { "amd64" }
}

/// A script in a root, with the mounts that programs there want, which end with it.
fn inside(root: &Path, text: &str) -> Command {
    let root = root.display();
    let text = format!(
        "mount -t proc proc {root}/proc; mount --bind /dev {root}/dev; exec chroot {root} /bin/sh -ec '{text}'"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/sh", "-ec", &text]).env("HOME", "/root");
    command
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).map(drop).map_err(Error::io(format!("copy {}", from.display())))
}

/// The wheels of a lock as requirements: those of both architectures have the same versions.
fn pinned(lock: &str) -> String {
    let mut pinned = String::new();
    for wheel in lock.split("\n[[").filter_map(|table| table.strip_prefix("wheel]]")) {
        let field = |name: &str| {
            let line = wheel.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let line = format!("{}=={}\n", field("name"), field("version"));
        if !pinned.contains(&line) {
            pinned.push_str(&line);
        }
    }
    pinned
}

const METHOD: &str = "
### How the executor layer is measured

- A time is that of whole processes, from start to end, into empty folders; a first round that fills caches is not counted. The programs take turns, all as root, on the same file system.
- The packages are those of `executors/requirements.txt` and `executors/node/package-lock.json`. Ours also has the Node.js executor itself, writes the layer's tar and its lock; the peers leave folders.
- *from locks*: every version is known and every archive is in a cache. pip has the wheels in a folder, uv and npm have their caches.
- *resolved anew*: the registries are asked for versions; archives come from caches.
- *foreign*: the peers run in a root of the foreign architecture, under `qemu-user`, by `chroot`, which takes less time than a container.
";

#[cfg(test)]
mod tests {
    use super::pinned;

    #[test]
    fn wheels_of_a_lock_are_pinned_once() {
        let lock = "format = 1\n\n[[wheel]]\nname = \"a\"\nversion = \"1\"\nfile = \"x\"\n\n[[wheel]]\nname = \"a\"\nversion = \"1\"\n\n\
                    [[npm]]\nstep = 0\n\n[npm.package]\nname = \"b\"\n";
        assert_eq!(pinned(lock), "a==1\n");
    }
}
