//! Layers from disk into a tar and back.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::Command;

use tree::layer::{Change, Mark, Marks, Packing, Spelling, Unpacker, pack_layer, unpack_layer};
use tree::tar::{Names, Reader, Writer};
use tree::{Entry, EntryPath, Error, Kind, Links, Metadata, PathError, Root};

use crate::samples::{self, entries, path, run};

fn attribute(file: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(file, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

/// Every kind of change, with the marks as overlayfs leaves them.
fn layer(folder: &Path, marks: Marks) {
    samples::create(folder, &entries(true));
    let prefix = if marks == Marks::User { "user" } else { "trusted" };
    let opaque = format!("{prefix}.overlay.opaque");
    let root = Root::open(folder, Links::Refuse).unwrap();
    for name in ["usr/gone", "etc/.wh.odd"] {
        let whiteout = Kind::CharDevice { major: 0, minor: 0 };
        root.make_device(&path(name), &whiteout, &Metadata::new(0, 0)).unwrap();
    }
    fs::write(folder.join(".wh.real"), "a real file").unwrap();
    fs::create_dir(folder.join(".wh..wh..opq")).unwrap();
    fs::write(folder.join(".wh..wh..opq/inside"), "x").unwrap();
    fs::hard_link(folder.join(".wh.real"), folder.join("etc/.wh.link")).unwrap();
    symlink(".wh.real", folder.join("dangling")).unwrap();
    fs::create_dir(folder.join("opaque")).unwrap();
    attribute(&folder.join("opaque"), &opaque, b"y");
    attribute(&folder.join("opaque"), &format!("{prefix}.overlay.origin"), b"of no use elsewhere");
    attribute(folder, &opaque, b"y");
    if marks == Marks::User {
        attribute(&folder.join("opaque"), "user.overlay.overlay.opaque", b"nested");
    }
    // The other form of whiteouts, with a file of the same look beside it in a directory that does not say so.
    for (name, says) in [("files", true), ("no-files", false)] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("whiteout"), "").unwrap();
        attribute(&folder.join(name).join("whiteout"), &format!("{prefix}.overlay.whiteout"), b"y");
        if says {
            attribute(&folder.join(name), &opaque, b"x");
        }
    }
    root.make_device(&path("null"), &Kind::CharDevice { major: 1, minor: 3 }, &Metadata::new(0o666, 5))
        .unwrap();
}

fn changes(folder: &Path, marks: Marks) -> Vec<Change> {
    Root::open(folder, Links::Refuse).unwrap().scan_layer(marks).map(Result::unwrap).collect()
}

fn pack(folder: &Path, marks: Marks, spelling: Spelling, threads: usize) -> Result<Vec<u8>, Error> {
    let root = Root::open(folder, Links::Refuse).unwrap();
    let mut writer = Writer::new(Vec::new());
    pack_layer(&root, &Packing { marks, spelling, prefix: b"", threads }, &mut writer)?;
    writer.finish()
}

struct Spelled(Spelling, Mark);

impl Names for Spelled {
    fn entry(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        let (path, mark) = self.0.read(name)?;
        self.1 = mark;
        Ok(path)
    }

    fn link(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        Ok(self.0.read(name)?.0)
    }

    fn is_mark(&self) -> bool {
        self.1 != Mark::Entry
    }
}

fn unpack(archive: &[u8], spelling: Spelling, marks: Marks, target: &Path) -> Result<(), Error> {
    fs::create_dir(target).unwrap();
    let root = Root::open(target, Links::Refuse).unwrap();
    let mut reader = Reader::new(archive);
    let mut names = Spelled(spelling, Mark::Entry);
    unpack_layer(&root, marks, 2, |unpacker| {
        while let Some(member) = reader.next_named(&mut names)? {
            match names.1 {
                Mark::Whiteout => unpacker.whiteout(member.entry.path)?,
                Mark::Opaque => unpacker.opaque(&member.entry.path)?,
                _ => unpacker.add(member.entry, member.segments.as_deref(), &mut reader.stored())?,
            }
        }
        Ok(())
    })
}

