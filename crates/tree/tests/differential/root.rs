//! File operations beneath a root: what they do, and that nothing leads outside.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tree::{EntryPath, Error, Kind, Links, Metadata, Root};

use crate::samples::path;

fn plain() -> Metadata {
    Metadata::new(0o644, 1_000_000_000)
}

/// A root beside a secret, both in one folder.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        Place { folder }
    }

    fn root(&self, links: Links) -> Root {
        Root::open(self.inside(), links).unwrap()
    }

    fn inside(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    /// Nothing outside has changed.
    fn check(&self) {
        let names: Vec<_> = fs::read_dir(self.folder.path().join("outside"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
        let secret = self.folder.path().join("outside/secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        let status = fs::symlink_metadata(&secret).unwrap();
        assert_eq!((status.mode() & 0o7777, status.nlink()), (0o644, 1));
        assert!(status.mtime() > 1_500_000_000);
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 2);
    }
}

/// Every operation through a symbolic link that leads outside, as a directory and as the last component.
#[test]
fn nothing_leads_outside() {
    for links in [Links::Refuse, Links::WithinRoot] {
        let place = Place::new();
        let inside = place.inside();
        symlink("../outside", inside.join("relative")).unwrap();
        symlink(place.folder.path().join("outside"), inside.join("absolute")).unwrap();
        symlink("/proc/self/root/tmp", inside.join("magic")).unwrap();
        symlink("../outside/secret", inside.join("file")).unwrap();
        let root = place.root(links);
        for directory in ["relative", "absolute", "magic"] {
            let beneath = path(format!("{directory}/x"));
            let secret = path(format!("{directory}/secret"));
            assert!(root.write_file(&beneath, &plain(), &mut &b"x"[..]).is_err());
            assert!(root.make_dir(&beneath, &plain()).is_err());
            assert!(root.make_dir(&path(directory), &plain()).is_err(), "{directory} counts as a directory");
            assert!(root.symlink(&beneath, b"x", &plain()).is_err());
            assert!(root.hard_link(&path("link"), &secret).is_err());
            assert!(root.make_fifo(&beneath, &plain()).is_err());
            assert!(root.replace(&secret, &plain(), b"x").is_err());
            assert!(root.set_metadata(&secret, &plain()).is_err());
            assert!(root.set_mtime(&secret, 0).is_err());
            assert!(!root.remove_file(&secret).unwrap_or(false));
            assert!(!root.remove_all(&secret).unwrap_or(false));
            assert!(root.rename(&secret, &path("stolen")).is_err());
            assert!(root.open_file(&secret).is_err());
            assert!(matches!(root.read(&secret, 100), Ok(None) | Err(_)));
            assert!(matches!(root.lstat(&secret), Ok(None) | Err(_)));
            assert!(root.list(&path(directory)).is_err());
            assert!(root.subroot(&path(directory)).is_err());
        }
        // The last component is never followed.
        let file = path("file");
        let error = root.write_file(&file, &plain(), &mut &b"x"[..]).unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::AlreadyExists));
        assert!(root.open_file(&file).is_err());
        assert!(root.read(&file, 100).is_err());
        root.set_metadata(&file, &plain()).unwrap();
        root.set_mtime(&file, 1).unwrap();
        root.hard_link(&path("same"), &file).unwrap();
        assert_eq!(
            root.kind(&path("same")).unwrap(),
            Some(Kind::Symlink { target: b"../outside/secret".to_vec() })
        );
        root.replace(&file, &plain(), b"mine").unwrap();
        assert_eq!(root.read(&file, 100).unwrap().unwrap(), b"mine");
        assert!(root.remove_all(&path("relative")).unwrap());
        root.remove_all(&EntryPath::ROOT).unwrap();
        assert_eq!(fs::read_dir(place.inside()).unwrap().count(), 0);
        place.check();
    }
}

