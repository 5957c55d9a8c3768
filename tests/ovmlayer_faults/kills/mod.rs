//! Commands killed at any moment: what was acknowledged is whole, nothing else stays after `fsck --repair`, and
//! without it the next command works just as well.

mod first_setup;
mod moment;
mod scenario;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{Random, TestUser, await_no_process_about, number, processes_about, run, tool};

use self::moment::{Ended, kill_after};
use self::scenario::{LAYER, POINT, SCENARIOS, Samples, Scenario, State, import, make_replaced};
use crate::content::{Content, assert_same, content, lasting};
use crate::disk::{Kind, SmallDisk};
use crate::stage::{Stage, names};

/// Layers that are acknowledged before any command is killed. The last lies in the external store.
const KEPT: [&str; 3] = ["base", "kept", "outer"];

#[test]
fn commands_of_root() {
    println!("{}", kill_commands("root", None, 0));
}

#[test]
fn commands_of_an_ordinary_user() {
    let user = TestUser::create();
    println!("{}", kill_commands("an ordinary user", Some(&user), 1));
}

/// How many commands are killed in each half: those of root, those of an ordinary user.
fn kills() -> u64 {
    number("OVMLAYER_LAYER_KILLS", 40).div_ceil(2)
}

fn kill_commands(who: &'static str, user: Option<&TestUser>, half: u64) -> String {
    let seed = number("OVMLAYER_SEED", 1) + half;
    let disk = SmallDisk::new(Kind::Memory, 64);
    let rounds = Rounds::new(who, user, &disk, seed);
    rounds.all(kills()).join("\n")
}

/// A store with layers that must stay as they are, whatever is killed.
struct Rounds<'u> {
    who: &'static str,
    stage: Stage<'u>,
    seed: u64,
    samples: Samples,
    kept: BTreeMap<&'static str, Content>,
    /// How much each command computes when nobody ends it, in nanoseconds.
    computed: Vec<u64>,
}

impl<'u> Rounds<'u> {
    fn new(who: &'static str, user: Option<&'u TestUser>, disk: &SmallDisk, seed: u64) -> Self {
        // Another file system, so that a move has to copy.
        let stage = Stage::bare(user).external_in(&disk.path());
        stage.own(&disk.path());
        stage.setup();
        make_source(&stage);
        stage.write("replaced", "what was there before\n");
        make_layers(&stage);
        import(&stage);
        let imported = lasting(content(&stage.layer(LAYER)));
        stage.ok(["delete", LAYER]);
        make_replaced(&stage);
        let replaced = lasting(content(&stage.layer(LAYER)));
        stage.ok(["delete", LAYER]);
        let archive = stage.path("sample_again.tar");
        import(&stage);
        stage.ok(["export", "-l", LAYER, "-dest", &archive.display().to_string()]);
        stage.ok(["delete", LAYER]);
        let samples = Samples { imported, replaced, archive: fs::read(&archive).expect("an archive") };
        let kept = KEPT.map(|name| (name, lasting(content(&kept_place(&stage, name))))).into();
        let mut rounds = Self { who, stage, seed, samples, kept, computed: Vec::new() };
        rounds.computed = SCENARIOS.iter().map(|scenario| rounds.undisturbed(scenario)).collect();
        rounds
    }

    /// How much a command computes in all.
    fn undisturbed(&self, scenario: &Scenario) -> u64 {
        (scenario.prepare)(&self.stage);
        let ended = self.run(scenario, u64::MAX);
        assert!(scenario.at_work || ended.status.success(), "{}: {}", scenario.name, ended.status);
        (scenario.again)(&self.stage, &self.samples);
        self.clear();
        ended.computed
    }

    fn run(&self, scenario: &Scenario, moment: u64) -> Ended {
        let started = self.stage.layer(LAYER).join("tags/started");
        let command = self.stage.command((scenario.arguments)(&self.stage));
        kill_after(command, moment, || scenario.at_work && started.exists())
    }

    fn all(&self, kills: u64) -> Vec<String> {
        let mut random = Random::new(self.seed);
        let mut counts: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        let mut late = 0;
        // The first ones differ from run to run with the seed, when there are fewer kills than commands.
        for round in 0..kills {
            let number = ((self.seed * kills + round) % SCENARIOS.len() as u64) as usize;
            let scenario = &SCENARIOS[number];
            let repair = (round + round / SCENARIOS.len() as u64).is_multiple_of(2);
            let most = self.computed[number];
            let moment = if scenario.at_work { u64::MAX } else { random.below(most) };
            let name = format!(
                "{}, round {round}: {} killed after {moment} of {most} ns, seed {}",
                self.who, scenario.name, self.seed
            );
            let outcome = self.round(&name, scenario, moment, repair);
            late += u64::from(outcome == "too late");
            *counts.entry(scenario.name).or_default().entry(outcome).or_default() += 1;
        }
        assert!(late < kills.max(1), "none was killed: {counts:?}");
        self.nothing_stays();
        let who = self.who;
        let counts = counts.into_iter().map(|(name, counts)| {
            let counts: Vec<String> =
                counts.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
            format!("soak: kills of {name} as {who}: {}, seed {}", counts.join(", "), self.seed)
        });
        counts.chain([format!("soak: kills as {who}: {kills} in all, {late} too late")]).collect()
    }

