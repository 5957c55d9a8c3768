//! One lock gives the same bits, whoever builds it, where and how; and an unchanged locked build needs no network.
//!
//! The packages come once from the real mirror. From then on they are served on loopback, under an address that the lock
//! has never seen, to builds whose caches are empty.

use std::fs;
use std::path::Path;

use cache::{Cache, Digest};
use recipe::Lock;
use testkit::{MachineEmulation, Program, Server, TestUser, number};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");
/// Steps of every kind, so that what they write is compared too.
const STEPS: &str = r#"
[[steps]]
packages = ["zsh", "passwd"]
[[steps]]
users = [{ name = "worker", uid = 1000, shell = "/bin/zsh" }]
[[steps]]
files = [{ path = "/opt/deep/down/note", content = "x", mode = "0640", owner = "1000:1000" }]
[[steps]]
run = { script = "umask > /opt/umask; date > /opt/date.txt; rm /opt/date.txt; mkdir /opt/run; echo $TZ > /opt/zone" }
"#;

/// One way to build.
struct Way {
    summary: &'static str,
    who: Who,
    packages: Packages,
    umask: Option<u32>,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
}

enum Who {
    Root,
    User,
}

#[derive(PartialEq, Eq)]
enum Packages {
    /// The cache that the first build filled.
    Cached,
    /// An empty cache, and another mirror.
    Elsewhere,
}

/// Those that differ most come first. `OVMLAYER_WAYS` sets how many are tried (3).
const WAYS: &[Way] = &[
    Way {
        summary: "an ordinary user with everything else changed",
        who: Who::User,
        packages: Packages::Elsewhere,
        umask: Some(0o077),
        environment: &[("TZ", "Asia/Tokyo"), ("LANG", "ja_JP.UTF-8"), ("OVMLAYER_ROOTFS_NOW", "2000000000")],
        arguments: &["--jobs", "3"],
    },
    Way {
        summary: "four at a time, roots built elsewhere",
        who: Who::Root,
        packages: Packages::Cached,
        umask: None,
        environment: &[],
        arguments: &["--jobs", "4", "--build-dir", "roots"],
    },
    Way {
        summary: "a clock of the far future, an empty cache, another mirror",
        who: Who::Root,
        packages: Packages::Elsewhere,
        umask: None,
        environment: &[("OVMLAYER_ROOTFS_NOW", "4102444800")],
        arguments: &[],
    },
    Way {
        summary: "another umask, time zone and language",
        who: Who::Root,
        packages: Packages::Cached,
        umask: Some(0o077),
        environment: &[("TZ", "Asia/Tokyo"), ("LANG", "tr_TR.UTF-8"), ("LC_ALL", "C")],
        arguments: &[],
    },
    Way {
        summary: "a clock of long ago",
        who: Who::Root,
        packages: Packages::Cached,
        umask: Some(0),
        environment: &[("OVMLAYER_ROOTFS_NOW", "1000000000")],
        arguments: &["--offline"],
    },
    Way {
        summary: "an ordinary user",
        who: Who::User,
        packages: Packages::Elsewhere,
        umask: None,
        environment: &[],
        arguments: &[],
    },
    Way {
        summary: "packages one at a time",
        who: Who::Root,
        packages: Packages::Cached,
        umask: None,
        environment: &[],
        arguments: &["--jobs", "1"],
    },
];

/// A recipe with its lock, a first build of it, and a mirror that has its packages.
struct Stage {
    architecture: &'static str,
    recipe: String,
    lock: String,
    first: Program<'static>,
    digest: Digest,
    mirror: Server,
    _served: tempfile::TempDir,
}

impl Stage {
    fn new(architecture: &'static str, variant: &str) -> Self {
        let recipe = format!(
            "format = 1\nkind = \"rootfs\"\ndescription = \"to compare\"\narchitectures = [\"{architecture}\"]\n\
             output = \"bits.tar\"\ndistro = \"debian\"\nvariant = \"{variant}\"\n{STEPS}"
        );
        let first = Program::new(PROGRAM).shared_cache();
        first.write("bits.toml", &recipe);
        first.succeed(["lock", "bits.toml"]);
        let lock = fs::read_to_string(first.folder().join("bits.lock")).expect("the lock");
        first.succeed(["build", "bits.toml", "--locked"]);
        let digest = digest(&first);
        let served = tempfile::tempdir().expect("a folder to serve");
        fill(served.path(), &lock, first.cache());
        let mirror = Server::start(served.path());
        Self { architecture, recipe, lock, first, digest, mirror, _served: served }
    }

