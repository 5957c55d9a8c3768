//! Generated layers, and other programs with our archives.

use std::fs;
use std::path::Path;
use std::process::Command;

use ovmlayer_layers::archive::{self, Reader, Source};
use ovmlayer_layers::{Form, LayerName};
use proptest::prelude::*;
use tree::layer::unpack_layer;
use tree::{Entry, EntryPath, Kind, Links, Metadata, Root};

use crate::place::{describe, fill, layer, run};

fn write(folders: &[(LayerName, &Path)]) -> Vec<u8> {
    let sources: Vec<_> = folders
        .iter()
        .map(|(name, folder)| Source {
            name,
            root: Root::open(folder, Links::Refuse).unwrap(),
            marks: Form::User.marks(),
        })
        .collect();
    archive::write(&sources, Vec::new()).unwrap().0
}

fn read(archive: &[u8], folder: &Path) -> Vec<LayerName> {
    let mut reader = Reader::open(archive, archive::limits()).unwrap();
    let names = reader.manifest().layers.clone();
    for name in &names {
        fs::create_dir_all(folder.join(name)).unwrap();
        let root = Root::open(folder.join(name), Links::Refuse).unwrap();
        unpack_layer(&root, Form::User.marks(), 2, |unpacker| reader.layer(unpacker)).unwrap();
    }
    reader.finish().unwrap();
    names
}

/// A program that knows nothing of layers lists and extracts the archive; what is no mark is what it was.
#[test]
fn other_programs_read_our_archives() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fill(&source);
    let file = folder.path().join("x.tar");
    fs::write(&file, write(&[(layer("l"), &source)])).unwrap();
    let want = describe(&source);
    for (program, options) in [
        ("tar", &["--xattrs", "--xattrs-include=*", "--numeric-owner"][..]),
        ("bsdtar", &["--numeric-owner"]),
    ] {
        let listing = String::from_utf8_lossy(&run(Command::new(program).arg("-tf").arg(&file))).into_owned();
        assert!(
            listing.starts_with("ovmlayer.json\nlayers/l/\n") && listing.ends_with("sums/l\n"),
            "{program}"
        );
        let target = folder.path().join(program);
        fs::create_dir(&target).unwrap();
        run(Command::new(program).args(options).arg("-xpf").arg(&file).arg("-C").arg(&target));
        // Marks are empty files for it, and it may not know of access lists in this form.
        let plain = |lines: &[String]| {
            let marks = |line: &&String| {
                !line.contains(".wh.") && !line.contains(" whiteout") && !line.starts_with("\"usr\"")
            };
            let lines = lines.iter().filter(marks).map(|line| line.split(" [").next().unwrap().to_owned());
            lines.collect::<Vec<_>>()
        };
        let got = describe(&target.join("layers/l"));
        if program == "tar" {
            assert_eq!(plain(&got), plain(&want));
        } else {
            assert_eq!(got.len(), want.len() + 1, "{got:#?}");
        }
    }
}

/// The digest is BLAKE3 of what comes before it.
#[test]
fn digests_can_be_checked_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "x").unwrap();
    let archive = write(&[(layer("a"), &source), (layer("b"), &source)]);
    let mut reader = tree::tar::Reader::new(&archive[..]);
    let mut found = 0;
    while let Some(member) = reader.next().unwrap() {
        if member.entry.path.as_bytes().starts_with(b"sums/") {
            let before = usize::try_from(reader.position()).unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut reader.data(), &mut text).unwrap();
            assert_eq!(text, format!("{}\n", blake3::hash(&archive[..before]).to_hex()));
            found += 1;
        }
    }
    assert_eq!(found, 2);
}

/// Changing the bytes of archives is changing the format.
#[test]
fn digest_stability() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path(), Links::Refuse).unwrap();
    root.write_file(&"file".parse().unwrap(), &Metadata::new(0o644, 1_700_000_000), &mut &b"contents"[..])
        .unwrap();
    root.make_device(
        &"gone".parse().unwrap(),
        &Kind::CharDevice { major: 0, minor: 0 },
        &Metadata::new(0, 0),
    )
    .unwrap();
    root.set_metadata(&EntryPath::ROOT, &Metadata::new(0o755, 1_700_000_000)).unwrap();
    let archive = write(&[(layer("l"), folder.path())]);
    let digest = blake3::hash(&archive).to_hex();
    assert_eq!(digest.as_str(), "09c483ab0d16929796a06ec6bb410ca3e4096c61dcac168e65b41212f9e18857");
}

