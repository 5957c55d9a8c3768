//! Overlay mounts as root: what is mounted, what the mount table says of it, whether an upper is in use.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ovmlayer_sandbox::overlay::{MAX_LOWERS, Overlay, Upper, Xattrs};
use ovmlayer_sandbox::{Error, mounts};

use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::place::{Place, overlay, read};
use crate::support::Who;

#[test]
fn the_first_lower_is_the_top_one_and_the_upper_above_it() {
    let place = Place::new();
    let (a, b, target) = (place.layer("a"), place.layer("b"), place.directory("m"));
    for xattrs in [Xattrs::User, Xattrs::Trusted] {
        let upper = place.upper("upper");
        let stack = Overlay { xattrs, ..overlay(&[&a, &b], upper.clone()) };
        stack.probe().unwrap();
        assert_eq!(place.mounted(), []);
        stack.mount(&target).unwrap();
        assert_eq!(read(&target.join("name")), "a");
        fs::write(target.join("name"), "new").unwrap();
        let upper = upper.unwrap();
        assert_eq!(read(&upper.upper.join("name")), "new");
        let [mounted] = place.mounted().try_into().unwrap();
        assert_eq!((mounted.lowers, mounted.target), (vec![a.clone(), b.clone()], target.clone()));
        assert_eq!((mounted.upper, mounted.work), (Some(upper.upper.clone()), Some(upper.work)));
        assert_eq!((mounted.kind.as_str(), mounted.source.as_str()), ("overlay", "test"));
        assert_eq!(mounted.user_xattrs, xattrs == Xattrs::User);
        mounts::unmount(&target, false).unwrap();
        assert_eq!(place.mounted(), []);
        fs::remove_file(upper.upper.join("name")).unwrap();
    }
}

