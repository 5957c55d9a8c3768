//! Trees to work with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tree::{Entry, EntryPath, Kind, Links, Metadata, Root};

/// A path from bytes that are one.
pub(crate) fn path(name: impl AsRef<[u8]>) -> EntryPath {
    EntryPath::parse(name.as_ref()).unwrap()
}

/// A command that must succeed; its output.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot start {command:?}: {error}; is its Debian package installed?")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Entries that stretch every field: with what only PAX can hold when `extreme`.
pub(crate) fn entries(extreme: bool) -> Vec<(Entry, Vec<u8>)> {
    let mut list = vec![
        entry("", Kind::Directory, 0o755),
        entry("bin", Kind::Symlink { target: b"usr/bin".to_vec() }, 0o777),
        entry("etc", Kind::Directory, 0o1777),
        file("etc/empty", b"", 0o600),
        file("etc/setuid", b"#!", 0o6755),
        entry("etc/setuid.link", Kind::HardLink { target: path("etc/setuid") }, 0o6755),
        entry("fifo", Kind::Fifo, 0o622),
        file("usr!", b"sorts after usr/ in path order, before it by bytes", 0o644),
        entry("usr", Kind::Directory, 0o755),
        file("usr/block", &[7; 512], 0o644),
        file("usr/large", &[b'x'; 300_001], 0o640),
        entry("usr/parent", Kind::Symlink { target: b"../../etc/../x".to_vec() }, 0o777),
    ];
    // bsdtar writes six digits of owners into ustar archives.
    list[3].0.metadata.uid = 0o777_777;
    list[3].0.metadata.gid = 12345;
    if extreme {
        list[3].0.metadata.uid = 0o7_777_777;
        let deep = format!("{}/{}", "d".repeat(120), "e".repeat(200));
        list.push(entry("d".repeat(120), Kind::Directory, 0o755));
        list.push(entry(&deep, Kind::Directory, 0o755));
        list.push(file(format!("{deep}/{}", "f".repeat(255)), b"deep", 0o644));
        list.push(file("n".repeat(99), b"99", 0o644));
        list.push(file("n".repeat(100), b"100", 0o644));
        list.push(file("n".repeat(101), b"101", 0o644));
        list.push(file(b"not-utf-8-\xff\xfe\n\x01", b"odd", 0o644));
        list.push(entry("long-link", Kind::Symlink { target: b"t/".repeat(120) }, 0o777));
        list.push(entry("z-long-hard-link", Kind::HardLink { target: path("n".repeat(101)) }, 0o644));
        let mut owned = file("owned", b"by a great one", 0o644);
        owned.0.metadata.uid = 4_294_967_294;
        owned.0.metadata.gid = 0o10_000_000;
        list.push(owned);
        let mut old = file("old", b"before 1970", 0o644);
        old.0.metadata.mtime = -86_400;
        list.push(old);
        let mut attributed = file("attributed", b"a", 0o755);
        attributed.0.metadata.xattrs = BTreeMap::from([
            (b"user.empty".to_vec(), Vec::new()),
            (b"user.note".to_vec(), b"line\n\0=\xff".to_vec()),
        ]);
        list.push(attributed);
    }
    list.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    list
}

fn entry(name: impl AsRef<[u8]>, kind: Kind, mode: u32) -> (Entry, Vec<u8>) {
    let metadata = Metadata::new(mode, 1_700_000_000);
    (Entry { path: path(name), kind, metadata }, Vec::new())
}

fn file(name: impl AsRef<[u8]>, contents: &[u8], mode: u32) -> (Entry, Vec<u8>) {
    let (entry, _) = entry(name, Kind::File { size: contents.len() as u64 }, mode);
    (entry, contents.to_vec())
}

/// Puts the entries under `folder`.
pub(crate) fn create(folder: &Path, entries: &[(Entry, Vec<u8>)]) -> Root {
    fs::create_dir_all(folder).unwrap();
    let root = Root::open(folder, Links::Refuse).unwrap();
    for (entry, contents) in entries {
        let Entry { path, kind, metadata } = entry;
        match kind {
            Kind::Directory => assert_eq!(root.make_dir(path, metadata).unwrap(), !path.is_root()),
            Kind::File { .. } => {
                assert_eq!(
                    root.write_file(path, metadata, &mut &contents[..]).unwrap(),
                    contents.len() as u64
                );
            }
            Kind::Symlink { target } => root.symlink(path, target, metadata).unwrap(),
            Kind::HardLink { target } => root.hard_link(path, target).unwrap(),
            Kind::Fifo => root.make_fifo(path, metadata).unwrap(),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => panic!("no devices here"),
        }
    }
    for (entry, _) in entries.iter().filter(|(entry, _)| entry.kind == Kind::Directory) {
        root.set_metadata(&entry.path, &entry.metadata).unwrap();
    }
    root
}

/// The tar of the entries by our writer.
pub(crate) fn write(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = tree::tar::Writer::new(Vec::new());
    for (entry, contents) in entries {
        writer.append(entry, &mut &contents[..]).unwrap();
    }
    writer.finish().unwrap()
}