/// A directory that keeps changing into a link to the outside and back never lets a write out.
#[test]
fn a_race_does_not_lead_outside() {
    for links in [Links::Refuse, Links::WithinRoot] {
        let place = Place::new();
        let inside = place.inside();
        fs::create_dir(inside.join("real")).unwrap();
        symlink("../outside", inside.join("link")).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for name in ["real", "link"] {
                        fs::rename(inside.join(name), inside.join("x")).unwrap();
                        fs::rename(inside.join("x"), inside.join(name)).unwrap();
                    }
                }
            });
            let root = place.root(links);
            for number in 0..1000 {
                root.forget_parents();
                // Whether it succeeds is chance.
                let _ = root.write_file(&path(format!("x/{number}")), &plain(), &mut &b"x"[..]);
            }
            stop.store(true, Ordering::Relaxed);
        });
        place.check();
    }
}

#[test]
fn links_within_the_root_are_followed_as_in_it() {
    let place = Place::new();
    let root = place.root(Links::WithinRoot);
    let directory = Metadata::new(0o755, 5);
    root.make_parents(&path("usr/lib/x"), &directory).unwrap();
    root.symlink(&path("lib"), b"/usr/lib", &plain()).unwrap();
    root.symlink(&path("up"), b"../../../usr/lib", &plain()).unwrap();
    assert!(!root.make_dir(&path("lib"), &directory).unwrap());
    root.write_file(&path("lib/a"), &plain(), &mut &b"a"[..]).unwrap();
    root.write_file(&path("up/b"), &plain(), &mut &b"b"[..]).unwrap();
    assert_eq!(root.list(&path("usr/lib")).unwrap(), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(root.read(&path("lib/b"), 10).unwrap().unwrap(), b"b");
    // A root that refuses links sees the same as errors.
    let strict = place.root(Links::Refuse);
    assert!(strict.read(&path("lib/b"), 10).is_err());
    assert!(strict.lstat(&path("lib/b")).is_err());
    assert!(strict.make_dir(&path("lib"), &directory).is_err());
    // After the link has been replaced, the kept descriptor is not used any more.
    root.remove_file(&path("lib")).unwrap();
    root.make_dir(&path("lib"), &directory).unwrap();
    root.write_file(&path("lib/c"), &plain(), &mut &b"c"[..]).unwrap();
    assert_eq!(root.list(&path("usr/lib")).unwrap().len(), 2);
    place.check();
}

#[test]
fn files_get_what_their_entry_says() {
    let place = Place::new();
    let root = place.root(Links::Refuse);
    let mut metadata = Metadata {
        mode: 0o6751,
        uid: 12345,
        gid: 54321,
        mtime: -5,
        mtime_nanos: 7,
        xattrs: Default::default(),
    };
    metadata.xattrs.insert(b"user.note".to_vec(), b"\0\xff".to_vec());
    // cap_net_raw=ep, version 2.
    let capability = [&[1, 0, 0, 2, 0, 0x20, 0, 0][..], &[0; 12]].concat();
    metadata.xattrs.insert(b"security.capability".to_vec(), capability);
    let large = vec![b'l'; 1_000_000];
    for contents in [&b""[..], b"x", &large] {
        let name = path(format!("f{}", contents.len()));
        root.write_file(&name, &metadata, &mut &contents[..]).unwrap();
        let entry = root.lstat(&name).unwrap().unwrap();
        assert_eq!(entry.metadata, metadata);
        assert_eq!(entry.kind, Kind::File { size: contents.len() as u64 });
        assert_eq!(root.read(&name, 1_000_000).unwrap().unwrap(), contents);
    }
    let directory = Metadata { mode: 0o3750, ..metadata.clone() };
    assert!(
        root.make_dir(&path("d"), &Metadata { xattrs: Default::default(), ..directory.clone() }).unwrap()
    );
    // What is created in a set-gid directory would get its group.
    root.write_file(&path("d/f"), &plain(), &mut &b""[..]).unwrap();
    root.make_dir(&path("d/d"), &plain()).unwrap();
    root.symlink(&path("d/l"), b"t", &plain()).unwrap();
    for name in ["d/f", "d/d", "d/l"] {
        let entry = root.lstat(&path(name)).unwrap().unwrap();
        assert_eq!(
            (entry.metadata.uid, entry.metadata.gid, entry.metadata.mtime, entry.metadata.mtime_nanos),
            (0, 0, 1_000_000_000, 0),
            "{name}"
        );
    }
    root.forget_parents();
    root.write_file(&path("d/g"), &plain(), &mut &b""[..]).unwrap();
    assert_eq!(root.lstat(&path("d/g")).unwrap().unwrap().metadata, plain());
    root.make_fifo(&path("p"), &Metadata { xattrs: Default::default(), ..metadata.clone() }).unwrap();
    assert_eq!(root.lstat(&path("p")).unwrap().unwrap().metadata.mode, 0o6751);
    // Metadata of what is there, directories after their contents.
    let mut changed = metadata.clone();
    changed.xattrs.remove(b"security.capability".as_slice());
    changed.mode = 0o2710;
    for name in ["", "d", "d/f"] {
        root.set_metadata(&path(name), &changed).unwrap();
        assert_eq!(root.lstat(&path(name)).unwrap().unwrap().metadata, changed, "{name}");
        root.set_mtime(&path(name), 77).unwrap();
        assert_eq!(root.lstat(&path(name)).unwrap().unwrap().metadata.mtime, 77);
    }
    // A directory that has become set-gid since it was kept.
    root.write_file(&path("d/h"), &plain(), &mut &b""[..]).unwrap();
    assert_eq!(root.lstat(&path("d/h")).unwrap().unwrap().metadata.gid, 0);
}

/// Contents and metadata do not depend on the umask of the process: modes are set, not asked for.
#[test]
fn copies_and_limits() {
    let place = Place::new();
    let root = place.root(Links::Refuse);
    let source = fs::File::open(place.folder.path().join("outside/secret")).unwrap();
    assert_eq!(root.copy_file(&path("copy"), &plain(), &source).unwrap(), 6);
    assert_eq!(root.read(&path("copy"), 6).unwrap().unwrap(), b"secret");
    assert!(matches!(root.read(&path("copy"), 5), Err(Error::TooLarge { limit: 5, .. })));
    assert_eq!(root.read(&path("none"), 5).unwrap(), None);
    assert_eq!(root.read(&path("copy/none"), 5).unwrap(), None);
    assert_eq!(root.lstat(&path("copy/none")).unwrap(), None);
    let source = fs::File::open("/proc/self/status").unwrap();
    assert!(root.copy_file(&path("status"), &plain(), &source).unwrap() > 100);
    root.make_dir(&path("d"), &plain()).unwrap();
    assert!(matches!(root.open_file(&path("d")), Err(Error::WrongKind { found: "directory", .. })));
    root.make_fifo(&path("p"), &plain()).unwrap();
    assert!(matches!(root.open_file(&path("p")), Err(Error::WrongKind { found: "special file", .. })));
    let error = root.remove_file(&path("d")).unwrap_err();
    assert_eq!(error.to_string(), "cannot remove `d`");
    assert!(root.remove_dir(&path("d")).unwrap());
    assert!(!root.remove_dir(&path("d")).unwrap());
    assert!(!root.remove_file(&path("d")).unwrap());
    for error in [
        root.write_file(&EntryPath::ROOT, &plain(), &mut &b""[..]).unwrap_err(),
        root.rename(&EntryPath::ROOT, &path("x")).unwrap_err(),
        root.remove_file(&EntryPath::ROOT).unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("`.`"), "{error}");
    }
}

