//! The dialects of `setup` (contract 1.3) and where the configuration is (contract 1.4).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use testkit::{run, tool};

use crate::Stage;

/// Runs a script whose `/opt` is the folder `opt` of the stage, with mounts of its own that end with it.
fn with_opt(stage: &Stage<'_>, script: &str) -> String {
    let program = env!("CARGO_BIN_EXE_ovmlayer");
    fs::create_dir_all(stage.path("opt/ovmlayer")).expect("a folder");
    let script = format!(
        "set -eu\nmount --bind {opt} /opt\novmlayer() {{ {program} \"$@\"; }}\nTAR={tar}\ncd {folder}\n{script}",
        opt = stage.arg("opt"),
        tar = stage.rootfs_tar(),
        folder = stage.arg(""),
    );
    let mut command = Command::new(tool("unshare"));
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.env("HOME", stage.path("home")).env_remove("OVMLAYER_LOG");
    String::from_utf8(run(&mut command)).expect("text")
}

/// What works after any setup.
const WORKS: &str = "ovmlayer test system; ovmlayer create l; ovmlayer merge -l l -m m
ovmlayer run --merged-point=m sh -c 'cat /etc/os-release; echo kept > /kept'; ovmlayer unmerge m\n";

#[test]
fn production_in_a_volume() {
    let stage = Stage::bare();
    assert_eq!(
        with_opt(&stage, &format!("ovmlayer setup production --base-rootfs=$TAR\n{WORKS}")),
        "ID=test\n"
    );
    assert!(stage.path("opt/ovmlayer/layer_dir/base_rootfs/etc/os-release").exists());
    assert!(stage.path("opt/ovmlayer/layer_dir/l/kept").exists());
    // A new container has the volume, and neither a configuration nor the mounts.
    let _ = fs::remove_file(stage.path("home/.ovmlayer_cfg.json"));
    let again = "ovmlayer list layers; ovmlayer merge -l l -m m; ovmlayer run --merged-point=m cat /kept; ovmlayer unmerge m";
    assert_eq!(with_opt(&stage, again), "l\nkept\n");
    // And it may be set up again.
    assert_eq!(with_opt(&stage, "ovmlayer setup production --base-rootfs=$TAR; ovmlayer list layers"), "l\n");
}

#[test]
fn dev_on_a_disk_image() {
    let stage = Stage::bare();
    let setup = "ovmlayer setup dev --base-rootfs=$TAR --layer-disk=$PWD/layer-disk\n";
    assert_eq!(with_opt(&stage, &format!("{setup}{WORKS}")), "ID=test\n");
    assert!(stage.path("layer-disk").is_file());
    // As after a restart of the machine: the image is there and mounted nowhere.
    let again = "ovmlayer list layers; ovmlayer merge -l l -m m; ovmlayer run --merged-point=m cat /kept; ovmlayer unmerge m";
    assert_eq!(with_opt(&stage, again), "l\nkept\n");
    assert_eq!(with_opt(&stage, &format!("{setup}ovmlayer list layers")), "l\n");
}

#[test]
fn folders_and_a_tar_and_again_at_every_start() {
    let stage = Stage::bare();
    let (tar, folder) = (stage.rootfs_tar(), stage.arg(""));
    stage.ok([
        "setup",
        "-d",
        &format!("{folder}/store,rw"),
        &format!("--rootfs-tar={tar}"),
        &format!("--rootfs-path={folder}/root"),
    ]);
    stage.does("create l");
    stage.does("merge -l l -m m");
    stage.sh("m", "echo kept > /kept");
    for _ in 0..2 {
        stage.ok(["setup", "-d", &format!("{folder}/store,rw"), "--rootfs-path", &format!("{folder}/root")]);
        assert_eq!(stage.layers(&[]), ["l"]);
        assert_eq!(stage.sh("m", "cat /kept"), "kept\n", "what is live stays so");
    }
}

#[test]
fn two_stores_over_a_root_that_the_caller_extracted() {
    let stage = Stage::bare();
    for name in ["R", "E", "P"] {
        fs::create_dir(stage.path(name)).expect("a folder");
    }
    run(Command::new(tool("tar")).arg("-xf").arg(stage.rootfs_tar()).arg("-C").arg(stage.path("P")));
    stage.ok([
        "setup",
        "--runtime",
        &stage.arg("R"),
        "--external",
        &stage.arg("E"),
        &format!("--rootfs-path={}", stage.arg("P")),
    ]);
    stage.does("create l");
    stage.does("move l");
    assert!(stage.path("E/layer_dir/l").is_dir());
}

#[test]
fn two_stores_and_a_tar() {
    let stage = Stage::ready();
    assert!(stage.path("rootfs/etc/os-release").is_file());
    assert!(stage.path("home/.ovmlayer_cfg.json").is_file());
    stage.does("test system");
    fs::write(stage.path("rootfs/mine"), "").expect("a file");
    let (runtime, external) = (stage.arg("runtime"), stage.arg("external"));
    let tar = &stage.rootfs_tar();
    stage.ok([
        "setup",
        "--runtime",
        &runtime,
        "--external",
        &external,
        "--rootfs-tar",
        tar,
        "--rootfs-path",
        &stage.arg("rootfs"),
    ]);
    assert!(stage.path("rootfs/mine").exists(), "a root that is there is kept");
}

#[test]
fn a_store_that_is_only_read() {
    let stage = Stage::ready();
    stage.does("create shipped");
    stage.does("merge -l shipped -m m");
    stage.sh("m", "echo shipped > /shipped");
    stage.does("unmerge m");
    let (runtime, new) = (stage.arg("runtime"), stage.arg("new"));
    stage.ok([
        "setup",
        "-d",
        &format!("{new},rw"),
        "-d",
        &format!("{runtime},ro"),
        "--rootfs-path",
        &stage.arg("rootfs"),
    ]);
    assert_eq!(stage.layers(&[]), ["shipped"]);
    stage.does("create top");
    stage.does("merge -l shipped -l top -m m");
    assert_eq!(stage.sh("m", "cat /shipped"), "shipped\n");
    stage.does("unmerge m");
    assert!(stage.refuses("delete shipped").contains("read-only"));
}

#[test]
fn the_configuration_can_be_a_link() {
    let stage = Stage::bare();
    fs::create_dir(stage.path("elsewhere")).expect("a folder");
    symlink(stage.path("elsewhere/cfg.json"), stage.path("home/.ovmlayer_cfg.json")).expect("a link");
    let (runtime, root) = (stage.arg("R"), stage.arg("P"));
    let tar = &stage.rootfs_tar();
    stage.ok(["setup", "--runtime", &runtime, "--rootfs-tar", tar, "--rootfs-path", &root]);
    assert!(stage.path("elsewhere/cfg.json").is_file());
    assert!(stage.path("home/.ovmlayer_cfg.json").symlink_metadata().expect("a link").is_symlink());
    stage.does("create l");
    assert!(Path::new(&runtime).join("layer_dir/l").is_dir());
}
