//! Stores on file systems of other kinds, read-only ones and full ones.

use std::fs;
use std::path::{Path, PathBuf};

use ovmlayer_layers::{Engine, Error, Filter, LayerName, Setup, Store, Volume};

use crate::place::{Place, layer, layers, point};

fn form(store: &Path) -> String {
    fs::read_to_string(store.join("store.json")).unwrap()
}

#[test]
fn a_store_in_memory() {
    let place = Place::on("tmpfs", "size=16m");
    place.set_up();
    assert!(form(&place.runtime()).contains("\"user\""));
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    fs::write(place.merged("m").join("f"), "x").unwrap();
    engine.unmerge(&point("m")).unwrap();
    place.assert_clean();
}

/// A folder on an overlay, as in a container, to be the runtime store; and what to set up there.
fn in_container(place: &Place) -> (PathBuf, Setup) {
    for name in ["lower", "upper", "work", "container"] {
        fs::create_dir(place.path().join(name)).unwrap();
    }
    let at = |name: &str| place.path().join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    place.mount("overlay", &options, &place.path().join("container"));
    let runtime = place.path().join("container/runtime");
    let setup = Setup::Stores {
        runtime: runtime.clone(),
        external: None,
        read_only: Vec::new(),
        rootfs_path: place.rootfs(),
        rootfs_tar: None,
    };
    (runtime, setup)
}

#[test]
fn a_store_on_overlayfs_gets_a_disk_image() {
    let place = Place::bare();
    let (runtime, setup) = in_container(&place);
    for _ in 0..2 {
        let set_up = Engine::setup(&place.env, &setup).unwrap();
        let image = place.path().join("container/runtime.disk.img");
        assert_eq!(set_up.config.volume, Some(Volume::Disk(image)), "{:?}", set_up.notes);
    }
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    fs::write(runtime.join("merged/m/f"), "x").unwrap();
    engine.unmerge(&point("m")).unwrap();
    assert!(runtime.join("layer_dir/a/f").is_file());
    place.assert_clean();
}

#[test]
fn without_a_disk_image_it_is_in_memory() {
    let place = Place::bare();
    let (runtime, setup) = in_container(&place);
    // Something is in the image's place.
    fs::create_dir(place.path().join("container/runtime.disk.img")).unwrap();
    for _ in 0..2 {
        let set_up = Engine::setup(&place.env, &setup).unwrap();
        assert_eq!(set_up.config.volume, Some(Volume::Memory));
    }
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    // After a restart it is empty, and usable at once.
    rustix::mount::unmount(&runtime, rustix::mount::UnmountFlags::empty()).unwrap();
    let engine = place.restarted();
    assert_eq!(engine.list(Filter::All).unwrap(), []);
    engine.create(&layer("a")).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    assert_eq!(engine.fsck(false).unwrap(), []);
}

#[test]
fn a_store_on_ramfs_is_used_as_far_as_it_goes_or_refused() {
    let place = Place::on("ramfs", "mode=0755");
    let set_up = Engine::setup(&place.env, &place.stores()).unwrap();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    engine.merge(&layers(["a"]), &point("m")).unwrap();
    engine.unmerge(&point("m")).unwrap();
    assert!(set_up.config.volume.is_some() || set_up.notes.is_empty(), "{:?}", set_up.notes);
}

#[test]
fn read_only_stores_and_mounts_are_read() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["shipped", "own"] {
        engine.create(&layer(name)).unwrap();
    }
    let image = place.path().join("image");
    fs::create_dir(&image).unwrap();
    fs::create_dir_all(image.join("layer_dir")).unwrap();
    fs::rename(place.layer("shipped"), image.join("layer_dir/shipped")).unwrap();
    fs::write(image.join("layer_dir/shipped/file"), "shipped").unwrap();
    let mut config = place.config();
    config.read_only.push(image.clone());
    config.write(&place.env).unwrap();
    let engine = place.engine();
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["own", "shipped"]));
    engine.merge(&layers(["shipped", "own"]), &point("m")).unwrap();
    assert_eq!(fs::read_to_string(place.merged("m").join("file")).unwrap(), "shipped");
    assert_eq!(engine.list(Filter::Used).unwrap(), layers(["own", "shipped"]));
    engine.unmerge(&point("m")).unwrap();
    assert!(matches!(engine.delete(&layer("shipped")), Err(Error::ReadOnly { .. })));
    let top = engine.merge(&layers(["own", "shipped"]), &point("m"));
    assert!(matches!(top, Err(Error::TopNotWritable { .. })));
    assert!(matches!(engine.create(&layer("shipped")), Err(Error::Exists { .. })));
    place.assert_clean();
    assert!(Store::layer_path(&engine.stores()[2], &layer("shipped")).is_dir());
}

