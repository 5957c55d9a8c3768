//! The first `setup` of a machine, with a root to unpack, killed at any moment: the next one finishes the work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Random, TestUser, await_no_process_about, number, run, tool};

use super::kills;
use super::moment::kill_after;
use crate::content::{assert_same, content};
use crate::stage::{Stage, names};

#[test]
fn the_first_setup_of_root() {
    println!("{}", rounds("root", None, 2));
}

#[test]
fn the_first_setup_of_an_ordinary_user() {
    let user = TestUser::create();
    println!("{}", rounds("an ordinary user", Some(&user), 3));
}

fn rounds(who: &str, user: Option<&TestUser>, half: u64) -> String {
    let seed = number("OVMLAYER_SEED", 1) + half;
    let mut random = Random::new(seed);
    let sound = Stage::bare(user);
    run(Command::new(tool("tar")).arg("-C").arg(sound.path("rootfs")).arg("-cf").arg(tar(&sound)).arg("."));
    sound.own(&tar(&sound));
    let most = kill_after(sound.command(arguments(&sound)), u64::MAX, || false);
    assert!(most.status.success(), "undisturbed: {}", most.status);
    // Owners of an ordinary user's files depend on the user's ids, which are the same in all rounds.
    let expected = content(&sound.path("unpacked"));
    assert!(expected.contains_key(Path::new("bin/busybox")), "the root was not unpacked");
    let rounds = kills().div_ceil(5);
    let mut killed = 0;
    for round in 0..rounds {
        let stage = Stage::bare(user);
        fs::copy(tar(&sound), tar(&stage)).expect("a copy of the tar");
        stage.own(&tar(&stage));
        let moment = random.below(most.computed);
        let name =
            format!("{who}, round {round}: setup killed after {moment} of {} ns, seed {seed}", most.computed);
        let ended = kill_after(stage.command(arguments(&stage)), moment, || false);
        killed += u64::from(ended.killed());
        await_no_process_about(stage.folder(), &name, |_| false);
        stage.ok(arguments(&stage));
        assert_same(&content(&stage.path("unpacked")), &expected, &name);
        assert_eq!(names(stage.folder()), names(sound.folder()), "{name}: what lies beside the root");
        stage.ok(["test", "system"]);
        stage.ok(["create", "new"]);
        stage.ok(["merge", "-l", "new", "-m", "p"]);
        assert_eq!(stage.ok(["run", "--merged-point=p", "echo", "well"]), "well\n", "{name}");
        stage.ok(["unmerge", "p"]);
        stage.fsck_is_clean(&name);
    }
    assert!(killed > 0, "no setup was killed");
    format!("soak: kills of the first setup as {who}: {rounds} in all, {killed} killed, seed {seed}")
}

/// What the root is unpacked from.
fn tar(stage: &Stage<'_>) -> PathBuf {
    stage.path("rootfs.tar")
}

fn arguments(stage: &Stage<'_>) -> Vec<String> {
    let mut arguments = stage.setup_arguments();
    arguments.pop();
    arguments
        .extend([stage.path("unpacked"), stage.path("rootfs.tar")].map(|path| path.display().to_string()));
    arguments.insert(arguments.len() - 1, "--rootfs-tar".to_owned());
    arguments
}
