//! Sparse files against GNU tar and bsdtar, both ways.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use tree::layer::{Marks, Packing, Spelling, pack_layer, unpack_layer};
use tree::tar::{Limits, Reader, Segment, Writer};
use tree::{Error, Links, Root};

use crate::samples::{path, run};

/// Files with holes at their beginning, inside, at their end, and nothing but a hole.
fn create(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, size: u64, parts: &[(u64, &[u8])]| {
        let mut file = fs::File::create(folder.join(name)).unwrap();
        file.set_len(size).unwrap();
        for (offset, bytes) in parts {
            file.seek(SeekFrom::Start(*offset)).unwrap();
            file.write_all(bytes).unwrap();
        }
    };
    write("4g", 4 << 30, &[(0, b"begin"), (1 << 31, b"middle"), ((4 << 30) - 3, b"end")]);
    write("begins", 3 << 20, &[((2 << 20) + 5, &[7; 1 << 20])]);
    write("ends", 3 << 20, &[(0, b"x")]);
    write("hole", 1 << 30, &[]);
    let many: Vec<(u64, &[u8])> = (0..60).map(|at| (at * (1 << 16), &b"data"[..])).collect();
    write("many", 4 << 20, &many);
    write("none", 5, &[(0, b"whole")]);
}

fn limits() -> Limits {
    Limits { sparse: 1 << 40, ..Limits::default() }
}

/// Size and a sum of the contents, which for the huge ones only looks where data may be.
fn contents(folder: &Path) -> Vec<(String, u64, Vec<u8>)> {
    let mut all = Vec::new();
    for name in ["4g", "begins", "ends", "hole", "many", "none"] {
        let mut file = fs::File::open(folder.join(name)).unwrap();
        let size = file.metadata().unwrap().len();
        let mut bytes = Vec::new();
        for offset in [0, 1 << 20, 2 << 20, 3 << 20, 1 << 31, size.saturating_sub(1 << 20)] {
            file.seek(SeekFrom::Start(offset)).unwrap();
            (&file).take(1 << 20).read_to_end(&mut bytes).unwrap();
        }
        all.push((name.to_owned(), size, bytes));
    }
    all
}

fn unpack(archive: &[u8], target: &Path) {
    fs::create_dir(target).unwrap();
    let root = Root::open(target, Links::Refuse).unwrap();
    let mut reader = Reader::with_limits(archive, limits());
    unpack_layer(&root, Marks::User, 2, |unpacker| {
        while let Some(member) = reader.next()? {
            unpacker.add(member.entry, member.segments.as_deref(), &mut reader.stored())?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}

fn pack(folder: &Path, threads: usize) -> Vec<u8> {
    let root = Root::open(folder, Links::Refuse).unwrap();
    let mut writer = Writer::new(Vec::new());
    let packing = Packing { marks: Marks::User, spelling: Spelling::Archive, prefix: b"", threads };
    pack_layer(&root, &packing, &mut writer).unwrap();
    writer.finish().unwrap()
}

/// On disk they take hardly anything.
fn check(folder: &Path, want: &[(String, u64, Vec<u8>)]) {
    assert!(contents(folder) == want);
    for name in ["4g", "hole", "ends"] {
        assert!(fs::metadata(folder.join(name)).unwrap().blocks() < 1000, "{name} lost its holes");
    }
}

#[test]
fn holes_from_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    create(&source);
    let want = contents(&source);
    let formats = [
        "--format=oldgnu",
        "--format=gnu",
        "--sparse-version=0.0",
        "--sparse-version=0.1",
        "--sparse-version=1.0",
    ];
    for (number, format) in formats.into_iter().enumerate() {
        let mut gnu = Command::new("tar");
        if number > 1 {
            gnu.arg("--format=posix");
        }
        let archive = run(gnu.args(["--sparse", format, "-cf", "-", "-C"]).arg(&source).arg("."));
        assert!(archive.len() < 10 << 20, "{format} is not sparse");
        let target = folder.path().join(format!("target{number}"));
        unpack(&archive, &target);
        check(&target, &want);
    }
}

#[test]
fn holes_for_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    create(&source);
    let want = contents(&source);
    let archive = pack(&source, 1);
    assert!(archive.len() < 5 << 20);
    assert!(archive == pack(&source, 3), "the number of threads changes the bytes");
    let file = folder.path().join("x.tar");
    fs::write(&file, &archive).unwrap();
    for program in ["tar", "bsdtar"] {
        let target = folder.path().join(program);
        fs::create_dir(&target).unwrap();
        run(Command::new(program).arg("-xpf").arg(&file).arg("-C").arg(&target));
        check(&target, &want);
    }
    let again = folder.path().join("again");
    unpack(&archive, &again);
    check(&again, &want);
    assert!(archive == pack(&again, 2), "it is not the same archive again");
}

/// A reader that knows nothing of holes is given zeros.
#[test]
fn contents_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path());
    fs::remove_file(folder.path().join("4g")).unwrap();
    fs::remove_file(folder.path().join("hole")).unwrap();
    let archive = pack(folder.path(), 1);
    let mut reader = Reader::with_limits(&archive[..], limits());
    while let Some(member) = reader.next().unwrap() {
        let name = member.entry.path.to_string();
        assert_eq!(reader.data().remaining(), member.entry.kind.size());
        if name != "." {
            let mut bytes = Vec::new();
            reader.data().read_to_end(&mut bytes).unwrap();
            assert!(bytes == fs::read(folder.path().join(&name)).unwrap(), "{name}");
        }
        if name == "ends" {
            assert_eq!(member.segments, Some(vec![Segment { offset: 0, length: 4096 }]));
        }
    }
}

#[test]
fn sparse_files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path());
    let archive = pack(folder.path(), 1);
    let refused = |limits: Limits| {
        let mut reader = Reader::with_limits(&archive[..], limits);
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("taken"),
                Err(error) => return error.to_string(),
            }
        }
    };
    assert!(
        refused(Limits { sparse: 1 << 31, ..limits() })
            .contains("more than 2147483648 bytes in a sparse file")
    );
    assert!(
        refused(Limits { segments: 10, ..limits() })
            .contains("the map of the sparse file `many` is not valid")
    );
    assert!(path("x").file_name().is_some());
}
