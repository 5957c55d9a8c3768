//! Directories as entries.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::Command;

use tree::{Entry, Kind, Links, Root};

use crate::samples::{create, entries, path, run};

#[test]
fn a_scan_gives_back_what_was_created() {
    let folder = tempfile::tempdir().unwrap();
    let samples = entries(true);
    let root = create(folder.path(), &samples);
    let mut scan = root.scan();
    for (mut want, contents) in samples.clone() {
        let got = scan.next().unwrap().unwrap();
        if let Kind::HardLink { target } = &want.kind {
            let file = samples.iter().find(|(entry, _)| entry.path == *target).unwrap();
            want.metadata = file.0.metadata.clone();
        }
        assert_eq!(got, want);
        if let Kind::File { .. } = got.kind {
            let mut read = Vec::new();
            scan.open().unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, contents);
        } else if !matches!(got.kind, Kind::HardLink { .. }) {
            assert!(scan.open().is_err());
        }
    }
    assert!(scan.next().is_none() && scan.next().is_none());
}

/// The order is that of `tar --sort=name` on a folder of this machine with all its links.
#[test]
fn a_real_folder_is_walked_as_gnu_tar_walks_it() {
    let folder = "/usr/share/zoneinfo";
    let listing = run(Command::new("tar").args(["--sort=name", "-C", folder, "-cf", "-", "."]));
    let mut reader = tree::tar::Reader::new(&listing[..]);
    let mut wanted = Vec::new();
    while let Some(member) = reader.next().unwrap() {
        wanted.push((member.entry.path, member.entry.kind));
    }
    let root = Root::open(folder, Links::Refuse).unwrap();
    let got: Vec<_> = root.scan().map(|entry| entry.unwrap()).map(|entry| (entry.path, entry.kind)).collect();
    assert!(got.len() > 500);
    assert!(got.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(got, wanted);
}

#[test]
fn what_is_left_out_is_not_entered() {
    let folder = tempfile::tempdir().unwrap();
    let root = create(folder.path(), &entries(false));
    let mut scan = root.scan();
    let mut names = Vec::new();
    while let Some(entry) = scan.next() {
        let entry: Entry = entry.unwrap();
        if matches!(entry.path.as_bytes(), b"usr" | b"etc/setuid") {
            scan.leave_out();
            continue;
        }
        if entry.path == path("etc/setuid.link") {
            assert_eq!(entry.kind, Kind::File { size: 2 });
        }
        names.push(entry.path.to_string());
    }
    assert_eq!(names, [".", "bin", "etc", "etc/empty", "etc/setuid.link", "fifo", "usr!"]);
    let mut scan = root.scan();
    scan.next();
    scan.leave_out();
    assert!(scan.next().is_none() && scan.next().is_none());
}

#[test]
fn sockets_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
    fs::write(folder.path().join("z"), "").unwrap();
    let root = Root::open(folder.path(), Links::Refuse).unwrap();
    let names: Vec<_> = root.scan().map(|entry| entry.unwrap().path.to_string()).collect();
    assert_eq!(names, [".", "a", "z"]);
    assert!(root.lstat(&path("s")).is_err());
}

/// A mount beneath the root is a directory without contents. This test runs itself once more in a mount namespace of its
/// own, with a folder of the same file system mounted on `other`, which device numbers do not tell.
#[test]
fn mounts_are_not_crossed() {
    const PLACE: &str = "OVMLAYER_TEST_PLACE";
    if let Some(place) = std::env::var_os(PLACE) {
        let root = Root::open(place, Links::Refuse).unwrap();
        let names: Vec<_> = root.scan().map(|entry| entry.unwrap().path.to_string()).collect();
        assert_eq!(names, [".", "a", "a/file", "b", "other", "z", "z/file"]);
        assert!(root.remove_all(&path("other")).is_err());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "other", "z"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("file"), "").unwrap();
    }
    symlink("a", folder.path().join("b")).unwrap();
    let script = "cd \"$0\" && mount --bind a other && exec \"$1\" --exact scan::mounts_are_not_crossed";
    let output = run(Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(PLACE, folder.path()));
    assert!(String::from_utf8_lossy(&output).contains("1 passed"), "the inner test did not run");
    assert!(folder.path().join("a/file").exists());
}
