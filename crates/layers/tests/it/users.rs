//! An ordinary user without sudo has the same features; the mounts are kept by a process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use ovmlayer_layers::{Environment, Filter, Place as Where};

use crate::place::{Place, layers, point};

#[test]
fn a_user_makes_merges_and_removes_layers() {
    let place = Place::user();
    place.ok(["create", "l1", "l2"]);
    place.ok(["in-layer", "l1", "echo low > file; chown 5:6 file; mkdir -p usr/lib/node_modules/x"]);
    place.ok(["merge", "m", "l1", "l2"]);
    assert_eq!(place.ok(["points"]), "m [\"l1\", \"l2\"]\n");
    assert_eq!(place.ok(["list", "used"]), "l1\nl2\n");
    assert_eq!(place.ok(["exec", "m", "cat file etc/os-release; stat -c %u:%g file"]), "low\nID=test\n5:6\n");
    place.ok([
        "exec",
        "m",
        "echo top > new; rm -r usr/lib/node_modules; mkdir usr/lib/node_modules; chown 7 new",
    ]);
    assert!(place.fails(["delete", "l1"]).contains("merge point `m` uses it"));
    assert!(place.fails(["merge", "m", "l1"]).contains("exists already"));
    assert!(place.fails(["merge", "m2", "l2"]).contains("merge point `m` uses it"));
    assert!(place.fails(["merge", "m2", "none"]).contains("there is no layer `none`"));
    assert_eq!(place.ok(["unmerge", "m"]), "Gone\n");
    assert_eq!(place.ok(["unmerge", "m"]), "Unknown\n");
    assert_eq!(place.ok(["list", "used"]), "");
    assert!(place.layer("l2").join("new").is_file());
    // The opaque directory that was made hides the lower one again.
    place.ok(["create", "l3"]);
    place.ok(["merge", "m", "l1", "l2", "l3"]);
    assert_eq!(place.ok(["exec", "m", "ls usr/lib/node_modules"]), "");
    place.ok(["unmerge", "m"]);
    place.ok(["delete", "l1", "l2", "l3"]);
    place.ok(["gc"]);
    place.assert_clean();
    assert_eq!(place.ok(["list"]), "");
}

#[test]
fn two_merge_points_share_lowers_and_live_side_by_side() {
    let place = Place::user();
    place.ok(["create", "low", "a", "b"]);
    place.ok(["merge", "ma", "low", "a"]);
    place.ok(["merge", "mb", "low", "b"]);
    place.ok(["exec", "ma", "echo a > only"]);
    assert_eq!(place.ok(["exec", "mb", "cat only 2>/dev/null || echo none"]), "none\n");
    place.ok(["unmerge", "ma"]);
    assert_eq!(place.ok(["points"]), "mb [\"low\", \"b\"]\n");
    assert_eq!(place.ok(["delete-all"]), "a\nb\nlow\n");
    place.assert_clean();
}

#[test]
fn a_holder_that_was_killed_leaves_nothing_in_the_way() {
    let place = Place::user();
    place.ok(["create", "a", "b"]);
    place.ok(["merge", "m", "a"]);
    let env = Environment { home: Some(place.path().to_owned()), ..place.env.clone() };
    let points = ovmlayer_layers::Engine::open(&env).unwrap().merge_points().unwrap();
    let Where::Holder { pid } = points[0].place else { panic!("{points:?}") };
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let watched = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::pidfd_send_signal(&watched, rustix::process::Signal::KILL).unwrap();
    let mut ended = [rustix::event::PollFd::new(&watched, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut ended, None).unwrap();
    assert_eq!(place.ok(["list", "used"]), "");
    place.ok(["merge", "m", "b", "a"]);
    place.ok(["unmerge", "m"]);
    place.ok(["delete", "a", "b"]);
    place.ok(["gc"]);
    place.assert_clean();
}

#[test]
fn a_users_store_merged_by_root_keeps_its_opaque_directories() {
    let place = Place::user();
    place.ok(["create", "low", "top"]);
    place.ok(["in-layer", "low", "mkdir -p d; touch d/hidden"]);
    place.ok(["merge", "m", "low", "top"]);
    place.ok(["exec", "m", "rm -r d; mkdir d; touch d/seen"]);
    place.ok(["unmerge", "m"]);
    place.ok(["create", "above"]);
    let engine = place.engine();
    let merged = engine.merge(&layers(["low", "top", "above"]), &point("r")).unwrap();
    let names: Vec<_> =
        fs::read_dir(merged.path.join("d")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["seen"]);
    assert!(merged.warnings[0].contains("other owners"), "{:?}", merged.warnings);
    // The user sees that root uses them.
    assert_eq!(place.ok(["list", "used"]), "above\nlow\ntop\n");
    assert!(place.fails(["delete", "low"]).contains("merge point `r` uses it"));
    assert!(place.fails(["merge", "m", "above"]).contains("merge point `r`"));
    engine.unmerge(&point("r")).unwrap();
    assert_eq!(engine.list(Filter::Used).unwrap(), []);
}

#[test]
fn a_user_moves_and_flattens() {
    let place = Place::user();
    place.ok(["create", "a", "b"]);
    place.ok(["in-layer", "a", "echo 1 > f; chown 5:6 f; touch gone; ln f g"]);
    place.ok(["merge", "m", "a", "b"]);
    place.ok(["exec", "m", "rm gone; echo 2 >> f"]);
    place.ok(["unmerge", "m"]);
    place.ok(["flatten", "flat", "a", "b"]);
    assert_eq!(place.ok(["move", "a"]), "Folder\n");
    assert_eq!(place.ok(["move", "a"]), "Already\n");
    let moved = place.external().join("layer_dir/a");
    let (f, g) = (fs::metadata(moved.join("f")).unwrap(), fs::metadata(moved.join("g")).unwrap());
    assert_eq!((f.ino(), f.nlink()), (g.ino(), 2));
    place.ok(["create", "top"]);
    place.ok(["merge", "m", "flat", "top"]);
    assert_eq!(place.ok(["exec", "m", "cat f; stat -c %u:%g f; test ! -e gone"]), "1\n2\n5:6\n");
    place.ok(["unmerge", "m"]);
    place.ok(["merge", "m", "a", "top"]);
    assert_eq!(place.ok(["exec", "m", "cat f; test -e gone"]), "1\n");
    place.ok(["unmerge", "m"]);
    place.ok(["delete", "a"]);
    place.ok(["test"]);
    place.assert_clean();
}

#[test]
fn a_user_unpacks_a_rootfs_with_its_owners() {
    let place = Place::bare();
    let root = place.rootfs();
    fs::write(root.join("etc/owned"), "x").unwrap();
    std::os::unix::fs::chown(root.join("etc/owned"), Some(42), Some(43)).unwrap();
    let tar = place.path().join("rootfs.tar");
    let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&root).arg(".").status().unwrap();
    assert!(made.success());
    fs::remove_dir_all(&root).unwrap();
    let place = place.given_to_user();
    for _ in 0..2 {
        place.ok(["setup".as_ref(), place.runtime().as_os_str(), root.as_os_str()]);
    }
    place.ok(["create", "a"]);
    place.ok(["merge", "m", "a"]);
    assert_eq!(place.ok(["exec", "m", "stat -c %u:%g etc/owned; stat -c %a tmp"]), "42:43\n1777\n");
    place.ok(["unmerge", "m"]);
    place.ok(["test"]);
}
