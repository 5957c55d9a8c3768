//! The programs, and how each is told to build the same root with the same mirror and a package cache of its own.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::machine_archives;

use super::{Situation, quietly};
use crate::Error;
use crate::step::root;

/// A program that builds a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contestant {
    Ours,
    Mmdebstrap,
    Debootstrap,
}

impl Contestant {
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Mmdebstrap, Self::Debootstrap];
}

impl fmt::Display for Contestant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Ours => "ovmlayer-rootfs",
            Self::Mmdebstrap => "mmdebstrap",
            Self::Debootstrap => "debootstrap",
        })
    }
}

/// Where everything lies and comes from.
#[derive(Debug)]
pub(super) struct Place {
    program: PathBuf,
    scratch: PathBuf,
    suite: String,
    mirror: String,
    security: String,
}

impl Place {
    /// Uses the mirror that the machine's apt sources name, as our program does by itself.
    pub(super) fn new(program: PathBuf, scratch: &Path, suite: &str) -> Result<Self, Error> {
        let archives = machine_archives();
        let find = |end: &str| {
            let found = archives.iter().find(|archive| archive.uri.ends_with(end));
            let reason = format!("the machine's apt sources name no archive that ends in `{end}`");
            found.map(|archive| archive.uri.clone()).ok_or(Error::Missing(reason))
        };
        let (mirror, security) = (find("/debian")?, find("/debian-security")?);
        Ok(Self { program, scratch: scratch.to_owned(), suite: suite.to_owned(), mirror, security })
    }

    /// What has to be there before the first run of a situation.
    pub(super) fn prepare(&self, contestant: Contestant, situation: Situation) -> Result<(), Error> {
        for folder in [self.cache(contestant, situation), self.output(contestant)] {
            fs::create_dir_all(&folder).map_err(Error::io(format!("make {}", folder.display())))?;
        }
        if situation.peers {
            return Ok(());
        }
        // A locked build needs a lock beside a recipe; ours is not locked, so a copy is.
        let recipe = self.recipe();
        let original = root().join("recipes/base-rootfs.toml");
        fs::copy(&original, &recipe).map_err(Error::io(format!("copy {}", original.display())))?;
        quietly(self.ours(contestant, situation, "lock").arg(&recipe))?;
        let mut build = self.ours(contestant, situation, "build");
        quietly(build.arg(&recipe).args(["--locked", "--out"]).arg(self.output(contestant)))
    }

    /// What must not be there before a run.
    pub(super) fn clear(&self, contestant: Contestant, situation: Situation) -> Result<(), Error> {
        let mut folders = Vec::new();
        if situation.peers {
            folders.push(self.output(contestant));
        }
        if !situation.cached {
            folders.push(self.cache(contestant, situation));
        }
        for folder in folders {
            quietly(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&folder))?;
            fs::create_dir_all(&folder).map_err(Error::io(format!("make {}", folder.display())))?;
        }
        Ok(())
    }

    /// The command that is measured.
    pub(super) fn command(&self, contestant: Contestant, situation: Situation) -> Command {
        match contestant {
            Contestant::Ours => self.our_build(situation),
            Contestant::Mmdebstrap => self.mmdebstrap(situation),
            Contestant::Debootstrap => self.debootstrap(situation),
        }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.scratch.join("log")
    }

    fn our_build(&self, situation: Situation) -> Command {
        let mut command = self.ours(Contestant::Ours, situation, "build");
        if situation.peers {
            command.arg("base-rootfs");
        } else {
            command.arg(self.recipe()).args(["--locked", "--offline"]);
        }
        command.arg("--out").arg(self.output(Contestant::Ours));
        command
    }

    fn ours(&self, contestant: Contestant, situation: Situation, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(verb).args([
            "--distro",
            "debian",
            "--suite",
            &self.suite,
            "--arch",
            architecture(situation),
        ]);
        command.current_dir(root()).env("XDG_CACHE_HOME", self.cache(contestant, situation));
        command
    }

    /// With the package cache that its manual describes. The last hook fills it; it is left out once that is done.
    fn mmdebstrap(&self, situation: Situation) -> Command {
        let mut command = Command::new("mmdebstrap");
        command.args(["--mode=root", "--variant=minbase", "--include=zsh", "--quiet"]);
        command.arg(format!("--architectures={}", architecture(situation)));
        if situation.cached {
            let cache = self.cache(Contestant::Mmdebstrap, situation);
            let archives = "/var/cache/apt/archives";
            command.arg("--skip=essential/unlink");
            command.arg(format!("--setup-hook=mkdir -p \"$1\"{archives}"));
            command.arg(format!("--setup-hook=sync-in {} {archives}", cache.display()));
            if !has_packages(&cache) {
                command.arg(format!("--customize-hook=sync-out {archives} {}", cache.display()));
            }
        }
        let suite = &self.suite;
        command.arg(suite).arg(self.output(Contestant::Mmdebstrap).join("root.tar"));
        command.arg(format!("deb {} {suite} main", self.mirror));
        command.arg(format!("deb {} {suite}-updates main", self.mirror));
        command.arg(format!("deb {} {suite}-security main", self.security));
        command
    }

    fn debootstrap(&self, situation: Situation) -> Command {
        let mut command = Command::new("debootstrap");
        command
            .args(["--variant=minbase", "--include=zsh"])
            .arg(format!("--arch={}", architecture(situation)));
        if situation.cached {
            command.arg(format!("--cache-dir={}", self.cache(Contestant::Debootstrap, situation).display()));
        }
        command.arg(&self.suite).arg(self.output(Contestant::Debootstrap).join("root")).arg(&self.mirror);
        command
    }

    fn cache(&self, contestant: Contestant, situation: Situation) -> PathBuf {
        let kept = if situation.cached { "kept" } else { "fresh" };
        self.scratch.join(format!("cache-{kept}-{}-{contestant}", architecture(situation)))
    }

    fn output(&self, contestant: Contestant) -> PathBuf {
        self.scratch.join(format!("out-{contestant}"))
    }

    fn recipe(&self) -> PathBuf {
        self.scratch.join("base-rootfs.toml")
    }
}

/// The machine's own architecture, or the other of the two.
fn architecture(situation: Situation) -> &'static str {
    if (std::env::consts::ARCH == "x86_64") == situation.foreign { "arm64" } else { "amd64" }
}

fn has_packages(cache: &Path) -> bool {
    let mut entries = fs::read_dir(cache).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "deb"))
}
