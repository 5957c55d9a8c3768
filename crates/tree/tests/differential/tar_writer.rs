//! The writer: exact bytes, and every reader reads them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tree::tar::{Reader, Writer};
use tree::{Choice, Entry, Error, Kind, Links, Metadata, Root, pack};

use crate::listing;
use crate::samples::{create, entries, run, write};

/// Changing this digest changes every digest of everything built: a format break.
#[test]
fn digest_stability() {
    let digest = hex::encode(Sha256::digest(write(&entries(true))));
    assert_eq!(digest, "7a03f79722f9cc9b88bfa24063825d722b5464a87ae0c1a0a43d2922393a3800");
}

#[test]
fn python_reads_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("x.tar");
    let bytes = write(&entries(true));
    assert_eq!(bytes.len() % 10240, 0);
    fs::write(&archive, &bytes).unwrap();
    let ours = listing::ours(&mut Reader::new(&bytes[..]));
    assert_eq!(ours.lines().count(), entries(true).len());
    assert_eq!(listing::pythons(&[archive]), [ours]);
}

#[test]
fn a_reader_gives_back_what_was_written() {
    let bytes = write(&entries(true));
    let mut reader = Reader::new(&bytes[..]);
    for (want, want_contents) in entries(true) {
        let member = reader.next().unwrap().unwrap();
        let mut contents = Vec::new();
        io::Read::read_to_end(&mut reader.data(), &mut contents).unwrap();
        assert_eq!((member.entry, contents), (want, want_contents));
    }
    assert_eq!(reader.next().unwrap(), None);
}

/// GNU tar and bsdtar extract it, as root and as somebody else; what is on disk then is what was written.
#[test]
fn other_programs_extract_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let archive = folder.path().join("x.tar");
    let samples = entries(true);
    fs::write(&archive, write(&samples)).unwrap();
    let extract = |name: &str, command: &mut Command| {
        let target = folder.path().join(name);
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::chown(&target, Some(65534), Some(65534)).unwrap();
        run(command.arg("-xpf").arg(&archive).arg("-C").arg(&target));
        Root::open(target, Links::Refuse).unwrap().scan().map(Result::unwrap).collect::<Vec<_>>()
    };
    let want: Vec<Entry> = samples.into_iter().map(|(entry, _)| entry).collect();
    let strip = |entries: &[Entry], owner: Option<u32>| {
        let mut entries = entries.to_vec();
        for entry in &mut entries {
            entry.metadata.xattrs.clear();
            if let Some(id) = owner {
                (entry.metadata.uid, entry.metadata.gid) = (id, id);
            }
            // On disk a link has what its file has.
            if let Kind::HardLink { .. } = entry.kind {
                entry.metadata = Metadata::default();
            }
        }
        entries
    };
    let got = extract("gnu", Command::new("tar").args(["--numeric-owner", "--xattrs", "--xattrs-include=*"]));
    let attributes =
        |entries: &[Entry]| entries.iter().map(|entry| entry.metadata.xattrs.clone()).collect::<Vec<_>>();
    assert_eq!(attributes(&got), attributes(&want));
    assert_eq!(strip(&got, None), strip(&want, None));
    let mut got = extract("bsd", Command::new("bsdtar").arg("--numeric-owner"));
    // bsdtar never sets the time of the folder it extracts into.
    (got[0].metadata.mtime, got[0].metadata.mtime_nanos) = (want[0].metadata.mtime, 0);
    assert_eq!(strip(&got, None), strip(&want, None));
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "tar"];
    let got = extract("nobody", Command::new("setpriv").args(nobody));
    assert_eq!(strip(&got, Some(65534)), strip(&want, Some(65534)));
}

