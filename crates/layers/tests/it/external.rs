//! Moving to the external store keeps every attribute, and can be repeated; flattening keeps the effect.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use ovmlayer_layers::archive::TarArchiver;
use ovmlayer_layers::{Archiver as _, Error, Filter, Form, LayerName, Moved, Problem};

use crate::place::{Place, layer, layers, point};

/// Everything that is kept of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    time: (i64, i64),
    size: u64,
    links: u64,
    content: Vec<u8>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

fn tree(root: &Path) -> BTreeMap<Vec<u8>, Kept> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let status = fs::symlink_metadata(&path).unwrap();
        let kind = status.file_type();
        let content = if kind.is_symlink() {
            fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
        } else if kind.is_file() && status.size() < 1 << 20 {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        if kind.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let kept = Kept {
            mode: status.mode(),
            owner: (status.uid(), status.gid()),
            device: status.rdev(),
            time: (status.mtime(), status.mtime_nsec()),
            size: if kind.is_dir() { 0 } else { status.size() },
            links: if kind.is_dir() { 0 } else { status.nlink() },
            content,
            xattrs: xattrs(&path),
        };
        found.insert(path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec(), kept);
    }
    found
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut list = [0_u8; 4096];
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = [0_u8; 4096];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            (String::from_utf8(name.to_vec()).unwrap(), value[..length].to_vec())
        })
        .collect()
}

/// A layer with everything that a layer can have.
fn fill(folder: &Path) {
    let script = "set -e
        mkdir -p d/e closed; echo content > d/file; ln d/file d/e/link; ln d/file top-link
        ln -s /somewhere/else symlink; ln symlink symlink2; mkfifo pipe; mknod null c 1 3; mknod whiteout c 0 0; ln whiteout d/whiteout2
        chown 5:6 d/file; chmod 4755 d/file; chown -h 7:8 symlink; chmod 1777 d; chown 9:10 closed; chmod 0 closed
        setfattr -n user.note -v remark d/file; setfattr -n user.overlay.opaque -v y d/e
        setfattr -n user.overlay.origin -v nonsense d/e; setfattr -h -n trusted.mine -v 1 symlink
        cp /bin/busybox capable; setcap cap_net_raw+ep capable; setfacl -m u:33:r d/file
        touch -h -d '2001-02-03 04:05:06.123456789' d/file symlink pipe d closed";
    let done = Command::new("sh").args(["-c", script]).current_dir(folder).status().unwrap();
    assert!(done.success(), "install the Debian packages `attr`, `acl` and `libcap2-bin`");
    fs::write(folder.join(OsStr::from_bytes(b"not \xff utf-8")), "x").unwrap();
    let mut sparse = File::create(folder.join("sparse")).unwrap();
    sparse.write_all(b"begin").unwrap();
    sparse.seek(SeekFrom::Start(5 << 30)).unwrap();
    sparse.write_all(b"end").unwrap();
    sparse.set_len(6 << 30).unwrap();
}

#[test]
fn every_attribute_is_kept() {
    let place = Place::bare();
    fs::create_dir(place.external()).unwrap();
    // Another file system: nothing can simply be renamed.
    place.mount("tmpfs", "size=64m", &place.external());
    place.set_up();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    fill(&place.layer("a"));
    let mut before = tree(&place.layer("a"));
    assert_eq!(engine.move_to_external(&layer("a")).unwrap(), Moved::Folder);
    let moved = place.external().join("layer_dir/a");
    let after = tree(&moved);
    // Where a directory was copied up from speaks of another stack; that it was means that it may have whiteouts.
    before.get_mut(&b"d/e"[..]).unwrap().xattrs.insert("user.overlay.origin".to_owned(), Vec::new()).unwrap();
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, kept) in &before {
        assert_eq!(kept, &after[path], "{}", String::from_utf8_lossy(path));
    }
    let inode = |name: &str| fs::symlink_metadata(moved.join(name)).unwrap().ino();
    assert!(inode("d/file") == inode("d/e/link") && inode("d/file") == inode("top-link"));
    assert_eq!(inode("whiteout"), inode("d/whiteout2"));
    assert!(fs::metadata(moved.join("sparse")).unwrap().blocks() < 1 << 10);
    let mut end = [0; 3];
    let mut sparse = File::open(moved.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(5 << 30)).unwrap();
    sparse.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"end");
    assert!(!place.layer("a").exists());
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["a"]));
    place.assert_clean();
}

