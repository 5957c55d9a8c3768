//! The reader against GNU tar, bsdtar and Python on what they write, and on what must be refused.

use std::fs;
use std::io::{self, Read};
use std::process::Command;

use tree::tar::{Limits, Reader};
use tree::{Error, Kind};

use crate::listing;
use crate::samples::{self, create, entries, path, run};

/// Every format of every program: what ours reads is what Python reads.
#[test]
fn archives_of_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, extreme) = (folder.path().join("plain"), folder.path().join("extreme"));
    create(&plain, &entries(false));
    create(&extreme, &entries(true));
    let python = |format: &str| {
        format!(
            "import sys, tarfile; t = tarfile.open(sys.argv[1], 'w', format=tarfile.{format}, \
             encoding='utf-8', errors='surrogateescape'); t.add('.')"
        )
    };
    let mut made = Vec::new();
    let mut make = |name: &str, source: &std::path::Path, command: &mut Command| {
        let archive = folder.path().join(name);
        command.arg(&archive).current_dir(source);
        if !name.starts_with("python") {
            command.arg(".");
        }
        run(command);
        made.push((name.to_owned(), archive));
    };
    for format in ["v7", "ustar", "oldgnu", "gnu", "posix"] {
        let source = if matches!(format, "v7" | "ustar") { &plain } else { &extreme };
        let mut gnu = Command::new("tar");
        gnu.args(["--sort=name", "--format", format]);
        match format {
            // No named pipes in version 7, no extended attributes but with PAX.
            "v7" => drop(gnu.arg("--exclude=./fifo")),
            "posix" => drop(gnu.arg("--xattrs")),
            _ => {}
        }
        gnu.arg("-cf");
        make(&format!("gnu-{format}"), source, &mut gnu);
    }
    for format in ["ustar", "gnutar", "pax"] {
        let source = if format == "ustar" { &plain } else { &extreme };
        make(&format!("bsd-{format}"), source, Command::new("bsdtar").args(["--format", format, "-cf"]));
    }
    for format in ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"] {
        let source = if format == "USTAR_FORMAT" { &plain } else { &extreme };
        make(&format!("python-{format}"), source, Command::new("python3").arg("-c").arg(python(format)));
    }
    let paths: Vec<_> = made.iter().map(|(_, archive)| archive.clone()).collect();
    let wanted = listing::pythons(&paths);
    for ((name, archive), want) in made.iter().zip(&wanted) {
        let got = listing::ours(&mut Reader::new(fs::File::open(archive).unwrap()));
        let extreme = !name.ends_with("v7") && !name.to_lowercase().contains("ustar");
        let missing = usize::from(name == "gnu-v7");
        assert_eq!(got.lines().count(), entries(extreme).len() - missing, "{name}");
        assert!(got == *want, "{name}:\n{got}\nis not\n{want}");
    }
    let posix = wanted[4].clone();
    assert!(posix.contains(&hex::encode("user.note")), "GNU tar wrote no extended attributes:\n{posix}");
}

/// `tar --sort=name` walks in path order.
#[test]
fn path_order_is_that_of_gnu_tar() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "a.b", "a-b", "a/x", "a/x.y", "a/x/z", "a b", "B", "a0", "é", "a/x y"] {
        let name = folder.path().join(format!("{name}/end"));
        fs::create_dir_all(name).unwrap();
    }
    let archive =
        run(Command::new("tar").args(["--sort=name", "-cf", "-", "-C"]).arg(folder.path()).arg("."));
    let mut reader = Reader::new(&archive[..]);
    let mut walked = Vec::new();
    while let Some(member) = reader.next().unwrap() {
        walked.push(member.entry.path);
    }
    assert_eq!(walked.len(), 23);
    assert!(walked.is_sorted(), "{walked:?}");
}

#[test]
fn sparse_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("sparse")).unwrap();
    file.set_len(10 << 20).unwrap();
    for format in ["gnu", "posix"] {
        let archive = run(Command::new("tar")
            .args(["--sparse", "--format", format, "-cf", "-", "sparse"])
            .current_dir(folder.path()));
        let error = read_all(&archive, Limits::default()).unwrap_err().to_string();
        assert!(error.contains("is a sparse file, which is not supported"), "{format}: {error}");
    }
}

/// Reads members and contents to the end; says how many members.
fn read_all(archive: &[u8], limits: Limits) -> Result<usize, Error> {
    let mut reader = Reader::with_limits(archive, limits);
    let mut members = 0;
    while reader.next()?.is_some() {
        io::copy(&mut reader.data(), &mut io::sink()).map_err(Error::Read)?;
        members += 1;
    }
    Ok(members)
}

/// One block with a right checksum.
fn header(name: &[u8], flag: u8, size: &[u8], link: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..124 + size.len()].copy_from_slice(size);
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = flag;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(block)
}

