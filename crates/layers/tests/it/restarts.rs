//! After a restart of the machine: mounts are gone, leases are stale, everything is usable at once.

use std::fs;
use std::process::Command;

use ovmlayer_layers::{Engine, Environment, Filter, Problem, Setup, Unmerged, Volume};

use crate::place::{Place, layer, layers, point};

/// Takes the mounts away that a restart would.
fn unmount(target: &std::path::Path) {
    assert!(Command::new("umount").arg(target).status().unwrap().success());
}

#[test]
fn stale_leases_block_nothing() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "b", "c"] {
        engine.create(&layer(name)).unwrap();
    }
    engine.merge(&layers(["a", "b"]), &point("m1")).unwrap();
    engine.merge(&layers(["a", "c"]), &point("m2")).unwrap();
    unmount(&place.merged("m1"));
    unmount(&place.merged("m2"));
    let engine = place.restarted();
    assert_eq!(engine.merge_points().unwrap(), []);
    assert_eq!(engine.list(Filter::Used).unwrap(), []);
    engine.merge(&layers(["a", "b"]), &point("m1")).unwrap();
    assert_eq!(engine.list(Filter::Used).unwrap(), layers(["a", "b"]));
    assert_eq!(engine.unmerge(&point("m2")).unwrap(), Unmerged::Unknown);
    engine.delete(&layer("c")).unwrap();
    engine.unmerge(&point("m1")).unwrap();
    engine.fsck(true).unwrap();
    assert_eq!(engine.fsck(false).unwrap(), []);
}

#[test]
fn fsck_names_what_a_restart_left_and_repairs_it() {
    let place = Place::root();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    fs::write(place.merged("m").join("kept"), "x").unwrap();
    unmount(&place.merged("m"));
    let engine = place.restarted();
    let problems: Vec<_> = engine.fsck(false).unwrap().iter().map(|finding| finding.problem).collect();
    assert_eq!(problems, [Problem::StaleLease, Problem::IdleMergePoint, Problem::IdleWork]);
    assert!(engine.fsck(true).unwrap().iter().all(|finding| finding.repaired));
    assert_eq!(engine.fsck(false).unwrap(), []);
    assert!(place.layer("a").join("kept").is_file());
}

#[test]
fn damaged_records_prove_nothing() {
    let place = Place::root();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    for text in ["", "{", "null", "{\"format\":1}", "\0\0\0"] {
        fs::write(place.runtime().join("lease/m.json"), text).unwrap();
        assert_eq!(engine.list(Filter::Used).unwrap(), []);
        fs::write(place.runtime().join("lease/m.json"), text).unwrap();
        engine.merge(&layers(["a"]), &point("m")).unwrap();
        // The mount is what counts.
        fs::write(place.runtime().join("lease/m.json"), text).unwrap();
        assert_eq!(engine.list(Filter::Used).unwrap(), layers(["a"]));
        engine.unmerge(&point("m")).unwrap();
    }
    engine.gc().unwrap();
    place.assert_clean();
}

#[test]
fn the_disk_image_is_mounted_again() {
    let place = Place::bare();
    let tar = place.path().join("rootfs.tar");
    assert!(
        Command::new("tar")
            .arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(place.rootfs())
            .arg(".")
            .status()
            .unwrap()
            .success()
    );
    let disk = place.path().join("disk");
    let dev = Setup::Dev { base_rootfs: tar, layer_disk: disk.clone() };
    let set_up = Engine::setup(&place.env, &dev).unwrap();
    assert_eq!(set_up.config.volume, Some(Volume::Disk(disk.clone())), "{:?}", set_up.notes);
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    let opt = &place.env.default_store;
    assert!(opt.join("layer_dir/base_rootfs/bin/busybox").is_file());
    unmount(&opt.join("merged/m"));
    unmount(opt);
    assert!(!opt.join("layer_dir").exists());
    let env = Environment { boot_id: "another".to_owned(), ..place.env.clone() };
    // Whoever comes first mounts it, once.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(Engine::open(&env).unwrap().list(Filter::All).unwrap(), layers(["a"]));
            });
        }
    });
    let engine = Engine::open(&env).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert_eq!(mounts.lines().filter(|line| line.contains(&*opt.to_string_lossy())).count(), 1);
    let again = Engine::setup(&env, &dev).unwrap();
    assert_eq!(again.config, set_up.config);
    assert_eq!(Engine::open(&env).unwrap().list(Filter::All).unwrap(), layers(["a"]));
    unmount(opt);
}
