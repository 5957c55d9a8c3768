//! What file systems are and can keep.

use std::fs;
use std::path::Path;
use std::process::Command;

use ovmlayer_sandbox::file_system::{Abilities, FileSystem, abilities, file_system};
use ovmlayer_sandbox::overlay::Xattrs;
use ovmlayer_sandbox::{disk, mounts};

use crate::place::{Place, overlay};
use crate::support::Who;

const EVERYTHING: Abilities = Abilities {
    user_xattrs: true,
    trusted_xattrs: true,
    capabilities: true,
    whiteouts: true,
    devices: true,
    owners: true,
    upper_user: true,
    upper_trusted: true,
};

fn mount(kind: &str, options: &str, source: &Path, target: &Path) {
    let mut command = Command::new("mount");
    command.args(["-t", kind, "-o", options]).arg(source).arg(target);
    assert!(command.status().unwrap().success(), "{kind}");
}

#[test]
fn each_file_system_is_known_and_tried() {
    let place = Place::new();
    let at = place.directory("m");
    let known = |kind, network| FileSystem { kind, network, read_only: false };
    let asked = || (file_system(&at).unwrap(), abilities(&at).unwrap());

    mount("tmpfs", "size=1m", Path::new("tmpfs"), &at);
    assert_eq!(asked(), (known("tmpfs", false), EVERYTHING));
    // It can keep everything, and yet is no place for an upper.
    let on_memory = |name| {
        fs::create_dir(at.join(name)).unwrap();
        at.join(name)
    };
    let (lower, merged) = (on_memory("lower"), place.directory("merged"));
    let upper = ovmlayer_sandbox::overlay::Upper { upper: on_memory("upper"), work: on_memory("work") };
    overlay(&[&lower], Some(upper)).mount(&merged).unwrap();
    let inside = abilities(&merged).unwrap();
    assert_eq!(file_system(&merged).unwrap(), known("overlay", false));
    assert!(!inside.upper_user && !inside.upper_trusted && inside.owners && inside.devices, "{inside:?}");
    assert_eq!(inside.xattrs(), None);
    mounts::unmount(&merged, false).unwrap();
    assert_eq!(fs::read_dir(at.join("upper")).unwrap().count(), 0);
    mounts::unmount(&at, false).unwrap();

    let image = place.path().join("image");
    disk::create(&image, 16 << 20).unwrap();
    disk::mount(&image, &at).unwrap();
    assert_eq!(asked(), (known("ext4", false), EVERYTHING));
    assert_eq!(fs::read_dir(&at).unwrap().count(), 1, "only lost+found");
    mounts::unmount(&at, false).unwrap();

    // Nothing can be made in it.
    assert!(abilities(Path::new("/proc")).is_err());
    assert_eq!(file_system(Path::new("/proc")).unwrap(), known("unknown", false));
    mount("tmpfs", "ro", Path::new("tmpfs"), &at);
    assert!(file_system(&at).unwrap().read_only);
    let error = abilities(&at).unwrap_err().to_string();
    assert!(error.starts_with("cannot create a folder in "), "{error}");
    mounts::unmount(&at, false).unwrap();
}

#[test]
fn an_ordinary_user_can_keep_all_but_what_is_the_machines() {
    let place = Place::of(Who::User);
    let folder = place.directory("store");
    let out = place.run(&[Path::new("abilities"), &folder]).ok();
    let outside = Abilities { user_xattrs: true, whiteouts: true, ..Abilities::default() };
    let inside = Abilities { trusted_xattrs: false, devices: false, upper_trusted: false, ..EVERYTHING };
    assert_eq!(out, format!("{outside:?}\n{inside:?}\n"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(inside.xattrs(), Some(Xattrs::User));
    assert!(inside.keeps_layers(Xattrs::User) && !inside.keeps_layers(Xattrs::Trusted));
}