/// Times with a fraction of a second mean the same to other programs, from disk to disk.
#[test]
fn fractions_of_a_second_survive() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples = entries(false);
    samples.retain(|(entry, _)| !matches!(entry.kind, Kind::HardLink { .. }));
    for (number, (entry, _)) in samples.iter_mut().enumerate() {
        entry.metadata.mtime_nanos = [123_456_789, 500_000_000, 1][number % 3];
    }
    let root = create(&folder.path().join("root"), &samples);
    let mut writer = Writer::new(Vec::new());
    pack(&root, &mut writer, |_, _, _| Ok::<_, Error>(Choice::Keep)).unwrap();
    let bytes = writer.finish().unwrap();
    assert!(bytes == write(&samples));
    let archive = folder.path().join("x.tar");
    fs::write(&archive, bytes).unwrap();
    let times = |entries: &[Entry]| {
        let time = |entry: &Entry| (entry.path.clone(), entry.metadata.mtime, entry.metadata.mtime_nanos);
        entries.iter().skip(1).map(time).collect::<Vec<_>>()
    };
    let want: Vec<_> = samples.iter().map(|(entry, _)| entry.clone()).collect();
    for program in ["tar", "bsdtar"] {
        let target = folder.path().join(program);
        fs::create_dir(&target).unwrap();
        run(Command::new(program).arg("-xpf").arg(&archive).arg("-C").arg(&target));
        let root = Root::open(target, Links::Refuse).unwrap();
        let got: Vec<_> = root.scan().map(Result::unwrap).collect();
        assert_eq!(times(&got), times(&want), "{program}");
    }
}

#[test]
fn a_directory_is_packed_as_its_entries_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples = entries(true);
    let root = create(&folder.path().join("root"), &samples);
    // On disk a link has the metadata of its file.
    for link in ["etc/setuid.link", "z-long-hard-link"] {
        let find = |name: &[u8]| samples.iter().position(|(entry, _)| entry.path.as_bytes() == name).unwrap();
        let at = find(link.as_bytes());
        let Kind::HardLink { target } = &samples[at].0.kind else { panic!("{link} is a hard link") };
        samples[at].0.metadata = samples[find(target.as_bytes())].0.metadata.clone();
    }
    let mut writer = Writer::new(Vec::new());
    let packed = pack(&root, &mut writer, |_, _, _| Ok::<_, Error>(Choice::Keep)).unwrap();
    assert_eq!(packed.entries, samples.len() as u64);
    let got = writer.finish().unwrap();
    let lines = |bytes: &[u8]| listing::ours(&mut Reader::new(bytes));
    assert_eq!(lines(&got), lines(&write(&samples)));
    assert!(got == write(&samples));
}

#[test]
fn packing_drops_changes_and_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let root = create(folder.path(), &entries(false));
    let mut writer = Writer::new(Vec::new());
    let packed = pack(&root, &mut writer, |path, kind, metadata| {
        metadata.mtime = 5;
        Ok::<_, Error>(match path.as_bytes() {
            b"usr" => Choice::Drop,
            // The next name of the same file becomes the file.
            b"etc/setuid" => Choice::Drop,
            b"etc/empty" => Choice::Replace(b"full".to_vec()),
            b"fifo" => {
                assert_eq!(*kind, Kind::Fifo);
                Choice::Replace(Vec::new())
            }
            _ => Choice::Keep,
        })
    })
    .unwrap();
    let bytes = writer.finish().unwrap();
    let mut reader = Reader::new(&bytes[..]);
    let mut got = Vec::new();
    while let Some(member) = reader.next().unwrap() {
        assert_eq!(member.entry.metadata.mtime, 5);
        let mut contents = String::new();
        io::Read::read_to_string(&mut reader.data(), &mut contents).unwrap();
        got.push(format!("{} {} {contents}", member.entry.path, member.entry.kind.name()));
    }
    let want = [
        ". directory ",
        "bin symbolic link ",
        "etc directory ",
        "etc/empty file full",
        "etc/setuid.link file #!",
        "fifo file ",
        "usr! file sorts after usr/ in path order, before it by bytes",
    ];
    assert_eq!(got, want);
    assert_eq!(packed.entries, 7);
}

#[test]
fn contents_must_have_the_size_of_their_entry() {
    let mut entry = entries(false).remove(3).0;
    entry.kind = Kind::File { size: 4 };
    let short = Writer::new(Vec::new()).append(&entry, &mut &b"abc"[..]).unwrap_err();
    assert_eq!(short.to_string(), "`etc/empty` has 3 bytes, but its entry says 4");
    let long = Writer::new(Vec::new()).append(&entry, &mut &b"abcdef"[..]).unwrap_err();
    assert_eq!(long.to_string(), "`etc/empty` has 5 bytes, but its entry says 4");
}