    /// Kills one command and looks at what it leaves.
    fn round(&self, name: &str, scenario: &Scenario, moment: u64, repair: bool) -> String {
        let stage = &self.stage;
        (scenario.prepare)(stage);
        let holders = processes_about(stage.folder());
        let ended = self.run(scenario, moment);
        assert!(ended.killed() || ended.status.success(), "{name}: {}", ended.status);
        // An ordinary user's merge point has a process. One that was killed while it was made comes to life, or its process ends.
        let lives = |pid: u32| {
            holders.contains_key(&pid)
                || scenario.name == "merge" && stage.points().iter().any(|point| point == POINT)
        };
        await_no_process_about(stage.folder(), name, lives);
        if repair {
            stage.ok(["fsck", "--repair"]);
            stage.fsck_is_clean(name);
            self.only_what_is_live(name);
        }
        let state = (scenario.state)(stage, &self.samples);
        assert!(ended.killed() || state != State::Before, "{name}: acknowledged, and not done");
        self.kept_is_whole(name);
        (scenario.again)(stage, &self.samples);
        self.clear();
        self.kept_is_whole(name);
        if ended.killed() { format!("{state:?}").to_lowercase() } else { "too late".to_owned() }
    }

    /// Takes away what a command works on.
    fn clear(&self) {
        self.stage.ok(["unmerge", POINT]);
        self.stage.ok(["delete", LAYER]);
        assert_eq!(self.stage.layers(), KEPT);
    }

    fn kept_is_whole(&self, name: &str) {
        for (layer, expected) in &self.kept {
            let found = lasting(content(&kept_place(&self.stage, layer)));
            assert_same(&found, expected, &format!("{name}: layer {layer}"));
        }
    }

    /// After a repair there are layers, what live merge points need, and nothing else.
    fn only_what_is_live(&self, name: &str) {
        let (stage, runtime) = (&self.stage, self.stage.runtime());
        for folder in [
            runtime.join("tmp"),
            runtime.join("trash"),
            stage.external().join("tmp"),
            stage.external().join("trash"),
        ] {
            assert_eq!(names(&folder), Vec::<String>::new(), "{name}: {folder:?}");
        }
        let points = stage.points();
        for folder in ["work", "merged"] {
            let found = names(&runtime.join(folder));
            assert_eq!(found.len(), points.len(), "{name}: {folder} has {found:?}, live are {points:?}");
        }
        let leases = names(&runtime.join("lease"));
        let leases: Vec<&str> = leases.iter().map(|lease| lease.trim_end_matches(".json")).collect();
        assert!(leases.iter().all(|lease| points.iter().any(|point| point == lease)), "{name}: {leases:?}");
        let (inner, outer) = (names(&runtime.join("layer_dir")), names(&stage.external().join("layer_dir")));
        let mut layers: Vec<String> = inner.into_iter().chain(outer).collect();
        layers.sort();
        assert_eq!(layers, stage.layers(), "{name}: what lies in the stores");
    }

    fn nothing_stays(&self) {
        let (stage, who) = (&self.stage, self.who);
        stage.ok(["gc"]);
        assert_eq!(stage.mounts(), Vec::<std::path::PathBuf>::new(), "{who}: mounts");
        await_no_process_about(stage.folder(), who, |_| false);
        stage.fsck_is_clean(who);
        self.only_what_is_live(who);
        self.kept_is_whole(who);
    }
}

fn kept_place(stage: &Stage<'_>, name: &str) -> std::path::PathBuf {
    if name == "outer" { stage.external_layer(name) } else { stage.layer(name) }
}

/// A folder of the machine with files of several sizes, a link, and a file that can be run.
fn make_source(stage: &Stage<'_>) {
    for number in 0..40_usize {
        stage.write(
            &format!("source/folder_{}/file_{number}", number % 4),
            format!("{number}\n").repeat(number * number * 3),
        );
    }
    let source = stage.path("source");
    std::os::unix::fs::symlink("folder_0/file_0", source.join("link")).expect("a link");
    run(Command::new(tool("chmod")).arg("0750").arg(source.join("folder_1/file_1")));
    run(Command::new(tool("chown"))
        .args(["-R", "--no-dereference", "--reference"])
        .arg(stage.home())
        .arg(&source));
}

/// The layers that are kept: a plain one, one with what only an overlay knows, one in the external store; and an archive.
fn make_layers(stage: &Stage<'_>) {
    let source = stage.path("source").display().to_string();
    stage.ok(["create", "base"]);
    stage.ok(["cp", "--mode", "host2layer", &source, "base:/opt"]);
    stage.ok(["create", "kept"]);
    stage.ok(["merge", "-l", "base", "-l", "kept", "-m", POINT]);
    // A whiteout, an opaque folder, a changed file, a hard link and a mode.
    let script = "cd /opt/source && rm folder_0/file_4 && rm -r folder_1 && mkdir folder_1 && echo new > folder_1/new \
                  && echo more >> folder_2/file_2 && echo linked > one && ln one two && chmod 4711 one";
    stage.ok(["run", "--merged-point", POINT, "sh", "-c", script]);
    stage.ok(["unmerge", POINT]);
    let sample = stage.path("sample.tar").display().to_string();
    stage.ok(["export", "-l", "kept", "-dest", &sample]);
    stage.ok(["import", "--rename", "outer", &sample]);
    stage.ok(["move", "outer"]);
    assert!(has_whiteout(&stage.layer("kept")), "the sample has a whiteout");
}

fn has_whiteout(layer: &Path) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let path = layer.join("opt/source/folder_0/file_4");
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == 0)
}
