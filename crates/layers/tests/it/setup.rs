//! `setup` in all its dialects (contract 1.3), repeated, interrupted and refused.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ovmlayer_layers::{Config, Engine, Error, Filter, Setup};

use crate::place::{Place, layer, layers, point};

/// The rootfs as a tar, with owners, capabilities and a device node.
fn rootfs_tar(place: &Place, option: &str) -> PathBuf {
    let tar = place.path().join("rootfs.tar");
    let root = place.rootfs();
    fs::write(root.join("etc/owned"), "x").unwrap();
    std::os::unix::fs::chown(root.join("etc/owned"), Some(42), Some(43)).unwrap();
    let script = "setcap cap_net_raw+ep bin/busybox; mknod -m 666 dev/null c 1 3; ln etc/owned etc/hard; ln -s usr/lib lib";
    assert!(Command::new("sh").args(["-ec", script]).current_dir(&root).status().unwrap().success());
    let mut command = Command::new("tar");
    command.args(["--xattrs", "--xattrs-include=*", option, "-cf"]).arg(&tar).arg("-C").arg(&root).arg(".");
    assert!(command.status().unwrap().success());
    fs::rename(&root, place.path().join("original")).unwrap();
    tar
}

fn assert_rootfs(root: &Path) {
    let status = fs::metadata(root.join("etc/owned")).unwrap();
    assert_eq!((status.uid(), status.gid(), status.nlink()), (42, 43, 2));
    let mut capability = [0; 64];
    assert!(
        rustix::fs::getxattr(root.join("bin/busybox"), "security.capability", &mut capability[..]).is_ok()
    );
    assert_eq!(fs::metadata(root.join("tmp")).unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(fs::metadata(root.join("root")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::read_link(root.join("bin/sh")).unwrap(), Path::new("busybox"));
}

#[test]
fn stores_with_a_tar_and_a_path() {
    for option in ["--no-auto-compress", "--gzip", "--xz", "--zstd"] {
        let place = Place::bare();
        let setup = Setup::Stores {
            runtime: place.runtime(),
            external: Some(place.external()),
            read_only: Vec::new(),
            rootfs_tar: Some(rootfs_tar(&place, option)),
            rootfs_path: place.rootfs(),
        };
        let first = Engine::setup(&place.env, &setup).unwrap();
        assert_eq!(first.notes.len(), 1, "{:?}", first.notes);
        assert!(first.notes[0].starts_with("1 device nodes"));
        assert_rootfs(&place.rootfs());
        place.engine().create(&layer("kept")).unwrap();
        fs::write(place.rootfs().join("mine"), "x").unwrap();
        // The container starts again, with the tar or without it.
        let again = Engine::setup(&place.env, &setup).unwrap();
        assert_eq!(again.config, first.config);
        assert!(again.notes[0].contains("was kept"));
        place.set_up();
        assert!(place.rootfs().join("mine").is_file());
        assert_eq!(place.engine().list(Filter::All).unwrap(), layers(["kept"]));
        Engine::test_system(&place.env).unwrap();
        let left: Vec<_> =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".ovmlayer-")), "{left:?}");
    }
}

#[test]
fn production_unpacks_below_the_default_store() {
    let place = Place::bare();
    let setup = Setup::Production { base_rootfs: rootfs_tar(&place, "--no-auto-compress") };
    let opt = place.env.default_store.clone();
    fs::create_dir(&opt).unwrap();
    for _ in 0..2 {
        Engine::setup(&place.env, &setup).unwrap();
        assert_rootfs(&opt.join("layer_dir/base_rootfs"));
    }
    Engine::test_system(&place.env).unwrap();
    let engine = place.engine();
    assert_eq!(engine.list(Filter::All).unwrap(), []);
    engine.create(&layer("executor")).unwrap();
    assert!(opt.join("layer_dir/executor").is_dir());
    // A new container has the volume and no configuration.
    let env = ovmlayer_layers::Environment {
        home: Some("/nowhere".into()),
        passwd_home: None,
        ..place.env.clone()
    };
    let engine = Engine::open(&env).unwrap();
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["executor"]));
    let merged = engine.merge(&layers(["executor"]), &point("m")).unwrap();
    assert!(merged.path.join("bin/busybox").is_file());
    engine.unmerge(&point("m")).unwrap();
    assert_eq!(engine.fsck(false).unwrap(), []);
}