#[test]
fn attributes_without_a_spelling_are_refused() {
    let mut entry = entries(false).remove(3).0;
    for name in [&b""[..], b"user.\0"] {
        entry.metadata.xattrs = [(name.to_vec(), Vec::new())].into();
        assert!(matches!(
            Writer::new(Vec::new()).append(&entry, &mut io::empty()),
            Err(Error::XattrName { .. })
        ));
    }
}

/// GNU tar finds the names of attributes as they were, and so do we in what it writes.
#[test]
fn names_of_attributes_are_spelled_as_by_gnu_tar() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["user.a=b", "user.100%", "user.%3D", "user.new\nline"];
    let (mut entry, contents) = entries(false).remove(3);
    entry.metadata.xattrs = names.iter().map(|name| (name.as_bytes().to_vec(), b"=%3D".to_vec())).collect();
    let archive = folder.path().join("ours.tar");
    fs::write(&archive, write(&[(entry.clone(), contents)])).unwrap();
    let extracted = folder.path().join("extracted");
    fs::create_dir(&extracted).unwrap();
    let xattrs = ["--xattrs", "--xattrs-include=*"];
    run(Command::new("tar").args(xattrs).arg("-xf").arg(&archive).arg("-C").arg(&extracted));
    let root = Root::open(&extracted, Links::Refuse).unwrap();
    assert_eq!(root.lstat(&entry.path).unwrap().unwrap().metadata.xattrs, entry.metadata.xattrs);
    let theirs = folder.path().join("theirs.tar");
    let mut tar = Command::new("tar");
    tar.args(["--format=pax"]).args(xattrs).arg("-cf").arg(&theirs).arg("-C").arg(&extracted);
    run(tar.arg(entry.path.to_string()));
    let theirs = fs::read(theirs).unwrap();
    let member = Reader::new(&theirs[..]).next().unwrap().unwrap();
    assert_eq!(member.entry.metadata.xattrs, entry.metadata.xattrs);
}

#[test]
fn device_numbers_without_a_spelling_are_refused() {
    let mut entry = entries(false).remove(3).0;
    entry.kind = Kind::BlockDevice { major: 8, minor: 0o10_000_000 };
    let error = Writer::new(Vec::new()).append(&entry, &mut io::empty()).unwrap_err();
    assert_eq!(error.to_string(), "device numbers 8, 2097152 of `etc/empty` have no spelling in a tar");
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let name = proptest::collection::vec(any::<u8>(), 1..300);
    let kind = prop_oneof![
        Just(Kind::Directory),
        Just(Kind::File { size: 0 }),
        Just(Kind::Fifo),
        (0..4096u32, 0..1_000_000u32).prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        proptest::collection::vec(1u8.., 1..300).prop_map(|target| Kind::Symlink { target }),
    ];
    let xattrs =
        proptest::collection::btree_map("[a-z.]{1,20}", proptest::collection::vec(any::<u8>(), 0..40), 0..3);
    let numbers = (0..0o10000u32, 0..u32::MAX, 0..u32::MAX, any::<i64>(), 0..1_000_000_000u32);
    (name, kind, numbers, xattrs).prop_filter_map(
        "a path",
        |(name, kind, (mode, uid, gid, mtime, mtime_nanos), xattrs)| {
            let path = tree::EntryPath::parse(&name).ok().filter(|path| !path.is_root())?;
            let xattrs = xattrs.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect();
            // The text form of times has no i64::MIN.
            let mtime = mtime.max(-i64::MAX);
            Some(Entry { path, kind, metadata: Metadata { mode, uid, gid, mtime, mtime_nanos, xattrs } })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_entry_survives(entry in any_entry()) {
        let bytes = write(&[(entry.clone(), Vec::new())]);
        let got = Reader::new(&bytes[..]).next().unwrap().unwrap();
        prop_assert_eq!(got.entry, entry);
        prop_assert!(got.user_name.is_empty() && got.group_name.is_empty());
    }
}