#[test]
fn a_scan_knows_every_mark() {
    for marks in [Marks::User, Marks::Trusted] {
        let folder = tempfile::tempdir().unwrap();
        layer(folder.path(), marks);
        let mut said = String::new();
        for change in changes(folder.path(), marks) {
            match &change {
                Change::Opaque(entry) => {
                    said += &format!("opaque {} {}\n", entry.path, entry.metadata.xattrs.len());
                }
                Change::Whiteout(path) => said += &format!("whiteout {path}\n"),
                Change::Added(entry) if entry.path.as_bytes().ends_with(b"whiteout") => {
                    said += &format!("{}\n", entry.path);
                }
                Change::Added(_) => {}
            }
        }
        let nested = u8::from(marks == Marks::User);
        let want = format!(
            "opaque . 0\nwhiteout etc/.wh.odd\nwhiteout files/whiteout\nno-files/whiteout\nopaque opaque {nested}\nwhiteout usr/gone\n"
        );
        assert_eq!(said, want);
    }
}

#[test]
fn a_layer_comes_back_as_it_was() {
    for (from, to) in
        [(Marks::User, Marks::User), (Marks::User, Marks::Trusted), (Marks::Trusted, Marks::User)]
    {
        let folder = tempfile::tempdir().unwrap();
        let (source, target) = (folder.path().join("source"), folder.path().join("target"));
        layer(&source, from);
        let archive = pack(&source, from, Spelling::Archive, 3).unwrap();
        assert!(archive == pack(&source, from, Spelling::Archive, 1).unwrap());
        unpack(&archive, Spelling::Archive, to, &target).unwrap();
        assert_eq!(changes(&target, to), changes(&source, from));
        assert!(fs::symlink_metadata(target.join("usr/gone")).unwrap().file_type().is_char_device());
        assert!(pack(&target, to, Spelling::Archive, 2).unwrap() == archive);
    }
}

/// An access list (version 2) with an entry for user 1000 and the mask that goes with mode 0664.
const ACCESS_LIST: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x06\0\xe8\x03\0\0\
    \x04\0\x06\0\xff\xff\xff\xff\x10\0\x06\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";

#[test]
fn pipes_and_devices_keep_their_access_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    fs::create_dir(&source).unwrap();
    let root = Root::open(&source, Links::Refuse).unwrap();
    let metadata = Metadata::new(0o664, 5);
    root.make_fifo(&path("pipe"), &metadata).unwrap();
    root.make_device(&path("null"), &Kind::CharDevice { major: 1, minor: 3 }, &metadata).unwrap();
    root.make_device(&path("disk"), &Kind::BlockDevice { major: 7, minor: 200 }, &metadata).unwrap();
    let name = "system.posix_acl_access";
    for file in ["pipe", "null", "disk"] {
        attribute(&source.join(file), name, ACCESS_LIST);
    }
    for spelling in [Spelling::Archive, Spelling::Oci] {
        let archive = pack(&source, Marks::User, spelling, 2).unwrap();
        unpack(&archive, spelling, Marks::User, &target).unwrap();
        let found = changes(&target, Marks::User);
        assert_eq!(found, changes(&source, Marks::User));
        let has_list = |change: &&Change| match change {
            Change::Added(entry) => {
                entry.metadata.xattrs.get(name.as_bytes()).is_some_and(|list| list == ACCESS_LIST)
            }
            _ => false,
        };
        assert_eq!(found.iter().filter(has_list).count(), 3);
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn oci_layers_have_no_names_that_look_like_whiteouts() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    layer(&source, Marks::User);
    let error = pack(&source, Marks::User, Spelling::Oci, 2).unwrap_err();
    assert!(error.to_string().starts_with("`.wh..wh..opq` has no spelling in an OCI layer"), "{error}");
    fs::remove_dir_all(source.join(".wh..wh..opq")).unwrap();
    for name in [".wh.real", "etc/.wh.link", "etc/.wh.odd"] {
        fs::remove_file(source.join(name)).unwrap();
    }
    let archive = pack(&source, Marks::User, Spelling::Oci, 2).unwrap();
    unpack(&archive, Spelling::Oci, Marks::User, &target).unwrap();
    assert_eq!(changes(&target, Marks::User), changes(&source, Marks::User));
    let file = folder.path().join("x.tar");
    fs::write(&file, archive).unwrap();
    let listing = String::from_utf8(run(Command::new("tar").arg("-tf").arg(&file))).unwrap();
    assert!(listing.lines().any(|line| line == "usr/.wh.gone"));
    assert!(listing.contains("opaque/\nopaque/.wh..wh..opq\n"));
}

#[test]
fn features_that_need_other_layers_are_refused() {
    for (name, want) in [("redirect", "redirected directory"), ("metacopy", "without its contents")] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("d")).unwrap();
        attribute(&folder.path().join("d"), &format!("user.overlay.{name}"), b"/x");
        let root = Root::open(folder.path(), Links::Refuse).unwrap();
        let error = root.scan_layer(Marks::User).find_map(Result::err).unwrap();
        assert!(error.to_string().contains(want), "{error}");
        assert!(root.scan_layer(Marks::Trusted).all(|change| change.is_ok()));
    }
}

