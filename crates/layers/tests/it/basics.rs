//! Making, merging and removing layers: contract 2.1, 2.2 and 2.6.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};

use ovmlayer_layers::{Deleted, Engine, Error, Filter, LayerName, Place as Where, Unmerged};

use crate::place::{Place, layer, layers, point};

fn create(engine: &Engine, names: &[&str]) {
    for name in names {
        engine.create(&layer(name)).unwrap();
    }
}

fn names(list: &[LayerName]) -> Vec<&str> {
    list.iter().map(LayerName::as_str).collect()
}

#[test]
fn the_first_layer_is_lowest_and_the_last_is_written_to() {
    let place = Place::root();
    let engine = place.engine();
    create(&engine, &["l1", "l2", "l3"]);
    for name in ["l1", "l2"] {
        fs::write(place.layer(name).join("same"), name).unwrap();
        fs::write(place.layer(name).join(name), name).unwrap();
    }
    let merged = engine.merge(&layers(["l1", "l2", "l3"]), &point("m")).unwrap();
    assert_eq!(merged.path, place.merged("m"));
    assert_eq!(merged.warnings, [""; 0]);
    assert_eq!(fs::read_to_string(merged.path.join("same")).unwrap(), "l2");
    assert_eq!(fs::read_to_string(merged.path.join("l1")).unwrap(), "l1");
    // The rootfs is below, though nobody named it.
    assert_eq!(fs::read_to_string(merged.path.join("etc/os-release")).unwrap(), "ID=test\n");
    fs::write(merged.path.join("new"), "x").unwrap();
    fs::write(merged.path.join("same"), "l3").unwrap();
    fs::remove_file(merged.path.join("etc/os-release")).unwrap();
    assert_eq!(fs::read_to_string(place.layer("l3").join("same")).unwrap(), "l3");
    assert_eq!(fs::read_to_string(place.layer("l2").join("same")).unwrap(), "l2");
    assert!(place.layer("l3").join("new").is_file());
    let whiteout = fs::symlink_metadata(place.layer("l3").join("etc/os-release")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert!(place.rootfs().join("etc/os-release").is_file());
    assert_eq!(engine.unmerge(&point("m")).unwrap(), Unmerged::Gone);
    assert!(!place.merged("m").exists());
    place.assert_clean();
}

#[test]
fn a_new_layer_is_dressed_as_the_root_is() {
    let place = Place::root();
    fs::set_permissions(place.rootfs(), fs::Permissions::from_mode(0o751)).unwrap();
    std::os::unix::fs::chown(place.rootfs(), Some(3), Some(4)).unwrap();
    let engine = place.engine();
    create(&engine, &["l"]);
    let status = fs::metadata(place.layer("l")).unwrap();
    assert_eq!((status.mode() & 0o7777, status.uid(), status.gid()), (0o751, 3, 4));
    engine.merge(&layers(["l"]), &point("m")).unwrap();
    let seen = fs::metadata(place.merged("m").join("tmp")).unwrap();
    assert_eq!(seen.mode() & 0o7777, 0o1777);
}

#[test]
fn errors_are_where_the_contract_has_them() {
    let place = Place::root();
    let engine = place.engine();
    create(&engine, &["a", "b"]);
    assert!(matches!(engine.create(&layer("a")), Err(Error::Exists { .. })));
    assert_eq!(engine.delete(&layer("none")).unwrap(), Deleted::Missing);
    assert_eq!(engine.unmerge(&point("none")).unwrap(), Unmerged::Unknown);
    assert!(matches!(engine.merge(&layers(["none"]), &point("m")), Err(Error::UnknownLayer { .. })));
    assert!(matches!(
        engine.merge(&layers(["a", "none", "b"]), &point("m")),
        Err(Error::UnknownLayer { .. })
    ));
    assert!(matches!(engine.merge(&layers(["a", "b", "a"]), &point("m")), Err(Error::Twice { .. })));
    assert!(matches!(engine.merge(&[], &point("m")), Err(Error::NoLayers)));
    assert!(matches!(engine.join(&point("m")), Err(Error::UnknownPoint { .. })));
    engine.merge(&layers(["a", "b"]), &point("m")).unwrap();
    assert!(matches!(engine.merge(&layers(["a"]), &point("m")), Err(Error::PointExists { .. })));
    for name in ["a", "b"] {
        let error = engine.delete(&layer(name)).unwrap_err();
        assert!(matches!(&error, Error::Used { point, .. } if point == "m"), "{error}");
    }
    let error = engine.merge(&layers(["b"]), &point("m2")).unwrap_err();
    assert!(matches!(&error, Error::Used { point, .. } if point == "m"), "{error}");
    assert!(matches!(engine.merge_points().unwrap()[..], [ref only] if only.name == point("m")));
    engine.unmerge(&point("m")).unwrap();
    for name in ["a", "b"] {
        assert_eq!(engine.delete(&layer(name)).unwrap(), Deleted::Gone);
    }
    assert_eq!(engine.list(Filter::All).unwrap(), []);
    place.assert_clean();
}

#[test]
fn used_is_any_position_of_any_live_merge_point() {
    let place = Place::root();
    let engine = place.engine();
    create(&engine, &["a", "b", "c", "d", "e"]);
    fs::create_dir(place.runtime().join("layer_dir/base_rootfs")).unwrap();
    assert_eq!(names(&engine.list(Filter::Unused).unwrap()), ["a", "b", "c", "d", "e"]);
    engine.merge(&layers(["c", "a"]), &point("m1")).unwrap();
    engine.merge(&layers(["c", "d"]), &point("m2")).unwrap();
    assert_eq!(names(&engine.list(Filter::Used).unwrap()), ["a", "c", "d"]);
    assert_eq!(names(&engine.list(Filter::Unused).unwrap()), ["b", "e"]);
    assert_eq!(names(&engine.list(Filter::All).unwrap()), ["a", "b", "c", "d", "e"]);
    let points = engine.merge_points().unwrap();
    assert_eq!(points.len(), 2);
    assert_eq!((names(&points[0].layers), points[0].place), (vec!["c", "a"], Where::Here));
    engine.unmerge(&point("m1")).unwrap();
    assert_eq!(names(&engine.list(Filter::Used).unwrap()), ["c", "d"]);
    // A record of another merge point proves nothing.
    engine.unmerge(&point("m2")).unwrap();
    assert_eq!(engine.list(Filter::Used).unwrap(), []);
}

/// Contract 2.1, the last point: `inject_runtime_layer` of oocana.
#[test]
fn injection_flow() {
    let place = Place::root();
    let engine = place.engine();
    create(&engine, &["src", "boot", "tmp", "inj"]);
    fs::create_dir_all(place.layer("src").join("app/node_modules/x")).unwrap();
    engine.merge(&layers(["src", "boot"]), &point("build")).unwrap();
    fs::write(place.merged("build").join("app/node_modules/x/built"), "boot").unwrap();
    engine.unmerge(&point("build")).unwrap();
    engine.merge(&layers(["src", "boot", "tmp"]), &point("mp1")).unwrap();
    engine.merge(&layers(["src", "boot", "inj"]), &point("mp2")).unwrap();
    fs::write(place.merged("mp2").join("app/node_modules/injected"), "inj").unwrap();
    fs::remove_file(place.merged("mp2").join("app/node_modules/x/built")).unwrap();
    engine.unmerge(&point("mp2")).unwrap();
    assert!(place.merged("mp1").join("app/node_modules/x/built").is_file());
    engine.unmerge(&point("mp1")).unwrap();
    engine.merge(&layers(["src", "boot", "inj", "tmp"]), &point("mp1")).unwrap();
    let inside = place.merged("mp1").join("app/node_modules");
    assert_eq!(fs::read_to_string(inside.join("injected")).unwrap(), "inj");
    assert!(inside.join("x").is_dir() && !inside.join("x/built").exists());
    // A layer that was written to is below other neighbours, and the reverse.
    engine.unmerge(&point("mp1")).unwrap();
    engine.merge(&layers(["inj", "src"]), &point("mp1")).unwrap();
    fs::write(place.merged("mp1").join("app/node_modules/again"), "src").unwrap();
    assert!(place.layer("src").join("app/node_modules/again").is_file());
    engine.unmerge(&point("mp1")).unwrap();
    place.assert_clean();
}

#[test]
fn each_upper_is_complete_by_itself() {
    let place = Place::root();
    let engine = place.engine();
    create(&engine, &["low", "top"]);
    fs::create_dir(place.layer("low").join("dir")).unwrap();
    fs::write(place.layer("low").join("dir/file"), "content").unwrap();
    engine.merge(&layers(["low", "top"]), &point("m")).unwrap();
    let merged = place.merged("m");
    // redirect_dir=off: programs such as mv copy instead.
    let renamed = fs::rename(merged.join("dir"), merged.join("dir2"));
    assert_eq!(renamed.unwrap_err().kind(), std::io::ErrorKind::CrossesDevices);
    // metacopy=off: a change of the mode takes the contents along.
    fs::set_permissions(merged.join("dir/file"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::read_to_string(place.layer("top").join("dir/file")).unwrap(), "content");
    engine.unmerge(&point("m")).unwrap();
}

#[test]
fn delete_all_unmounts_and_leaves_the_rootfs() {
    let place = Place::root();
    let engine = place.engine();
    create(&engine, &["a", "b", "c"]);
    engine.move_to_external(&layer("c")).unwrap();
    engine.merge(&layers(["a", "b"]), &point("m")).unwrap();
    assert_eq!(names(&engine.delete_all().unwrap()), ["a", "b"]);
    assert_eq!(names(&engine.list(Filter::All).unwrap()), ["c"]);
    assert!(engine.delete_all().unwrap().is_empty());
    create(&engine, &["a"]);
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    assert!(place.merged("m").join("bin/busybox").is_file());
}

#[test]
fn a_busy_merge_point_is_detached_and_its_name_is_free() {
    let place = Place::root();
    let engine = place.engine();
    create(&engine, &["a", "b"]);
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    let open = fs::File::create(place.merged("m").join("file")).unwrap();
    assert_eq!(engine.unmerge(&point("m")).unwrap(), Unmerged::Detached);
    assert_eq!(engine.list(Filter::Used).unwrap(), []);
    engine.merge(&layers(["b"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    // The detached mount still writes to `a`, so nothing else may.
    let error = engine.merge(&layers(["a"]), &point("m")).unwrap_err();
    assert!(matches!(error, Error::UpperInUse { .. }), "{error}");
    engine.gc().unwrap();
    fs::write(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open)), "still there").unwrap();
    drop(open);
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    engine.gc().unwrap();
    place.assert_clean();
}

#[test]
fn a_deep_stack_warns_and_too_deep_a_one_is_an_error() {
    let place = Place::root();
    let engine = place.engine();
    let many: Vec<LayerName> = (0..501).map(|number| layer(&format!("l{number:03}"))).collect();
    for name in &many {
        engine.create(name).unwrap();
    }
    fs::write(place.layer("l000").join("lowest"), "x").unwrap();
    assert!(engine.merge(&many[..32], &point("m")).unwrap().warnings.is_empty());
    engine.unmerge(&point("m")).unwrap();
    let deep = engine.merge(&many[..500], &point("m")).unwrap();
    assert!(deep.warnings[0].contains("flatten"), "{:?}", deep.warnings);
    assert!(place.merged("m").join("lowest").is_file());
    assert_eq!(engine.list(Filter::Used).unwrap().len(), 500);
    engine.unmerge(&point("m")).unwrap();
    assert!(matches!(engine.merge(&many, &point("m")), Err(Error::TooDeep { count: 501, .. })));
    engine.flatten(&many, &layer("flat")).unwrap();
    assert!(place.layer("flat").join("lowest").is_file());
}
