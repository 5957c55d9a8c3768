//! A disk that is full at each write of a command in turn: the command says which file found no space and leaves nothing half made,
//! and succeeds once there is space.
//!
//! Each command is tried with no free space, then with one block, two, and so on until it succeeds: every write of it is
//! the one that finds the disk full, once.

use std::path::Path;

use testkit::TestUser;

use crate::content::{Content, assert_same, content, lasting};
use crate::disk::{Kind, SmallDisk, speaks_of_full};
use crate::stage::{Stage, names};

/// More free space than any of these commands needs.
const ENOUGH: u64 = 2 << 20;
/// Sizes of disks, in MiB.
const SIZES: &[u64] = &[6, 9];

#[test]
fn stores_of_root() {
    println!("soak: full disk as root: {}", everything(None));
}

#[test]
fn stores_of_an_ordinary_user() {
    let user = TestUser::create();
    println!("soak: full disk as an ordinary user: {}", everything(Some(&user)));
}

fn everything(user: Option<&TestUser>) -> String {
    let mut refusals = 0;
    for kind in Kind::ALL {
        for size in SIZES {
            refusals += runtime_store(user, kind, *size) + external_store(user, kind, *size);
            refusals += export_target(user, kind, *size) + home(user, kind, *size);
        }
    }
    assert!(refusals > 50, "the disks were hardly ever full: {refusals}");
    format!("{refusals} refusals, {} kinds of disk, sizes {SIZES:?} MiB", Kind::ALL.len())
}

/// A command on a disk with ever more free space, until it succeeds. `unchanged` says what a failure may not change.
/// Gives how often it failed.
fn until_it_succeeds(
    stage: &Stage<'_>,
    disk: &SmallDisk,
    arguments: &[&str],
    unchanged: impl Fn() -> Content,
) -> usize {
    let before = unchanged();
    let mut free = 0;
    let mut refusals = 0;
    loop {
        disk.fill_but(free);
        let output = stage.output(arguments);
        disk.release();
        if output.status.success() {
            return refusals;
        }
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary = format!("{arguments:?} with {free} bytes free");
        // A copy is told by the place inside the layer, anything else by its path.
        let named = arguments[0] == "cp" && message.contains("/source");
        assert!(speaks_of_full(&message, &disk.path(), named), "{summary}: {message}");
        assert!(matches!(output.status.code(), Some(1 | 125)), "{summary}: {}: {message}", output.status);
        assert_same(&unchanged(), &before, &format!("{summary}: something is half made"));
        stage.fsck_is_clean(&summary);
        refusals += 1;
        // Small steps where the small writes are, larger ones for contents.
        free += if free < 16 * Kind::STEP { Kind::STEP } else { free / 2 / Kind::STEP * Kind::STEP };
        assert!(free < ENOUGH, "{summary}: it fails with more space too: {message}");
    }
}

/// Everything that means something in a folder, without times.
fn all_beneath(folder: &Path) -> Content {
    let mut found = lasting(content(folder));
    // The file that fills the disk, and the lock of a store, which is made when it is first needed.
    found.retain(|path, _| {
        !["filler", "lock", "external/lock", "runtime/lock"].iter().any(|name| path == Path::new(name))
    });
    found
}

/// A layer with a content of some size, elsewhere, and its archive.
fn archive(stage: &Stage<'_>) -> String {
    let source = stage.path("source");
    stage.make(&source);
    for number in 0..20_u32 {
        stage.write(&format!("source/file_{number}"), format!("{number} ").repeat(2_000));
    }
    stage.ok(["create", "packed"]);
    stage.ok(["cp", "--mode", "host2layer", &source.display().to_string(), "packed:/opt"]);
    let file = stage.path("packed.tar").display().to_string();
    stage.ok(["export", "-l", "packed", "-dest", &file]);
    stage.ok(["delete", "packed"]);
    file
}

fn runtime_store(user: Option<&TestUser>, kind: Kind, size: u64) -> usize {
    let disk = SmallDisk::new(kind, size);
    let stage = Stage::bare(user).runtime_in(&disk.path());
    stage.own(&disk.path());
    let setup = stage.setup_arguments();
    let setup: Vec<&str> = setup.iter().map(String::as_str).collect();
    let layers = || names(&stage.runtime().join("layer_dir"));
    let mut refusals = 0;
    disk.fill_but(0);
    let output = stage.output(&setup);
    disk.release();
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(speaks_of_full(&message, &disk.path(), false), "setup of a full store: {message}");
        refusals += 1;
    }
    stage.setup();
    let archive = archive(&stage);
    let store = || all_beneath(stage.runtime());
    let lived = |name: &str| lasting(content(&stage.layer(name)));
    stage.ok(["create", "kept"]);
    let kept = lived("kept");

    refusals += until_it_succeeds(&stage, &disk, &["create", "empty"], store);
    refusals += until_it_succeeds(&stage, &disk, &["import", &archive], store);
    assert_eq!(layers(), ["empty", "kept", "packed"]);
    let packed = lived("packed");
    assert_eq!(packed.len(), 23, "the files and folders of the layer");
    // Over a layer of that name: the old one stays until the new one is whole.
    refusals += until_it_succeeds(&stage, &disk, &["import", &archive], store);
    assert_same(&lived("packed"), &packed, "a layer imported again");
    let source = stage.path("source").display().to_string();
    let into = ["cp", "--mode", "host2layer", &source, "empty:/opt"];
    // Files that were copied before the disk was full may stay: each of them is whole.
    refusals += until_it_succeeds(&stage, &disk, &into, || partly_copied(&stage, "empty"));
    refusals += until_it_succeeds(&stage, &disk, &["merge", "-l", "kept", "-l", "empty", "-m", "p"], store);
    refusals += in_the_merge_point(&stage, &disk);
    refusals += until_it_succeeds(&stage, &disk, &["unmerge", "p"], Content::new);
    refusals += until_it_succeeds(&stage, &disk, &["flatten", "-l", "kept", "-l", "packed", "flat"], store);
    for name in ["empty", "packed", "flat"] {
        refusals += until_it_succeeds(&stage, &disk, &["delete", name], Content::new);
    }
    assert_same(&lived("kept"), &kept, "a layer that nobody touched");
    assert_eq!(layers(), ["kept"]);
    stage.fsck_is_clean("after all");
    refusals
}