#[test]
fn a_moved_layer_is_a_lower_and_can_be_moved_again_and_deleted() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "b"] {
        engine.create(&layer(name)).unwrap();
    }
    fs::write(place.layer("a").join("file"), "first").unwrap();
    assert_eq!(engine.move_to_external(&layer("a")).unwrap(), Moved::Folder);
    assert_eq!(engine.move_to_external(&layer("a")).unwrap(), Moved::Already);
    assert!(matches!(engine.move_to_external(&layer("none")), Err(Error::UnknownLayer { .. })));
    engine.merge(&layers(["a", "b"]), &point("m")).unwrap();
    assert_eq!(fs::read_to_string(place.merged("m").join("file")).unwrap(), "first");
    assert!(matches!(engine.delete(&layer("a")), Err(Error::Used { .. })));
    assert!(matches!(engine.move_to_external(&layer("b")), Err(Error::Used { .. })));
    engine.unmerge(&point("m")).unwrap();
    let top = engine.merge(&layers(["b", "a"]), &point("m"));
    assert!(matches!(top, Err(Error::TopNotWritable { .. })));
    // A layer of the same name that was made anew replaces it.
    let staging = engine.stage().unwrap();
    fs::write(staging.path().join("file"), "second").unwrap();
    drop(engine.publish(vec![(layer("a"), staging)]).unwrap());
    assert_eq!(engine.move_to_external(&layer("a")).unwrap(), Moved::Folder);
    assert_eq!(fs::read_to_string(place.external().join("layer_dir/a/file")).unwrap(), "second");
    engine.delete(&layer("a")).unwrap();
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["b"]));
    place.assert_clean();
}

#[test]
fn an_interrupted_move_is_finished_by_fsck() {
    let place = Place::root();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    fs::write(place.layer("a").join("file"), "new").unwrap();
    fs::create_dir_all(place.external().join("layer_dir/a")).unwrap();
    fs::create_dir_all(place.runtime().join("moving")).unwrap();
    File::create(place.runtime().join("moving/a")).unwrap();
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["a"]));
    let findings = engine.fsck(true).unwrap();
    assert_eq!((findings.len(), findings[0].problem), (1, Problem::InTwoStores));
    assert!(findings[0].repaired);
    assert_eq!(fs::read_to_string(place.external().join("layer_dir/a/file")).unwrap(), "new");
    place.assert_clean();
}

#[test]
fn without_an_external_store_nothing_moves() {
    let place = Place::root();
    let mut config = place.config();
    config.external = None;
    config.write(&place.env).unwrap();
    let engine = place.engine();
    engine.create(&layer("a")).unwrap();
    assert!(matches!(engine.move_to_external(&layer("a")), Err(Error::NoExternal)));
    place.assert_clean();
}

#[test]
fn what_the_external_store_cannot_keep_is_archived_there() {
    let place = Place::bare();
    fs::create_dir(place.external()).unwrap();
    place.mount("ramfs", "mode=0755", &place.external());
    place.set_up();
    let engine = place.engine();
    for name in ["plain", "a", "b"] {
        engine.create(&layer(name)).unwrap();
    }
    fs::write(place.layer("plain").join("file"), "x").unwrap();
    fs::create_dir(place.layer("a").join("d")).unwrap();
    for name in ["d", "."] {
        let at = place.layer("a").join(name);
        rustix::fs::setxattr(&at, "user.note", b"x", rustix::fs::XattrFlags::empty()).unwrap();
    }
    // It is only needed where something would be lost.
    assert_eq!(engine.move_to_external(&layer("plain")).unwrap(), Moved::Folder);
    assert_eq!(engine.move_to_external(&layer("a")).unwrap(), Moved::Archive);
    assert!(place.external().join("layer_archive/a.tar").is_file());
    assert_eq!(engine.move_to_external(&layer("a")).unwrap(), Moved::Already);
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["a", "b", "plain"]));
    engine.merge(&layers(["a", "b"]), &point("m")).unwrap();
    assert_eq!(xattrs(&place.merged("m").join("d"))["user.note"], b"x");
    assert_eq!(engine.list(Filter::Used).unwrap(), layers(["a", "b"]));
    assert!(matches!(engine.delete(&layer("a")), Err(Error::Used { .. })));
    engine.gc().unwrap();
    assert!(place.merged("m").join("d").is_dir());
    engine.unmerge(&point("m")).unwrap();
    engine.flatten(&layers(["a", "plain"]), &layer("flat")).unwrap();
    assert_eq!(xattrs(&place.layer("flat").join("d"))["user.note"], b"x");
    assert_eq!(engine.gc().unwrap().unpacked, 1);
    engine.delete(&layer("a")).unwrap();
    assert_eq!(engine.list(Filter::All).unwrap(), layers(["b", "flat", "plain"]));
    place.assert_clean();
}