#[test]
fn what_cannot_be_completed_is_removed() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the package is damaged"))
        }
    }
    let place = Place::new();
    let root = place.root(Links::Refuse);
    let error = root.write_file(&path("x"), &plain(), &mut (&b"begun"[..]).chain(Failing)).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the contents of `x`");
    assert!(root.list(&EntryPath::ROOT).unwrap().is_empty());
    root.make_dir(&path("d"), &plain()).unwrap();
    assert!(root.replace(&path("d"), &plain(), b"x").is_err());
    assert_eq!(root.list(&EntryPath::ROOT).unwrap(), [b"d".to_vec()]);
}

#[test]
fn deep_trees_are_removed() {
    let place = Place::new();
    let root = place.root(Links::Refuse);
    // Deeper than any path and than the number of files a process may have open.
    let mut current = place.inside();
    let mut handles = Root::open(&current, Links::Refuse).unwrap();
    for level in 0..1500 {
        let name = path("deep");
        handles.make_dir(&name, &Metadata::new(if level % 7 == 0 { 0 } else { 0o755 }, 0)).unwrap();
        handles.write_file(&path("file"), &plain(), &mut &b""[..]).unwrap();
        handles = handles.subroot(&name).unwrap();
        current.push("deep");
    }
    drop(handles);
    assert!(root.remove_all(&path("deep")).unwrap());
    assert!(!root.remove_all(&path("deep")).unwrap());
    assert_eq!(root.list(&EntryPath::ROOT).unwrap(), [b"file".to_vec()]);
}