/// What runs in a merge point of a full store is told so, and the merge point works on.
fn in_the_merge_point(stage: &Stage<'_>, disk: &SmallDisk) -> usize {
    disk.fill_but(0);
    let script = "echo started; i=0; while [ $i -lt 9000 ]; do echo $i; i=$((i+1)); done > /tmp/large";
    let output = stage.output(["run", "--merged-point=p", "sh", "-c", script]);
    disk.release();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It may need places in the layer to show files at; then it says that there is no room for them.
    let started = output.stdout == b"started\n";
    assert!(!output.status.success(), "it wrote to a full disk");
    assert!(started || output.status.code() == Some(125), "{}: {said}", output.status);
    assert!(speaks_of_full(&said, &disk.path(), started), "{said}");
    assert_eq!(
        stage.ok(["run", "--merged-point=p", "sh", "-c", "echo well > /tmp/small; cat /tmp/small"]),
        "well\n"
    );
    let source = stage.path("source").display().to_string();
    until_it_succeeds(stage, disk, &["cp", "--mode", "host2merged", &source, "p:/srv"], || {
        partly_copied(stage, "empty")
    })
}

/// The part of a layer that `cp` does not write to; of the rest, that each file is one of the source's, and whole.
fn partly_copied(stage: &Stage<'_>, layer: &str) -> Content {
    let mut all = lasting(content(&stage.layer(layer)));
    let source = content(&stage.path("source"));
    for place in ["opt/source", "srv/source"] {
        for name in names(&stage.layer(layer).join(place)) {
            let (copy, original) = (content(&stage.layer(layer).join(place).join(&name)), name.as_str());
            let original = source
                .get(Path::new(original))
                .unwrap_or_else(|| panic!("{place}/{name} is no file of the source"));
            let copied = copy.values().next().expect("the file");
            assert!(copied.same_bytes(original), "{place}/{name} is not whole");
        }
    }
    all.retain(|path, _| !["opt", "srv"].iter().any(|place| path.starts_with(place)));
    all
}

fn external_store(user: Option<&TestUser>, kind: Kind, size: u64) -> usize {
    let disk = SmallDisk::new(kind, size);
    let stage = Stage::bare(user).external_in(&disk.path());
    stage.own(&disk.path());
    stage.setup();
    let archive = archive(&stage);
    stage.ok(["import", &archive]);
    let packed = content(&stage.layer("packed"));
    let unchanged = || {
        assert_eq!(stage.layers(), ["packed"]);
        assert_same(&content(&stage.layer("packed")), &packed, "a layer that could not be moved");
        all_beneath(stage.external())
    };
    let refusals = until_it_succeeds(&stage, &disk, &["move", "packed"], unchanged);
    let moved = content(&stage.external_layer("packed"));
    assert_same(&lasting(moved), &lasting(packed.clone()), "a moved layer");
    assert_eq!(stage.layers(), ["packed"]);
    assert!(!stage.layer("packed").exists(), "the layer is in both stores");
    stage.ok(["move", "packed"]);
    refusals
}

fn export_target(user: Option<&TestUser>, kind: Kind, size: u64) -> usize {
    let disk = SmallDisk::new(kind, size);
    let stage = Stage::new(user);
    stage.own(&disk.path());
    let archive = archive(&stage);
    stage.ok(["import", &archive]);
    let mut refusals = 0;
    for name in ["out.tar", "out.tar.gz", "out.tar.zst"] {
        let target = disk.path().join(name).display().to_string();
        let unchanged = || all_beneath(&disk.path());
        refusals +=
            until_it_succeeds(&stage, &disk, &["export", "-l", "packed", "-dest", &target], unchanged);
        // Over the file: the old one stays until the new one is whole.
        refusals +=
            until_it_succeeds(&stage, &disk, &["export", "-l", "packed", "-dest", &target], unchanged);
        stage.ok(["import", "--rename", "again", &target]);
        assert_same(&content(&stage.layer("again")), &content(&stage.layer("packed")), name);
    }
    refusals
}

fn home(user: Option<&TestUser>, kind: Kind, size: u64) -> usize {
    let disk = SmallDisk::new(kind, size);
    let stage = Stage::bare(user).home_in(&disk.path());
    stage.own(&disk.path());
    // A folder needs no space any more, its file does.
    let setup = stage.setup_arguments();
    let setup: Vec<&str> = setup.iter().map(String::as_str).collect();
    let configuration = || all_beneath(stage.home());
    let before = configuration();
    let mut refusals = 0;
    disk.fill_but(0);
    let output = stage.output(&setup);
    disk.release();
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(speaks_of_full(&message, &disk.path(), false), "setup with a full home: {message}");
        assert_same(&configuration(), &before, "a half-written configuration");
        refusals += 1;
    }
    stage.setup();
    stage.ok(["create", "kept"]);
    refusals += until_it_succeeds(&stage, &disk, &setup, configuration);
    assert_eq!(stage.layers(), ["kept"]);
    refusals
}