#[test]
fn without_an_upper_nothing_can_be_written() {
    let place = Place::new();
    let (a, b, target) = (place.layer("a"), place.layer("b"), place.directory("m"));
    overlay(&[&b, &a], None).mount(&target).unwrap();
    assert_eq!(read(&target.join("name")), "b");
    assert_eq!(fs::write(target.join("x"), "").unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(place.mounted()[0].upper, None);
}

/// The kernel would mount it read-only.
#[test]
fn an_upper_on_a_full_disk_is_refused() {
    let place = Place::new();
    let (lower, target, disk) = (place.layer("a"), place.directory("m"), place.directory("disk"));
    // For its root, the upper, the work folder, and the files that fill it.
    let (files, size) = (0..13, Some(c"nr_inodes=16"));
    rustix::mount::mount("tmpfs", &disk, "tmpfs", MountFlags::empty(), size).unwrap();
    let upper = place.upper("disk/upper");
    let file = |number| disk.join(format!("file-{number}"));
    files.clone().for_each(|number| fs::write(file(number), "").unwrap());
    let stack = overlay(&[&lower], upper);
    for error in [stack.probe().unwrap_err(), stack.mount(&target).unwrap_err()] {
        let Error::Mount { doing, source, .. } = error else { panic!("{error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
        assert!(doing.contains("disk/upper.work"), "{doing}");
    }
    assert_eq!(place.mounted(), []);
    // The kernel fails by itself where there is room for a part of what it needs.
    fs::remove_file(file(0)).unwrap();
    let Err(Error::Mount { remedy, source, .. }) = stack.mount(&target) else { panic!("it was mounted") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(remedy.contains("disk/upper.work"), "{remedy}");
    files.skip(1).for_each(|number| fs::remove_file(file(number)).unwrap());
    stack.mount(&target).unwrap();
    mounts::unmount(&target, false).unwrap();
    mounts::unmount(&disk, false).unwrap();
}

#[test]
fn every_name_is_taken_and_shown_as_it_is() {
    let place = Place::new();
    let long = format!("{}/{}", "l".repeat(200), "m".repeat(200));
    let names =
        ["a:b", "a,b", "a\\b", "a\\:b", "a\\\\,b", "sp ace", "line\nend\t", "#=é", "\\054", long.as_str()];
    let target = place.directory("m \\t:,");
    for name in names {
        let (lower, upper) = (place.layer(name), place.upper(&format!("u-{name}")).unwrap());
        overlay(&[&lower, &place.layer("other")], Some(upper.clone())).mount(&target).unwrap();
        assert_eq!(read(&target.join("name")), name);
        let [mounted] = place.mounted().try_into().unwrap();
        assert_eq!(mounted.lowers[0], lower);
        assert_eq!((mounted.upper, mounted.work), (Some(upper.upper), Some(upper.work)), "{name}");
        assert_eq!(mounted.target, target);
        mounts::unmount(&target, false).unwrap();
    }
}

#[test]
fn the_kernels_limit_is_reached_and_not_passed() {
    let place = Place::new();
    let layers: Vec<_> = (0..=MAX_LOWERS).map(|n| place.layer(&format!("layer{n:03}"))).collect();
    let paths: Vec<&Path> = layers.iter().map(PathBuf::as_path).collect();
    let target = place.directory("m");
    overlay(&paths[..MAX_LOWERS], place.upper("upper")).mount(&target).unwrap();
    assert_eq!(read(&target.join("name")), "layer000");
    assert_eq!(place.mounted()[0].lowers, layers[..MAX_LOWERS]);
    let error = overlay(&paths, None).probe().unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot stack 501 layers: the kernel takes 500 below the top; make one of several with `ovmlayer flatten`"
    );
    for lowers in [&paths[..0], &paths[..1]] {
        assert!(matches!(overlay(lowers, None).probe(), Err(Error::TooFewLowers { needed: 2, .. })));
    }
}

#[test]
fn what_the_kernel_refuses_is_explained() {
    let place = Place::new();
    let (a, file) = (place.layer("a"), place.layer("b").join("name"));
    let missing = place.path().join("missing");
    let elsewhere = Some(Upper { upper: "/proc/self".into(), work: place.directory("w") });
    let inside = a.join("inside");
    fs::create_dir(&inside).unwrap();
    let tests: [(&str, Overlay, &str); 5] = [
        ("missing", overlay(&[&missing], place.upper("u")), "it does not exist"),
        ("a file", overlay(&[&file], place.upper("u")), "it is not a directory"),
        ("twice", overlay(&[&a, &a], place.upper("u")), "given twice"),
        ("within", overlay(&[&a, &inside], place.upper("u")), "inside another"),
        ("no upper there", overlay(&[&a], elsewhere), "ext4, xfs, btrfs or tmpfs"),
    ];
    for (summary, overlay, expected) in tests {
        let error = overlay.mount(&place.directory("m")).unwrap_err().to_string();
        assert!(error.starts_with("cannot ") && error.contains(expected), "{summary}: {error}");
    }
    assert_eq!(place.mounted(), []);
}

#[test]
fn each_upper_says_all_that_was_done_to_it() {
    for xattrs in [Xattrs::User, Xattrs::Trusted] {
        let place = Place::new();
        let (lower, empty, target) = (place.layer("lower"), place.directory("empty"), place.directory("m"));
        for name in ["replaced", "removed", "moved"] {
            fs::create_dir(lower.join(name)).unwrap();
            fs::write(lower.join(name).join("old"), "x").unwrap();
        }
        let upper = place.upper("upper").unwrap();
        let stack = |lowers: &[&Path], upper| Overlay { xattrs, ..overlay(lowers, upper) };
        stack(&[&lower], Some(upper.clone())).mount(&target).unwrap();
        fs::remove_dir_all(target.join("replaced")).unwrap();
        fs::create_dir(target.join("replaced")).unwrap();
        fs::remove_dir_all(target.join("removed")).unwrap();
        // A directory of a lower cannot be renamed, as that would be a hint to its content and not a copy.
        let moved = fs::rename(target.join("moved"), target.join("elsewhere"));
        assert_eq!(moved.unwrap_err().kind(), std::io::ErrorKind::CrossesDevices);
        fs::set_permissions(target.join("name"), fs::Permissions::from_mode(0o600)).unwrap();
        mounts::unmount(&target, false).unwrap();
        let prefix = if xattrs == Xattrs::User { "user" } else { "trusted" };
        let mut mark = [0; 8];
        let name = format!("{prefix}.overlay.opaque");
        assert_eq!(rustix::fs::getxattr(upper.upper.join("replaced"), name, &mut mark[..]), Ok(1));
        assert_eq!(fs::metadata(upper.upper.join("removed")).unwrap().rdev(), 0);
        assert_eq!(read(&upper.upper.join("name")), "lower", "a copy that is whole");
        // As a lower among other neighbours.
        stack(&[&empty, &upper.upper, &lower], None).mount(&target).unwrap();
        assert_eq!(fs::read_dir(target.join("replaced")).unwrap().count(), 0);
        assert!(!target.join("removed").exists());
        assert_eq!(read(&target.join("moved/old")), "x");
    }
}

#[test]
fn marks_that_cannot_be_seen_are_an_error() {
    for who in Who::EVERYONE {
        let place = Place::of(who);
        let [target, upper, work, lower] = ["m", "upper", "work", "lower"].map(|name| place.directory(name));
        let outcome = place.run(&[Path::new("probe-trusted"), &target, &upper, &work, &lower]);
        assert!(outcome.err.contains("run as root of the machine"), "{who:?} {outcome:?}");
    }
}

#[test]
fn an_upper_is_not_mounted_twice() {
    let place = Place::new();
    let [a, first, second] = ["a", "first", "second"].map(|name| place.directory(name));
    let upper = place.upper("u").unwrap();
    let again = Upper { work: place.directory("other.work"), ..upper.clone() };
    overlay(&[&a], Some(upper)).mount(&first).unwrap();
    let user = fs::File::open(&first).unwrap();
    let mount = || overlay(&[&a], Some(again.clone())).mount(&second);
    assert!(matches!(mount(), Err(Error::UpperInUse { .. })));
    mounts::unmount(&first, true).unwrap();
    assert!(matches!(mount(), Err(Error::UpperInUse { .. })), "a process still has it");
    drop(user);
    mount().unwrap();
}

#[test]
fn mounts_beneath_stay_here() {
    let place = Place::new();
    let target = place.directory("m");
    rustix::mount::mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
    overlay(&[&place.layer("a")], place.upper("u")).mount(&target).unwrap();
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let line = table.lines().find(|line| line.contains(target.to_str().unwrap())).unwrap();
    assert!(line.contains(" rw,relatime - overlay "), "{line}");
}

#[test]
fn a_mount_in_use_is_only_detached_lazily() {
    let place = Place::new();
    let target = place.directory("m");
    overlay(&[&place.layer("a")], place.upper("u")).mount(&target).unwrap();
    let user = fs::File::open(target.join("name")).unwrap();
    assert!(matches!(mounts::unmount(&target, false), Err(Error::Busy { .. })));
    mounts::unmount(&target, true).unwrap();
    assert_eq!(place.mounted(), []);
    assert!(matches!(mounts::unmount(&target, false), Err(Error::NotMounted { .. })));
    drop(user);
}