/// Whether a merge of the flat layer shows what a merge of the stack shows.
#[test]
fn a_flat_layer_has_the_effect_of_the_stack() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "b", "c"] {
        engine.create(&layer(name)).unwrap();
    }
    fs::create_dir(place.rootfs().join("fromroot")).unwrap();
    fs::write(place.rootfs().join("fromroot/file"), "root").unwrap();
    let steps: &[(&[&str], &str)] = &[
        (
            &["a"],
            "mkdir -p x/y z keep usr/new; echo a > x/y/f; echo a > x/gone; echo a > file-to-dir; mkdir dir-to-file; \
             touch dir-to-file/f; ln x/y/f hard; echo z > z/f; rm etc/os-release; mkdir -p deep/1/2; echo d > deep/1/2/f",
        ),
        (
            &["a", "b"],
            "rm x/gone; rm -r z; mkdir z; echo b > z/new; rm file-to-dir; mkdir file-to-dir; echo b > file-to-dir/f; \
             rm -r dir-to-file; echo b > dir-to-file; rm -r fromroot; mkdir fromroot; rm -r deep/1; chmod 700 keep",
        ),
        (
            &["a", "b", "c"],
            "echo c >> x/y/f; rm -r z; mkdir -p deep/1; echo c > deep/1/g; rm dir-to-file; echo back > etc/os-release",
        ),
    ];
    for (stack, script) in steps {
        let stack: Vec<LayerName> = stack.iter().map(|name| layer(name)).collect();
        let merged = engine.merge(&stack, &point("m")).unwrap();
        let done = Command::new("sh").args(["-ec", script]).current_dir(&merged.path).status().unwrap();
        assert!(done.success(), "{script}");
        engine.unmerge(&point("m")).unwrap();
    }
    engine.flatten(&layers(["a", "b", "c"]), &layer("flat")).unwrap();
    assert!(matches!(engine.flatten(&layers(["a"]), &layer("flat")), Err(Error::Exists { .. })));
    engine.create(&layer("top")).unwrap();
    let show = |stack: &[LayerName]| {
        let merged = engine.merge(stack, &point("m")).unwrap();
        let mut seen = tree(&merged.path);
        engine.unmerge(&point("m")).unwrap();
        // An overlay counts the names of a file that are in its layer, which the stack has spread.
        seen.values_mut().for_each(|kept| kept.links = 0);
        seen
    };
    let (stacked, flat) = (show(&layers(["a", "b", "c", "top"])), show(&layers(["flat", "top"])));
    assert_eq!(stacked.keys().collect::<Vec<_>>(), flat.keys().collect::<Vec<_>>());
    for (path, kept) in &stacked {
        assert_eq!(kept, &flat[path], "{}", String::from_utf8_lossy(path));
    }
    // What hides something of the rootfs is there, and nothing that hides nothing.
    let whiteouts = |path: &str| {
        fs::symlink_metadata(place.layer("flat").join(path)).unwrap().file_type().is_char_device()
    };
    assert!(whiteouts("z") && whiteouts("dir-to-file"));
    assert_eq!(xattrs(&place.layer("flat").join("fromroot"))["user.overlay.opaque"], b"y");
    place.assert_clean();
}

/// The kernel lists whiteouts of a directory that has none below it as broken entries unless the directory is marked.
#[test]
fn whiteouts_stay_hidden_above_another_rootfs() {
    let place = Place::root();
    let engine = place.engine();
    for name in ["a", "empty", "top"] {
        engine.create(&layer(name)).unwrap();
    }
    fs::create_dir_all(place.rootfs().join("opt/app")).unwrap();
    fs::write(place.rootfs().join("opt/app/old"), "x").unwrap();
    let merged = engine.merge(&layers(["a"]), &point("m")).unwrap();
    fs::remove_file(merged.path.join("opt/app/old")).unwrap();
    fs::write(merged.path.join("opt/app/new"), "x").unwrap();
    engine.unmerge(&point("m")).unwrap();
    engine.flatten(&layers(["a", "empty"]), &layer("flat")).unwrap();
    let staging = engine.stage().unwrap();
    let mut archive = tempfile::tempfile().unwrap();
    TarArchiver.pack(&layer("a"), &place.layer("a"), Form::User, &mut archive).unwrap();
    archive.rewind().unwrap();
    TarArchiver.unpack(&mut archive, staging.path(), Form::User).unwrap();
    drop(engine.publish(vec![(layer("imported"), staging)]).unwrap());
    engine.move_to_external(&layer("a")).unwrap();
    fs::remove_dir_all(place.rootfs().join("opt")).unwrap();
    for name in ["a", "flat", "imported"] {
        let merged = engine.merge(&layers([name, "top"]), &point("m")).unwrap();
        let inside = merged.path.join("opt/app");
        let seen: Vec<_> = fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(seen, ["new"], "{name}");
        fs::remove_dir_all(merged.path.join("opt")).unwrap();
        engine.unmerge(&point("m")).unwrap();
        engine.delete(&layer("top")).unwrap();
        engine.create(&layer("top")).unwrap();
    }
    place.assert_clean();
}