    fn build(&self, way: &Way) {
        let user = match way.who {
            Who::Root => None,
            Who::User => Some(TestUser::create()),
        };
        let mut program = Program::new(PROGRAM);
        if way.packages == Packages::Cached {
            program = program.cache_in(self.first.cache());
        }
        program = way.environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        program = way.umask.into_iter().fold(program, Program::umask);
        program = user.iter().fold(program, Program::as_user);
        program.write("bits.toml", &self.recipe);
        program.write("bits.lock", &self.lock);
        let mut arguments = vec!["build".to_owned(), "bits.toml".into(), "--locked".into()];
        arguments.extend(way.arguments.iter().map(|&argument| argument.to_owned()));
        arguments.extend(self.addresses());
        program.succeed(arguments);
        let (found, name) = (digest(&program), way.summary);
        assert_eq!(found, self.digest, "{}: {name}: another tar than the first build's", self.architecture);
        let lock = fs::read_to_string(program.dist().join("bits.lock")).expect("the build's lock");
        assert_eq!(lock, self.lock, "{}: {name}: another lock", self.architecture);
    }

    /// The mirror on loopback. What is cached is not asked for there.
    fn addresses(&self) -> [String; 4] {
        let url = self.mirror.url();
        ["--mirror".into(), format!("{url}/main"), "--security-mirror".into(), format!("{url}/security")]
    }
}

/// Lays out what `lock` names as a mirror does, out of a cache.
fn fill(folder: &Path, lock: &str, cache: &Path) {
    let lock = Lock::parse(lock, Path::new("bits.lock")).expect("a lock");
    let cache = Cache::open(&cache.join("ovmlayer-rootfs")).expect("the cache");
    for package in lock.packages.iter().chain(&lock.tools) {
        let kept = cache.path(&package.sha256);
        // Emulators for machines that this one is not.
        if !kept.exists() {
            continue;
        }
        let path = folder.join(&package.archive).join(&package.path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of the mirror");
        fs::copy(&kept, &path).unwrap_or_else(|error| panic!("cannot copy {kept:?}: {error}"));
    }
}

fn ways() -> usize {
    usize::try_from(number("OVMLAYER_WAYS", 3)).expect("a number of ways")
}

fn digest(program: &Program<'_>) -> Digest {
    Digest::of(&fs::read(program.dist().join("bits.tar")).expect("the artifact"))
}

#[test]
fn native_bits_depend_on_the_lock_alone() {
    let stage = Stage::new("amd64", "minbase");
    for way in WAYS.iter().take(ways()) {
        stage.build(way);
    }
    assert!(stage.mirror.count("*.deb") > 0, "no build took its packages from the other mirror");
}

/// A foreign root takes longer, so it is a smaller one, built in fewer ways.
#[test]
fn foreign_bits_do_not_depend_on_the_machine() {
    let architecture = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let machine = MachineEmulation::absent();
    let stage = Stage::new(architecture, "essential");
    drop(machine);
    let _machine = MachineEmulation::present();
    for way in WAYS.iter().take(ways() / 3) {
        stage.build(way);
    }
}

#[test]
fn an_unchanged_locked_build_asks_nobody() {
    let stage = Stage::new("amd64", "essential");
    let mut arguments = vec!["build".to_owned(), "bits.toml".into(), "--locked".into()];
    arguments.extend(stage.addresses());
    for more in [None, Some("--offline".to_owned())] {
        stage.first.succeed(arguments.iter().cloned().chain(more));
        assert_eq!(digest(&stage.first), stage.digest);
    }
    assert_eq!(stage.mirror.requests(), [], "a locked build with everything cached went to the network");
}
