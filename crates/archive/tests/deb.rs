//! Binary packages: real ones and made ones against `dpkg-deb`, and what must be refused.

#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test is to fail the test")]

#[path = "../../tree/tests/differential/listing.rs"]
mod listing;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use ovmlayer_archive::deb::{Deb, DebError};
use sha2::{Digest, Sha256};
use tree::codec::{Encoder, Format};
use tree::{Entry, EntryPath, Error, Kind, Metadata, tar};

/// Packages with what is unusual somewhere: hard links (perl-base), set-id files (passwd, mount), many links (tzdata),
/// no contents (gcc base), diversions and triggers (dash, libc-bin), names beyond 100 bytes (zsh-common).
const REAL: &str = "base-files base-passwd bash bsdutils coreutils dash debconf debianutils diffutils dpkg findutils grep \
    gzip hostname init-system-helpers iputils-ping libacl1 libattr1 libaudit1 libblkid1 libbz2-1.0 libc-bin libc6 \
    libcap2 libcrypt1 liblz4-1 libpam-runtime libsystemd0 mawk mount ncurses-base ncurses-bin passwd perl-base sed \
    sysvinit-utils tar tzdata util-linux zlib1g zsh zsh-common";

const NO_LIMIT: u64 = 1 << 32;

#[test]
fn real_packages_read_as_dpkg_deb_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("apt-get")
        .arg("-qq")
        .arg("download")
        .args(REAL.split_whitespace())
        .current_dir(&folder)
        .status();
    assert!(status.unwrap().success(), "apt-get download failed: this test needs a reachable Debian mirror");
    let packages: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(packages.len(), REAL.split_whitespace().count());
    let members = compare_with_dpkg_deb(&packages);
    println!("{members} members compared");
    assert!(members > 4000);
}

#[test]
fn all_compressions_read_as_dpkg_deb_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    fs::create_dir_all(root.join("usr/share/doc/x")).unwrap();
    fs::write(root.join("DEBIAN/control"), CONTROL).unwrap();
    fs::write(root.join("DEBIAN/md5sums"), "").unwrap();
    fs::write(root.join("usr/share/doc/x/large"), "some text\n".repeat(100_000)).unwrap();
    std::os::unix::fs::symlink("large", root.join("usr/share/doc/x/link")).unwrap();
    let mut packages = Vec::new();
    for compression in ["none", "gzip", "xz", "zstd"] {
        for uniform in ["--uniform-compression", "--no-uniform-compression"] {
            let package = folder.path().join(format!("{compression}{uniform}.deb"));
            let built = Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Z", compression, uniform, "-b"])
                .args([&root, &package])
                .output()
                .unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            packages.push(package);
        }
    }
    assert_eq!(compare_with_dpkg_deb(&packages), 10 * packages.len());
}

/// Compares every member of both tars of each package; says how many there were.
fn compare_with_dpkg_deb(packages: &[PathBuf]) -> usize {
    let mut tars = Vec::new();
    for package in packages {
        for option in ["--ctrl-tarfile", "--fsys-tarfile"] {
            let tar = package.with_extension(option);
            let output = File::create(&tar).unwrap();
            let status = Command::new("dpkg-deb").arg(option).arg(package).stdout(output).status().unwrap();
            assert!(status.success(), "dpkg-deb {option} {}: {status}", package.display());
            tars.push(tar);
        }
    }
    let wanted = listing::pythons(&tars);
    assert_eq!(wanted.len(), tars.len());
    for (package, want) in packages.iter().zip(wanted.chunks(2)) {
        compare_one(package, &want[0], &want[1]);
    }
    wanted.iter().map(|listing| listing.lines().count()).sum()
}

fn compare_one(package: &Path, want_control: &str, want_data: &str) {
    let deb = Deb::open(File::open(package).unwrap()).unwrap();
    let mut control = String::new();
    for file in deb.control().files() {
        let digest = hex::encode(Sha256::digest(&file.contents));
        writeln!(control, "{} {:o} {digest}", hex::encode(&file.name), file.mode).unwrap();
    }
    let want: String = want_control
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields[0] == "file")
        .map(|fields| format!("{} {} {}\n", fields[1], fields[2], fields[10]))
        .collect();
    assert_eq!(control, want, "{}", package.display());
    let (_, mut data) = deb.into_data(NO_LIMIT).unwrap();
    let got = listing::ours(&mut data);
    assert!(got == want_data, "{}:\n{got}\nis not\n{want_data}", package.display());
}

const CONTROL: &str =
    "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: x\n";

/// A package in the making: `ar` members in their order.
struct Parts(Vec<(String, Vec<u8>)>);