/// An ordinary user removes its own directories without permissions.
#[test]
fn directories_without_permissions_are_removed() {
    let place = Place::new();
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let inside = place.inside();
    for name in ["a", "a/b", "a/b/c", "d"] {
        fs::create_dir(inside.join(name)).unwrap();
        fs::write(inside.join(name).join("file"), "").unwrap();
    }
    let all = ["a/b/c/file", "a/b/c", "a/b/file", "a/b", "a/file", "a", "d/file", "d", ""];
    for name in all {
        std::os::unix::fs::chown(inside.join(name), Some(65534), Some(65534)).unwrap();
    }
    for name in ["a/b/c", "a/b", "a", "d"] {
        fs::set_permissions(inside.join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    // Another thread's credentials are its own.
    let result = std::thread::spawn(move || {
        let nobody = rustix::process::Gid::from_raw(65534);
        rustix::thread::set_thread_gid(nobody).unwrap();
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        Root::open(&inside, Links::Refuse).unwrap().remove_all(&EntryPath::ROOT)
    });
    assert!(result.join().unwrap().unwrap());
    assert_eq!(fs::read_dir(place.inside()).unwrap().count(), 0);
    place.check();
}

#[test]
fn many_threads_unpack_side_by_side() {
    let place = Place::new();
    let root = place.root(Links::WithinRoot);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let root = &root;
            scope.spawn(move || {
                for number in 0..200 {
                    let directory = path(format!("shared/{}/{}", number % 50, number % 3));
                    root.make_parents(&directory, &Metadata::new(0o755, 0)).unwrap();
                    root.make_dir(&directory, &Metadata::new(0o755, 0)).unwrap();
                    let file = directory.join(format!("{thread}-{number}").as_bytes()).unwrap();
                    root.write_file(&file, &plain(), &mut &b"x"[..]).unwrap();
                }
            });
        }
    });
    let files = root.scan().filter(|entry| matches!(entry.as_ref().unwrap().kind, Kind::File { .. })).count();
    assert_eq!(files, 800);
}

#[test]
fn errors_say_what_was_being_done() {
    let error = Root::open(Path::new("/nowhere"), Links::Refuse).unwrap_err();
    assert_eq!(error.to_string(), "cannot open directory `/nowhere`");
    let place = Place::new();
    let root = place.root(Links::Refuse);
    let error = root.write_file(&path("no/such"), &plain(), &mut &b""[..]).unwrap_err();
    assert_eq!(error.to_string(), "cannot create `no/such`");
    assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
}