#[test]
fn nothing_set_up_is_said_so() {
    let place = Place::bare();
    let error = Engine::open(&place.env).unwrap_err();
    assert!(matches!(&error, Error::NotSetUp { .. }), "{error}");
    assert!(Engine::test_system(&place.env).is_err());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "something was made");
}

#[test]
fn a_rootfs_is_needed() {
    let place = Place::bare();
    fs::remove_dir_all(place.rootfs()).unwrap();
    let error = Engine::setup(&place.env, &place.stores()).unwrap_err();
    assert!(matches!(error, Error::NoRootfs { .. }), "{error}");
    assert_eq!(Config::read(&place.env).unwrap(), None);
}

#[test]
fn a_bad_tar_leaves_no_rootfs_and_no_configuration() {
    let place = Place::bare();
    let good = fs::read(rootfs_tar(&place, "--no-auto-compress")).unwrap();
    let hostile = place.path().join("hostile.tar");
    let mut builder = Command::new("tar");
    builder.args(["-P", "--transform=s,^,../../,", "-cf"]).arg(&hostile).arg("/etc/hostname");
    assert!(builder.status().unwrap().success());
    fs::write(place.path().join("cut.tar"), &good[..good.len() / 2]).unwrap();
    for name in ["hostile.tar", "cut.tar", "missing.tar"] {
        let Setup::Stores { runtime, external, read_only, rootfs_path, .. } = place.stores() else {
            panic!()
        };
        let rootfs_tar = Some(place.path().join(name));
        let setup = Setup::Stores { runtime, external, read_only, rootfs_path, rootfs_tar };
        assert!(Engine::setup(&place.env, &setup).is_err(), "{name}");
        assert!(!place.rootfs().exists());
        assert_eq!(Config::read(&place.env).unwrap(), None);
    }
}

#[test]
fn an_interrupted_unpacking_is_done_again() {
    let place = Place::bare();
    let tar = rootfs_tar(&place, "--no-auto-compress");
    let Setup::Stores { runtime, external, read_only, rootfs_path, .. } = place.stores() else { panic!() };
    let setup = Setup::Stores { runtime, external, read_only, rootfs_path, rootfs_tar: Some(tar) };
    fs::create_dir_all(place.path().join(".ovmlayer-unpacking-0123/etc")).unwrap();
    Engine::setup(&place.env, &setup).unwrap();
    assert!(!place.path().join(".ovmlayer-unpacking-0123").exists());
    assert_rootfs(&place.rootfs());
}

#[test]
fn a_rootfs_on_a_mount_point_is_filled() {
    let place = Place::bare();
    let tar = rootfs_tar(&place, "--no-auto-compress");
    fs::create_dir(place.rootfs()).unwrap();
    place.mount("tmpfs", "size=32m,mode=0700", &place.rootfs());
    // An earlier attempt was killed while it moved things to their places.
    fs::create_dir_all(place.rootfs().join(".ovmlayer-unpacking-0123/etc")).unwrap();
    fs::create_dir_all(place.rootfs().join("half")).unwrap();
    let Setup::Stores { runtime, external, read_only, rootfs_path, .. } = place.stores() else { panic!() };
    let setup = Setup::Stores { runtime, external, read_only, rootfs_path, rootfs_tar: Some(tar) };
    Engine::setup(&place.env, &setup).unwrap();
    assert_rootfs(&place.rootfs());
    assert!(!place.rootfs().join("half").exists());
    assert_eq!(fs::metadata(place.rootfs()).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn the_configuration_keeps_its_link() {
    let place = Place::bare();
    let real = place.path().join("real.json");
    symlink(&real, place.path().join(".ovmlayer_cfg.json")).unwrap();
    place.set_up();
    assert!(place.path().join(".ovmlayer_cfg.json").is_symlink() && real.is_file());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn the_external_store_is_another_one() {
    let place = Place::bare();
    let Setup::Stores { runtime, read_only, rootfs_path, rootfs_tar, .. } = place.stores() else { panic!() };
    let external = Some(runtime.clone());
    let setup = Setup::Stores { runtime, external, read_only, rootfs_path, rootfs_tar };
    assert!(matches!(Engine::setup(&place.env, &setup), Err(Error::Setup { .. })));
}