fn seal(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A character device with these digits as its numbers.
fn device(digits: &[u8; 8]) -> Vec<u8> {
    let mut block = header(b"x", b'3', b"0", b"");
    block[329..337].copy_from_slice(digits);
    block[337..345].copy_from_slice(digits);
    seal(block)
}

/// A header and its contents, padded.
fn with_contents(mut header: Vec<u8>, contents: &[u8]) -> Vec<u8> {
    header.extend_from_slice(contents);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn pax(flag: u8, records: &[u8]) -> Vec<u8> {
    with_contents(header(b"pax", flag, format!("{:011o}", records.len()).as_bytes(), b""), records)
}

#[test]
fn refused_archives() {
    let file = || header(b"x", b'0', b"0", b"");
    let changed = |at: usize, byte: u8| {
        let mut block = file();
        block[at] = byte;
        seal(block)
    };
    let mut damaged = file();
    damaged[0] = b'y';
    let at = |offset: u64| format!("tar member 1 (header at byte {offset}): ");
    let table: Vec<(&str, Vec<u8>, String)> = vec![
        ("absolute", header(b"/etc/passwd", b'0', b"0", b""), at(0) + "name `/etc/passwd` is absolute"),
        ("parent", header(b"a/../../b", b'0', b"0", b""), at(0) + "name `a/../../b` has a `..` component"),
        ("absolute by PAX", [pax(b'x', b"12 path=/ab\n"), file()].concat(), at(0) + "name `/ab` is absolute"),
        (
            "NUL by PAX",
            [pax(b'x', b"12 path=a\0b\n"), file()].concat(),
            at(0) + "name `a\\u{0}b` contains a NUL byte",
        ),
        (
            "absolute by GNU",
            [with_contents(header(b"././@LongLink", b'L', b"5", b""), b"/abc\0"), file()].concat(),
            at(0) + "name `/abc` is absolute",
        ),
        (
            "hard link to an absolute name",
            header(b"x", b'1', b"0", b"/etc/shadow"),
            at(0) + "hard link `x`: target name `/etc/shadow` is absolute",
        ),
        (
            "hard link out",
            header(b"x", b'1', b"0", b"../x"),
            at(0) + "hard link `x`: target name `../x` has a `..` component",
        ),
        (
            "hard link to itself",
            header(b"x", b'1', b"0", b"./x"),
            at(0) + "hard link `x` points to itself or to the root",
        ),
        (
            "hard link to the root",
            header(b"x", b'1', b"0", b""),
            at(0) + "hard link `x` points to itself or to the root",
        ),
        (
            "empty symbolic link",
            header(b"x", b'2', b"0", b""),
            at(0) + "symbolic link `x` has an empty target or one with a NUL byte",
        ),
        ("root as a file", header(b"./", b'2', b"0", b"x"), at(0) + "the root `./` is not a directory"),
        (
            "directory with contents",
            with_contents(header(b"x/", b'5', b"1", b""), b"x"),
            at(0) + "`x/` is a directory and yet has 1 bytes of contents",
        ),
        ("unknown type", header(b"x", b'V', b"0", b""), at(0) + "`x` has the unknown type `V`"),
        ("old sparse", header(b"x", b'S', b"0", b""), at(0) + "`x` is a sparse file"),
        ("wrong checksum", damaged, at(0) + "wrong header checksum; this is no tar archive or a damaged one"),
        ("text", vec![b'a'; 512], at(0) + "wrong header checksum; this is no tar archive or a damaged one"),
        ("bad mode", changed(100, b'9'), at(0) + "field mode holds no valid number: `9000644\\u{0}`"),
        (
            "negative size",
            header(b"x", b'0', b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b""),
            at(0) + "field size holds no valid number",
        ),
        (
            "owner that is none",
            [pax(b'x', b"18 uid=4294967295\n"), file()].concat(),
            at(0) + "field uid holds no valid number: `4294967295`",
        ),
        // Found by fuzzing: eight digits would come back as other numbers.
        (
            "great device number",
            device(b"11111111"),
            at(0) + "field devmajor holds no valid number: `11111111`",
        ),
        ("cut header", file()[..100].to_vec(), at(0) + "the archive ends in the middle of a header"),
        (
            "bad record",
            [pax(b'x', b"99 path=a\n"), file()].concat(),
            at(0) + "malformed PAX record: `99 path=a\\n`",
        ),
        (
            "global path",
            [pax(b'g', b"10 path=a\n"), file()].concat(),
            at(0) + "malformed PAX record: `global path`",
        ),
        (
            "extension alone",
            pax(b'x', b"10 path=a\n"),
            at(0) + "an extension header without a member after it",
        ),
        (
            "great extension",
            header(b"x", b'x', b"77777777777", b""),
            at(0) + "more than 1048576 bytes of extension headers, which is the limit",
        ),
        (
            "second member",
            [header(b"x", b'0', b"0", b""), header(b"/", b'0', b"0", b"")].concat(),
            "tar member 2 (header at byte 512): name `/` is absolute".to_owned(),
        ),
    ];
    for (summary, archive, want) in table {
        let error = read_all(&archive, Limits::default()).expect_err(summary).to_string();
        assert!(error.starts_with(&want), "{summary}: {error}");
    }
}

#[test]
fn contents_that_are_cut_off() {
    let archive = with_contents(header(b"x", b'0', b"00000002000", b""), &[1; 1000]);
    let mut reader = Reader::new(&archive[..1000]);
    reader.next().unwrap();
    let error = reader.data().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(
        error.to_string(),
        "tar member 1 (header at byte 0): the archive ends in the middle of a member's contents"
    );
    let mut reader = Reader::new(&archive[..1000]);
    reader.next().unwrap();
    assert!(reader.next().is_err());
}

#[test]
fn limits_are_named() {
    let default = Limits::default();
    let member = header(b"x", b'0', b"0", b"");
    let two = [member.clone(), member.clone()].concat();
    let limits = Limits { entries: 1, ..default };
    assert!(read_all(&two, limits).unwrap_err().to_string().contains("more than 1 members"));
    assert_eq!(read_all(&two, Limits { entries: 2, ..default }).unwrap(), 2);
    let link = header(b"x", b'2', b"0", b"12345");
    let limits = Limits { symlink: 4, ..default };
    let error = read_all(&link, limits).unwrap_err().to_string();
    assert!(error.contains("more than 4 bytes in the target of a symbolic link"), "{error}");
    let limits = Limits { total: 1023, ..default };
    assert!(read_all(&two, limits).unwrap_err().to_string().contains("more than 1023 bytes"));
    assert_eq!(read_all(&two, Limits { total: 1024, ..default }).unwrap(), 2);
    let file = with_contents(header(b"x", b'0', b"00000000144", b""), &[1; 100]);
    let limits = Limits { total: 600, ..default };
    assert!(
        read_all(&file, limits).unwrap_err().to_string().contains("cannot read the archive")
            || file.len() > 600
    );
    // Many small extension headers count together.
    let many: Vec<u8> = (0..100).flat_map(|_| pax(b'x', b"10 path=a\n")).collect();
    let limits = Limits { extensions: 500, ..default };
    let error = read_all(&[many, member].concat(), limits).unwrap_err().to_string();
    assert!(error.contains("more than 500 bytes of extension headers"), "{error}");
}

#[test]
fn what_extensions_mean() {
    let value = |archive: Vec<u8>| Reader::new(&archive[..]).next().unwrap().unwrap();
    let file = || header(b"x", b'0', b"0", b"");
    let member = value([pax(b'g', b"16 comment=abcd\n18 uname=everyone\n"), file()].concat());
    assert_eq!(member.user_name, b"everyone");
    // An empty value takes back what a global header said.
    let member = value([pax(b'g', b"18 uname=everyone\n"), pax(b'x', b"9 uname=\n"), file()].concat());
    assert_eq!(member.user_name, b"");
    // PAX wins over GNU, whichever comes first.
    let gnu = || with_contents(header(b"././@LongLink", b'L', b"4", b""), b"gnu\0");
    for extensions in [[pax(b'x', b"12 path=pax\n"), gnu()], [gnu(), pax(b'x', b"12 path=pax\n")]] {
        let member = value([extensions.concat(), file()].concat());
        assert_eq!(member.entry.path, path("pax"));
    }
    // A name that ends in a slash is a directory, whatever its type flag says.
    assert_eq!(value(header(b"d/", b'0', b"0", b"")).entry.kind, Kind::Directory);
    // The size of a hard link counts for nothing.
    let archive = [header(b"x", b'1', b"5", b"y"), header(b"z", b'0', b"0", b"")].concat();
    assert_eq!(read_all(&archive, Limits::default()).unwrap(), 2);
    // The same with LIBARCHIVE's spelling beside it is one attribute.
    let member =
        value([pax(b'x', b"25 SCHILY.xattr.user.a=1\n30 LIBARCHIVE.xattr.user.a=MQ\n"), file()].concat());
    assert_eq!(member.entry.metadata.xattrs.len(), 1);
}

/// However the source is cut into reads, the result is the same.
#[test]
fn reads_of_any_size() {
    struct Drip<'a>(&'a [u8], usize);
    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 % 700 + 1;
            let step = self.1.min(buffer.len());
            self.0.read(&mut buffer[..step])
        }
    }
    let archive = samples::write(&entries(true));
    let want = listing::ours(&mut Reader::new(&archive[..]));
    assert_eq!(listing::ours(&mut Reader::new(Drip(&archive, 0))), want);
}