#[derive(Debug, Clone)]
enum Change {
    Entry(Kind, Vec<u8>),
    Whiteout,
    Opaque,
}

fn any_change() -> impl Strategy<Value = Change> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        bytes(3000).prop_map(|contents| Change::Entry(Kind::File { size: contents.len() as u64 }, contents)),
        Just(Change::Entry(Kind::Directory, Vec::new())),
        Just(Change::Opaque),
        Just(Change::Whiteout),
        Just(Change::Entry(Kind::Fifo, Vec::new())),
        proptest::collection::vec(1u8.., 1..200)
            .prop_map(|target| Change::Entry(Kind::Symlink { target }, Vec::new())),
        (0..600u32, 1..700u32)
            .prop_map(|(major, minor)| Change::Entry(Kind::BlockDevice { major, minor }, Vec::new())),
    ]
}

type Item = (Vec<Vec<u8>>, Change, (u32, u32, u32, i64, u32), Vec<u8>);

fn any_item() -> impl Strategy<Value = Item> {
    let name = prop_oneof![
        "[ab]{1,2}".prop_map(String::into_bytes),
        "(\\.wh\\.){1,3}[a.]{1,2}".prop_map(String::into_bytes),
        proptest::collection::vec(
            any::<u8>().prop_filter("a name", |byte| !matches!(byte, 0 | b'/')),
            1..250
        ),
    ];
    let numbers =
        (0..0o10000u32, 0..u32::MAX, 0..u32::MAX, -2_000_000_000..2_000_000_000i64, 0..1_000_000_000u32);
    (
        proptest::collection::vec(name, 1..4),
        any_change(),
        numbers,
        proptest::collection::vec(any::<u8>(), 0..20),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_layer_survives(items in proptest::collection::vec(any_item(), 0..30)) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        let root = Root::open(&source, Links::Refuse).unwrap();
        unpack_layer(&root, Form::User.marks(), 1, |unpacker| {
            let mut taken: Vec<EntryPath> = Vec::new();
            let mut directories: Vec<EntryPath> = Vec::new();
            for (parts, change, (mode, uid, gid, mtime, mtime_nanos), value) in items {
                let Ok(path) = EntryPath::parse(&parts.join(&b'/')) else { continue };
                // A tree: nothing twice, nothing beneath what is no directory.
                let clash = |other: &EntryPath| other.starts_with(&path) || path.starts_with(other);
                if path.is_root() || taken.iter().any(clash) || directories.contains(&path) {
                    continue;
                }
                if directories.iter().any(|other| other.starts_with(&path)) {
                    continue;
                }
                let mut metadata = Metadata { mode, uid, gid, mtime, mtime_nanos, ..Metadata::default() };
                match change {
                    Change::Whiteout => unpacker.whiteout(path.clone())?,
                    Change::Opaque => unpacker.opaque(&path)?,
                    Change::Entry(kind, contents) => {
                        if matches!(kind, Kind::File { .. } | Kind::Directory) {
                            metadata.xattrs.insert(b"user.overlay.opaque".to_vec(), value);
                        }
                        let entry = Entry { path: path.clone(), kind: kind.clone(), metadata };
                        unpacker.add(entry, None, &mut &contents[..])?;
                        if kind == Kind::Directory {
                            directories.push(path);
                            continue;
                        }
                    }
                }
                taken.push(path);
            }
            Ok::<_, tree::Error>(())
        })
        .unwrap();
        let archive = write(&[(layer("one"), &source), (layer("two"), &source)]);
        prop_assert_eq!(read(&archive, &folder.path().join("target")), [layer("one"), layer("two")]);
        for name in ["one", "two"] {
            let target = folder.path().join("target").join(name);
            prop_assert_eq!(describe(&target), describe(&source));
        }
        let (one, two) = (folder.path().join("target/one"), folder.path().join("target/two"));
        prop_assert!(write(&[(layer("one"), &one), (layer("two"), &two)]) == archive);
    }
}