/// What `feed` adds, onto an empty folder with a secret beside it.
fn unpacked(
    feed: impl FnOnce(&mut Unpacker<'_>) -> Result<(), Error>,
) -> (tempfile::TempDir, Result<(), Error>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::create_dir(folder.path().join("root")).unwrap();
    let root = Root::open(folder.path().join("root"), Links::Refuse).unwrap();
    let result = unpack_layer(&root, Marks::User, 2, feed);
    assert_eq!(fs::read_to_string(folder.path().join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    (folder, result)
}

fn file(name: &str, contents: &[u8]) -> Entry {
    let kind = Kind::File { size: contents.len() as u64 };
    Entry { path: path(name), kind, metadata: Metadata::new(0o644, 7) }
}

fn other(name: &str, kind: Kind) -> Entry {
    Entry { path: path(name), kind, metadata: Metadata::new(0o755, 7) }
}

#[test]
fn hostile_layers() {
    let link = || other("l", Kind::Symlink { target: b"..".to_vec() });
    type Row = (&'static str, Vec<Entry>, &'static str);
    let table: Vec<Row> = vec![
        ("through a link", vec![link(), file("l/secret", b"x")], "`l` stands in the archive twice"),
        ("link over a directory", vec![file("l/a", b"x"), link()], "`l` stands in the archive twice"),
        ("a file twice", vec![file("a", b"1"), file("a", b"2")], "`a` stands in the archive twice"),
        (
            "a directory twice",
            vec![other("d", Kind::Directory), other("d", Kind::Directory)],
            "`d` stands in the archive twice",
        ),
        ("beneath a file", vec![file("a", b"1"), file("a/b", b"2")], "`a` stands in the archive twice"),
        (
            "link through a link",
            vec![link(), other("h", Kind::HardLink { target: path("l/secret") })],
            "cannot create a link to `l/secret`",
        ),
        (
            "link to nothing",
            vec![other("h", Kind::HardLink { target: path("no") })],
            "cannot create link `h`",
        ),
    ];
    for (summary, entries, want) in table {
        let (folder, result) = unpacked(|unpacker| {
            entries.into_iter().try_for_each(|entry| unpacker.add(entry, None, &mut &b"12"[..]))
        });
        let error = result.unwrap_err().to_string();
        // Which of the two is first is up to the threads.
        assert!(
            error == want
                || error.starts_with(want)
                || error.contains("`l/secret`")
                || error.contains("create directory"),
            "{summary}: {error}"
        );
        drop(folder);
    }
}

#[test]
fn attributes_of_an_archive_make_no_marks() {
    let mut entry = other("d", Kind::Directory);
    for name in ["user.overlay.opaque", "trusted.overlay.opaque", "trusted.x", "security.selinux", "user.a"] {
        entry.metadata.xattrs.insert(name.into(), b"y".to_vec());
    }
    let (folder, result) = unpacked(|unpacker| unpacker.add(entry, None, &mut std::io::empty()));
    result.unwrap();
    let found = changes(&folder.path().join("root"), Marks::User);
    let Change::Added(entry) = &found[1] else { panic!("{found:?}") };
    let names: Vec<_> = entry.metadata.xattrs.keys().map(|name| String::from_utf8_lossy(name)).collect();
    assert_eq!(names, ["user.a", "user.overlay.opaque"]);
}

#[test]
fn parents_that_nobody_names_are_made() {
    let (folder, result) = unpacked(|unpacker| {
        unpacker.add(file("a/b/c", b"1"), None, &mut &b"1"[..])?;
        unpacker.opaque(&path("x/y"))?;
        unpacker.whiteout(path("a/gone"))?;
        unpacker.add(other("a", Kind::Directory), None, &mut std::io::empty())
    });
    result.unwrap();
    let said: Vec<_> = changes(&folder.path().join("root"), Marks::User)
        .iter()
        .skip(1)
        .map(|change| match change {
            Change::Added(entry) => format!("{} {}", entry.path, entry.metadata.mtime),
            Change::Opaque(entry) => format!("opaque {}", entry.path),
            Change::Whiteout(path) => format!("whiteout {path}"),
        })
        .collect();
    assert_eq!(said, ["a 7", "a/b 0", "a/b/c 7", "whiteout a/gone", "x 0", "opaque x/y"]);
}
