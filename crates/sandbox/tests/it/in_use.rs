//! Whether an upper is in use, asked and used from everywhere.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use ovmlayer_sandbox::mounts;
use ovmlayer_sandbox::overlay::upper_in_use;

use crate::place::{Background, Place, overlay};
use crate::support::Who;

fn in_use(path: &Path) -> bool {
    upper_in_use(path).unwrap()
}

#[test]
fn an_upper_is_in_use_while_it_is_mounted() {
    let place = Place::new();
    let (a, b, target) = (place.layer("a"), place.layer("b"), place.directory("m"));
    let upper = place.upper("upper").unwrap();
    assert!(!in_use(&upper.upper));
    overlay(&[&a, &b], Some(upper.clone())).mount(&target).unwrap();
    assert!(in_use(&upper.upper));
    for other in [&a, &b, &target] {
        assert!(!in_use(other), "{other:?}");
    }
    mounts::unmount(&target, false).unwrap();
    assert!(!in_use(&upper.upper));
    assert!(!in_use(&place.path().join("missing")) && !in_use(&place.path().join("no/such")));
    assert!(!in_use(Path::new("/proc/self")), "it cannot be an upper");
}

#[test]
fn a_lazily_detached_upper_is_in_use_until_the_last_user_ends() {
    let place = Place::new();
    let target = place.directory("m");
    let upper = place.upper("upper").unwrap();
    overlay(&[&place.layer("a")], Some(upper.clone())).mount(&target).unwrap();
    // Not this process: what it has open, a process that another test is about to start has too for a moment.
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<m/name && echo && read _; exit 0"]).current_dir(place.path());
    let user = Background::start(command);
    mounts::unmount(&target, true).unwrap();
    assert_eq!(place.mounted(), []);
    assert!(in_use(&upper.upper));
    user.end();
    assert!(!in_use(&upper.upper));
}

#[test]
fn by_a_read_only_mount_nobody_can_tell() {
    let place = Place::new();
    let (target, view) = (place.directory("m"), place.directory("view"));
    let upper = place.upper("upper").unwrap();
    overlay(&[&place.layer("a")], Some(upper.clone())).mount(&target).unwrap();
    let mount = |words: &[&str]| {
        let mut command = Command::new("mount");
        assert!(command.args(words).arg(&upper.upper).arg(&view).status().unwrap().success());
    };
    mount(&["--bind", "-o", "ro"]);
    let error = upper_in_use(&view).unwrap_err().to_string();
    mounts::unmount(&view, false).unwrap();
    assert!(error.contains("it must be writable"), "{error}");
    mount(&["--bind"]);
    let asked = in_use(&view);
    mounts::unmount(&view, false).unwrap();
    assert!(asked, "by another mount of the same directory");
}

#[test]
fn every_name_can_be_asked_for() {
    let place = Place::new();
    let long = format!("{}/{}", "l".repeat(200), "m".repeat(200));
    let target = place.directory("m");
    for name in ["a\\b", "a,b:c", long.as_str()] {
        let upper = place.upper(name).unwrap();
        assert!(!in_use(&upper.upper), "{name}");
        overlay(&[&place.layer("a")], Some(upper.clone())).mount(&target).unwrap();
        assert!(in_use(&upper.upper), "{name}");
        mounts::unmount(&target, false).unwrap();
    }
}

#[test]
fn use_is_seen_from_other_mount_namespaces() {
    let place = Place::new();
    let [target, lower, upper, work] = ["m", "lower", "upper", "work"].map(|name| place.directory(name));
    let script =
        "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay m && echo && read _; exit 0";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]).current_dir(place.path());
    let other = Background::start(command);
    assert_eq!(place.mounted(), []);
    assert!(in_use(&upper));
    assert_eq!([&target, &lower, &work].map(|path| in_use(path)), [false, false, true]);
    other.end();
    assert!(!in_use(&upper));
}

#[test]
fn users_and_root_see_each_others_use() {
    for (owner, asker) in [(Who::User, Who::Root), (Who::Root, Who::User), (Who::User, Who::User)] {
        let place = Place::of(owner);
        let [target, lower, upper, work] = ["m", "lower", "upper", "work"].map(|name| place.directory(name));
        let asking = || Place::of(asker).run(&[Path::new("in-use"), &upper]).ok();
        assert_eq!(asking(), "false\n", "{asker:?}");
        let words = [Path::new("mount"), &target, &upper, &work, &lower];
        let other = Background::start(place.command(&words));
        assert!(other.line.contains("user_xattrs: true"), "{}", other.line);
        assert_eq!(asking(), "true\n", "{owner:?} mounted, {asker:?} asks");
        assert!(in_use(&upper));
        other.end();
        assert_eq!(asking(), "false\n", "{asker:?}");
    }
}

#[test]
fn asking_gets_in_nobodys_way() {
    let place = Place::new();
    let (lower, target) = (place.layer("a"), place.directory("m"));
    let upper = place.upper("upper").unwrap();
    let mounted = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while mounted.load(Ordering::Relaxed) {
                    in_use(&upper.upper);
                }
            });
        }
        let done = std::panic::catch_unwind(|| {
            for _ in 0..30 {
                overlay(&[&lower], Some(upper.clone())).mount(&target).unwrap();
                assert!(in_use(&upper.upper), "it went unmarked");
                mounts::unmount(&target, false).unwrap();
                assert!(!in_use(&upper.upper));
            }
        });
        mounted.store(false, Ordering::Relaxed);
        done.unwrap();
    });
}

#[test]
fn asking_leaves_nothing_behind() {
    let place = Place::new();
    let target = place.directory("m");
    let upper = place.upper("upper").unwrap();
    fs::write(upper.upper.join("file"), "x").unwrap();
    overlay(&[&place.layer("a")], Some(upper.clone())).probe().unwrap();
    for mounted in [false, true] {
        if mounted {
            overlay(&[&place.layer("a")], Some(upper.clone())).mount(&target).unwrap();
        }
        let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let before = [&upper.upper, &upper.work].map(|path| state(path));
        assert_eq!(in_use(&upper.upper), mounted);
        assert_eq!([&upper.upper, &upper.work].map(|path| state(path)), before);
        assert_eq!(fs::read_to_string("/proc/thread-self/mountinfo").unwrap(), table);
    }
    mounts::unmount(&target, false).unwrap();
    assert_eq!(xattrs(&upper.upper), [0; 0], "nor does an overlay leave marks on an upper");
}

/// Everything of a directory that a write to it or an attribute would change, the time of the last change included.
fn state(path: &Path) -> (Vec<u8>, Vec<std::ffi::OsString>, [i64; 4], u64) {
    let metadata = fs::metadata(path).unwrap();
    let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let times = [metadata.ctime(), metadata.ctime_nsec(), metadata.mtime(), metadata.mtime_nsec()];
    (xattrs(path), names, times, metadata.nlink())
}

fn xattrs(path: &Path) -> Vec<u8> {
    let mut list = vec![0; 4096];
    let length = rustix::fs::listxattr(path, &mut list).unwrap();
    list.truncate(length);
    list
}