#[test]
fn a_runtime_store_that_became_read_only_still_lists() {
    let place = Place::on("tmpfs", "size=16m");
    place.set_up();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    place.mount("tmpfs", "remount,ro", &place.runtime());
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["a"]));
    assert_eq!(engine.list(Filter::Used).unwrap(), []);
    assert_eq!(engine.merge_points().unwrap(), []);
    for error in [
        engine.create(&layer("b")).unwrap_err(),
        engine.delete(&layer("a")).unwrap_err(),
        engine.merge(&layers(["a"]), &point("m")).unwrap_err(),
        engine.gc().unwrap_err(),
        Engine::test_system(&place.env).unwrap_err(),
    ] {
        assert!(matches!(&error, Error::ReadOnly { .. }), "{error}");
    }
    place.mount("tmpfs", "remount,rw", &place.runtime());
    place.assert_clean();
}

#[test]
fn a_lower_that_was_removed_underneath_is_named() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "b"] {
        engine.create(&layer(name)).unwrap();
    }
    fs::remove_dir(place.layer("a")).unwrap();
    let error = engine.merge(&layers(["a", "b"]), &point("m")).unwrap_err();
    assert!(matches!(&error, Error::UnknownLayer { name } if *name == layer("a")), "{error}");
    fs::rename(place.rootfs(), place.path().join("elsewhere")).unwrap();
    let error = engine.merge(&layers(["b"]), &point("m")).unwrap_err();
    assert!(matches!(error, Error::NoRootfs { .. }), "{error}");
    assert!(matches!(Engine::test_system(&place.env), Err(Error::NoRootfs { .. })));
    fs::rename(place.path().join("elsewhere"), place.rootfs()).unwrap();
    Engine::test_system(&place.env).unwrap();
    place.assert_clean();
}

/// Every write that can fail does so once: the number of inodes is bounded, and one more is given at each round.
#[test]
fn a_full_disk_leaves_nothing_half_made() {
    let place = Place::on("tmpfs", "size=16m");
    place.set_up();
    let engine = place.engine();
    engine.create(&layer("low")).unwrap();
    engine.create(&layer("top")).unwrap();
    for number in 0..20 {
        fs::write(place.layer("low").join(number.to_string()), "x").unwrap();
    }
    let used = inodes(&place.runtime());
    let mut failures = 0;
    for free in 0..40 {
        place.mount("tmpfs", &format!("remount,nr_inodes={}", used + free), &place.runtime());
        let attempts: [&dyn Fn() -> Result<(), Error>; 3] = [
            &|| engine.create(&layer("new")),
            &|| engine.merge(&layers(["low", "top"]), &point("m")).map(drop),
            &|| engine.flatten(&layers(["low", "top"]), &layer("flat")),
        ];
        for attempt in attempts {
            match attempt() {
                Ok(()) => {}
                Err(error) => {
                    failures += 1;
                    // That of a mount is the kernel's own.
                    assert!(matches!(error, Error::NoSpace { .. } | Error::Sandbox { .. }), "{error:?}");
                }
            }
            engine.unmerge(&point("m")).unwrap();
            let names: Vec<String> =
                engine.list(Filter::All).unwrap().iter().map(LayerName::to_string).collect();
            for name in names.iter().filter(|name| *name == "flat") {
                assert_eq!(fs::read_dir(place.layer(name)).unwrap().count(), 20);
            }
            engine.delete(&layer("new")).unwrap();
            engine.delete(&layer("flat")).unwrap();
            place.assert_clean();
            assert_eq!(inodes(&place.runtime()), used, "something was left with {free} inodes");
        }
    }
    assert!(failures > 20, "{failures}");
}

fn inodes(path: &Path) -> u64 {
    let status = rustix::fs::statvfs(path).unwrap();
    status.f_files - status.f_ffree
}