impl Parts {
    fn good() -> Parts {
        let control = pack(&[("./", None), ("./control", Some(CONTROL.as_bytes()))]);
        let data = pack(&[("./", None), ("./etc/", None), ("./etc/x", Some(b"contents"))]);
        Parts(vec![
            ("debian-binary".into(), b"2.0\n".to_vec()),
            ("control.tar.xz".into(), compress(Format::Xz, &control)),
            ("data.tar.zst".into(), compress(Format::Zstd, &data)),
        ])
    }

    fn with(mut self, index: usize, name: &str, contents: impl Into<Vec<u8>>) -> Parts {
        self.0[index] = (name.to_owned(), contents.into());
        self
    }

    fn insert(mut self, index: usize, name: &str) -> Parts {
        self.0.insert(index, (name.to_owned(), b"odd".to_vec()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, contents) in &self.0 {
            writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", contents.len())
                .unwrap();
            bytes.extend_from_slice(contents);
            if contents.len() % 2 == 1 {
                bytes.push(b'\n');
            }
        }
        bytes
    }
}

/// A tar of directories (no contents) and files.
fn pack(entries: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut writer = tar::Writer::new(Vec::new());
    for (name, contents) in entries {
        let path = EntryPath::parse(name.as_bytes()).unwrap();
        let kind = contents.map_or(Kind::Directory, |contents| Kind::File { size: contents.len() as u64 });
        let entry = Entry { path, kind, metadata: Metadata::new(0o755, 0) };
        writer.append(&entry, &mut contents.unwrap_or_default()).unwrap();
    }
    writer.finish().unwrap()
}

fn compress(format: Format, contents: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(format, Vec::new(), 1).unwrap();
    encoder.write_all(contents).unwrap();
    encoder.finish().unwrap()
}

/// Everything a package can go wrong with, read to its end.
fn read_all(bytes: &[u8]) -> Result<usize, String> {
    let chain = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            write!(text, ": {error}").unwrap();
            source = error.source();
        }
        text
    };
    let deb = Deb::open(bytes).map_err(|error| chain(&error))?;
    let (control, mut data) = deb.into_data(1 << 20).map_err(|error| chain(&error))?;
    let mut members = control.files().len();
    while data.next().map_err(|error| chain(&error))?.is_some() {
        io::copy(&mut data.data(), &mut io::sink()).map_err(|error| chain(&Error::Read(error)))?;
        members += 1;
    }
    Ok(members)
}

#[test]
fn good_packages_are_read() {
    assert_eq!(read_all(&Parts::good().bytes()), Ok(4));
    assert_eq!(read_all(&Parts::good().insert(1, "_gpgorigin").bytes()), Ok(4));
    assert_eq!(read_all(&Parts::good().insert(2, "_x").insert(1, "_y/").bytes()), Ok(4));
    assert_eq!(read_all(&Parts::good().insert(3, "later").bytes()), Ok(4));
    assert_eq!(read_all(&Parts::good().with(0, "debian-binary/", "2.1\nmore\n").bytes()), Ok(4));
}

#[test]
fn bad_packages_are_refused() {
    let control =
        |entries: &[(&str, Option<&[u8]>)]| Parts::good().with(1, "control.tar", pack(entries)).bytes();
    let large = vec![b'x'; 2 << 20];
    let zeros = compress(Format::Zstd, &pack(&[("zeros", Some(&vec![0; 2 << 20]))]));
    let mut bomb_header = pack(&[("control", Some(b""))]);
    claim_size(&mut bomb_header, 100_000_000);
    let mut cut = Parts::good().with(2, "data.tar", pack(&[("a", None), ("b", None)])).bytes();
    cut.truncate(cut.len() - 10240 + 512);
    let mut bad_size = Parts::good().bytes();
    bad_size[8 + 48] = b'-';
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("no package", b"PK\x03\x04".to_vec(), "this is no Debian package: it does not begin with `!<arch>`"),
        ("empty", Vec::new(), "this is no Debian package: it does not begin with `!<arch>`"),
        ("magic alone", b"!<arch>\n".to_vec(), "damaged package: it ends before its `debian-binary`"),
        (
            "old version",
            Parts::good().with(0, "debian-binary", "1.0\n").bytes(),
            "package format `1.0` is not known; 2.0 is",
        ),
        (
            "no version",
            Parts::good().with(0, "debian-binary", "2.\n").bytes(),
            "package format `2.` is not known; 2.0 is",
        ),
        (
            "long version",
            Parts::good().with(0, "debian-binary", vec![b'2'; 4096]).bytes(),
            "`debian-binary` of the package has 4096 bytes, more than 1024",
        ),
        ("bad number", bad_size, "damaged package: member header at byte 8 is not valid"),
        (
            "member before control",
            Parts::good().insert(1, "odd").bytes(),
            "package has member `odd` where `control.tar` belongs",
        ),
        (
            "member before data",
            Parts::good().insert(2, "odd").bytes(),
            "package has member `odd` where `data.tar` belongs",
        ),
        (
            "bzip2",
            Parts::good().with(2, "data.tar.bz2", "BZh").bytes(),
            "package member `data.tar.bz2` is compressed with bzip2 or lzma, which is not supported; repack it with xz \
             or zstd",
        ),
        (
            "another compression than its name",
            Parts::good().with(1, "control.tar.gz", compress(Format::Xz, b"")).bytes(),
            "`control.tar.gz` of the package is not acceptable: cannot read the archive: invalid gzip header",
        ),
        (
            "no control",
            control(&[("md5sums", Some(b""))]),
            "the package's control archive has no file `control`",
        ),
        (
            "control twice",
            control(&[("control", Some(b"")), ("./control", Some(b""))]),
            "the package's control archive holds `control` twice",
        ),
        (
            "folder in control",
            control(&[("a/", None)]),
            "the package's control archive holds `a`, which is no plain file at its top",
        ),
        (
            "file in a folder in control",
            control(&[("a/control", Some(b""))]),
            "the package's control archive holds `a/control`, which is no plain file at its top",
        ),
        (
            "not UTF-8",
            control(&[("control", Some(b"ab\xff"))]),
            "the package's file `control` is not UTF-8 from byte 2 on",
        ),
        (
            "large control",
            control(&[("control", Some(&large))]),
            "`control` of the package has 2097152 bytes, more than 1048576",
        ),
        (
            "control of 100 MB, refused by its header",
            Parts::good().with(1, "control.tar", bomb_header).bytes(),
            "`control` of the package has 100000000 bytes, more than 1048576",
        ),
        (
            "control archive that expands",
            Parts::good().with(1, "control.tar.zst", compress(Format::Zstd, &vec![b'x'; 40 << 20])).bytes(),
            "`control.tar.zst` of the package is not acceptable: tar member 1 (header at byte 0): wrong header checksum; \
             this is no tar archive or a damaged one",
        ),
        (
            "data that expands",
            Parts::good().with(2, "data.tar.zst", zeros).bytes(),
            "cannot read the archive: `data.tar.zst` of the package expands to more than 1048576 bytes, more than its \
             index promised",
        ),
        ("cut off", cut, "cannot read the archive: the package is cut off: 9728 bytes are missing"),
    ];
    for (summary, bytes, want) in table {
        let got = read_all(bytes).expect_err(summary);
        assert!(got.starts_with(want), "{summary}: {got}\nwant: {want}");
    }
    let many = (0..20).fold(Parts::good(), |parts, _| parts.insert(1, "_x"));
    assert_eq!(read_all(&many.bytes()).unwrap_err(), "package has more than 16 additional members");
}

/// A control archive may not expand without end behind its last file either.
#[test]
fn a_control_archive_without_end_is_refused() {
    let mut endless = pack(&[("control", Some(CONTROL.as_bytes()))]);
    endless.resize(40 << 20, 0);
    let bytes = Parts::good().with(1, "control.tar.zst", compress(Format::Zstd, &endless)).bytes();
    let error = Deb::open(&bytes[..]).unwrap_err();
    assert!(matches!(error, DebError::Tar { .. }));
    assert!(read_all(&bytes).unwrap_err().contains("more than 16777216 bytes, which is the limit"));
}

#[test]
fn every_cut_of_a_package_is_an_error() {
    let bytes = Parts::good().bytes();
    for length in 0..bytes.len() - 1 {
        assert!(read_all(&bytes[..length]).is_err(), "cut at {length} of {}", bytes.len());
    }
}

#[test]
fn control_files_by_name() {
    let control = pack(&[
        ("control", Some(CONTROL.as_bytes())),
        ("conffiles", Some(b"/etc/a\n\nremove-on-upgrade /etc/b\n")),
        ("preinst", Some(b"#!/bin/sh\n")),
    ]);
    let bytes = Parts::good().with(1, "control.tar", control).bytes();
    let deb = Deb::open(&bytes[..]).unwrap();
    let control = deb.control();
    assert_eq!(control.control(), CONTROL);
    assert_eq!(control.conffiles().collect::<Vec<_>>(), [&b"/etc/a"[..], b"remove-on-upgrade /etc/b"]);
    assert!(control.has_script("preinst") && !control.has_script("postinst"));
    assert_eq!(control.file("preinst").unwrap().mode, 0o755);
    assert_eq!(deb.data_format(), Format::Zstd);
    let (_, mut data) = deb.into_data(NO_LIMIT).unwrap();
    let mut contents = String::new();
    while let Some(member) = data.next().unwrap() {
        if member.entry.path.as_bytes() == b"etc/x" {
            data.data().read_to_string(&mut contents).unwrap();
        }
    }
    assert_eq!(contents, "contents");
}

/// Puts another size into the first header of a tar.
fn claim_size(tar: &mut [u8], size: u64) {
    tar[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().copied().map(u32::from).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
