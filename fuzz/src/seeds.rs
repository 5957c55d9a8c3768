//! Good inputs to begin with, and words of their languages.

use std::io::Write;

use tree::codec::{Encoder, Format};
use tree::{Entry, EntryPath, Kind, Metadata, tar};

pub(crate) const TAR_WORDS: &[&str] = &[
    "ustar\x0000",
    "ustar  \0",
    "../",
    "/etc/passwd",
    "././@LongLink",
    "30 path=",
    "19 linkpath=x\n",
    "20 SCHILY.xattr.a=\n",
    "22 GNU.sparse.major=1\n",
    "28 GNU.sparse.realsize=4096\n",
    "25 GNU.sparse.map=0,5,9,1\n",
    "21 GNU.sparse.size=9\n",
    "77777777777\0",
    "0000644\0",
    "\0\0\0\0\0\0\0\0",
];

pub(crate) const LAYER_WORDS: &[&str] = &[
    "ovmlayer.json",
    "layers/l/",
    "layers/m/",
    "sums/l",
    "{\"format\":1,\"digest\":\"blake3\",\"layers\":[\"l\"]}\n",
    ".wh.",
    ".wh..wh..opq",
    ".wh..wh..name.",
    "../",
    "/etc/passwd",
    "22 GNU.sparse.major=1\n",
    "28 GNU.sparse.realsize=4096\n",
    "ustar\x0000",
    "00000000000\0",
];

pub(crate) const DEB_WORDS: &[&str] = &[
    "!<arch>\n",
    "debian-binary   ",
    "control.tar     ",
    "data.tar        ",
    "control.tar.xz  ",
    "data.tar.zst    ",
    "_ignored        ",
    "9999999999`\n",
    "0         `\n",
    "2.0\n",
    "ustar\x0000",
    "./control",
];

pub(crate) const CONTROL_WORDS: &[&str] = &[
    "\n\n",
    "\n ",
    "\n.\n",
    "#",
    "Package: ",
    "Version: ",
    "Depends: ",
    "Provides: ",
    "Architecture: ",
    "Filename: ",
    "SHA256: ",
    "Size: ",
    "Multi-Arch: ",
    " | ",
    " (>= 1)",
    " (= ",
    ":any",
    "[amd64 !i386]",
    "<!nocheck>",
    "é",
    "\u{feff}",
    "\r\n",
    "Essential: yes\n",
    "4294967296",
    "-1",
];

pub(crate) const VERSION_WORDS: &[&str] = &[
    "\n",
    ":",
    "-",
    "~",
    "~~",
    "+",
    ".",
    "0",
    "00",
    "99999999999999999999",
    "a",
    "A",
    "~rc1",
    "+b1",
    "é",
    " ",
];

pub(crate) const RELEASE_WORDS: &[&str] = &[
    "SHA256:\n",
    "Date: ",
    "Valid-Until: ",
    "Suite: ",
    "Codename: ",
    "Components: ",
    "Architectures: ",
    "Acquire-By-Hash: yes\n",
    "\n ",
    "\n\n",
    "99999999999999999999",
    "../../etc/passwd",
    "GMT",
    "+0000",
    "é",
];

/// A tar in several of its forms: ours, and old GNU's long names.
pub(crate) fn tar() -> Vec<Vec<u8>> {
    let mut all = vec![sample_tar(), Vec::new()];
    let mut gnu = vec![0; 2048];
    gnu[..13].copy_from_slice(b"././@LongLink");
    gnu[100..108].copy_from_slice(b"0000000\0");
    gnu[124..136].copy_from_slice(b"00000000144\0");
    gnu[156] = b'L';
    gnu[257..265].copy_from_slice(b"ustar  \0");
    gnu[512..612].fill(b'n');
    gnu.copy_within(0..512, 1024);
    gnu[1024 + 156] = b'0';
    gnu[1024 + 124..1024 + 136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x05");
    all.push(crate::targets::mended(&gnu));
    all.push(old_sparse());
    all.push(sparse("sparse"));
    all
}

/// A sparse file in old GNU's form, its map in the header and in a block after it.
fn old_sparse() -> Vec<u8> {
    let mut bytes = raw("old", b'S', 10);
    for (pair, numbers) in [(0, "00000000000\x0000000000005\x00"), (1, "00000010000\x0000000000005\x00")] {
        bytes[386 + pair * 24..386 + (pair + 1) * 24].copy_from_slice(numbers.as_bytes());
    }
    bytes[482] = 1;
    bytes[483..495].copy_from_slice(b"00000040000\0");
    bytes.resize(1024, 0);
    bytes[512..536].copy_from_slice(b"00000040000\x0000000000000\x00");
    bytes.extend_from_slice(&[b'x'; 512]);
    crate::targets::mended(&bytes)
}

/// A sparse file in PAX form 1.0.
fn sparse(name: &str) -> Vec<u8> {
    let record = |key: &str, value: &str| {
        let length = key.len() + value.len() + 3;
        format!("{} {key}={value}\n", length + 2)
    };
    let records = [
        record("GNU.sparse.major", "1"),
        record("GNU.sparse.minor", "0"),
        record("GNU.sparse.name", name),
        record("GNU.sparse.realsize", "16384"),
    ]
    .concat();
    let mut bytes = raw("PaxHeaders/x", b'x', records.len());
    bytes.extend_from_slice(records.as_bytes());
    bytes.resize(1024, 0);
    bytes.extend_from_slice(&raw("GNUSparseFile.0/sparse", b'0', 512 + 5));
    bytes.extend_from_slice(b"2\n4096\n5\n16384\n0\n");
    bytes.resize(4 * 512, 0);
    bytes.extend_from_slice(b"12345");
    bytes.resize(5 * 512, 0);
    crate::targets::mended(&bytes)
}

/// A header without its checksum.
fn raw(name: &str, flag: u8, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block
}

/// What a layer may hold, marks included, beneath `prefix`.
fn layer_entries(prefix: &str) -> Vec<(String, Kind, &'static [u8])> {
    let target = path(&format!("{prefix}usr/tool"));
    let entries: [(&str, Kind, &[u8]); 9] = [
        ("usr", Kind::Directory, b""),
        ("usr/.wh..wh..opq", Kind::File { size: 0 }, b""),
        ("usr/.wh.gone", Kind::File { size: 0 }, b""),
        ("usr/tool", Kind::File { size: 9 }, b"127.0.0.1"),
        ("usr/same", Kind::HardLink { target }, b""),
        ("link", Kind::Symlink { target: b"/etc".to_vec() }, b""),
        ("null", Kind::CharDevice { major: 1, minor: 3 }, b""),
        ("pipe", Kind::Fifo, b""),
        (".wh.dir", Kind::File { size: 0 }, b""),
    ];
    entries.into_iter().map(|(name, kind, contents)| (format!("{prefix}{name}"), kind, contents)).collect()
}

/// Archives of one layer and of two, one with a sparse file and names that are escaped.
pub(crate) fn layers() -> Vec<Vec<u8>> {
    let archive = |names: &[&str], extra: bool| {
        let mut writer = tar::Writer::new(Vec::new());
        let list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
        let manifest = format!("{{\"format\":1,\"digest\":\"blake3\",\"layers\":[{list}]}}\n");
        let file = |name: &str, size: usize| Entry {
            path: path(name),
            kind: Kind::File { size: size as u64 },
            metadata: Metadata::new(0o644, 0),
        };
        let mut write = || {
            writer.append(&file("ovmlayer.json", manifest.len()), &mut manifest.as_bytes())?;
            for name in names {
                for (path_name, kind, contents) in layer_entries(&format!("layers/{name}/")) {
                    let entry = Entry { path: path(&path_name), kind, metadata: Metadata::new(0o755, 7) };
                    writer.append(&entry, &mut &contents[..])?;
                }
                if extra {
                    let escaped = file(&format!("layers/{name}/.wh..wh..name..wh.real"), 4);
                    writer.append(&escaped, &mut &b"real"[..])?;
                }
                writer.append_late(&file(&format!("sums/{name}"), 65), |sink| {
                    format!("{}\n", blake3::hash(sink).to_hex()).into_bytes()
                })?;
            }
            tree::Result::Ok(())
        };
        let written = write();
        written.and_then(|()| writer.finish()).unwrap_or_default()
    };
    vec![archive(&["l"], false), archive(&["l", "m"], true)]
}

/// Layers of OCI images.
pub(crate) fn oci() -> Vec<Vec<u8>> {
    let mut archive = Archive::default();
    for (name, kind, contents) in layer_entries("") {
        archive.add(&name, kind, Metadata::new(0o755, 7), contents);
    }
    vec![archive.finish(), sparse("sparse")]
}

/// An archive of these files.
pub(crate) fn files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Archive::default();
    for (name, contents) in files {
        archive.add(name, Kind::File { size: contents.len() as u64 }, Metadata::new(0o644, 7), contents);
    }
    archive.finish()
}

/// Entries of every kind, with extension headers.
fn sample_tar() -> Vec<u8> {
    let entries: [(&str, Kind); 9] = [
        ("", Kind::Directory),
        ("bin", Kind::Symlink { target: b"usr/bin".to_vec() }),
        ("etc", Kind::Directory),
        ("etc/fifo", Kind::Fifo),
        ("etc/hosts", Kind::File { size: 9 }),
        ("etc/null", Kind::CharDevice { major: 1, minor: 3 }),
        ("etc/same", Kind::HardLink { target: path("etc/hosts") }),
        (&"l".repeat(120), Kind::File { size: 9 }),
        ("sda", Kind::BlockDevice { major: 8, minor: 0 }),
    ];
    let mut archive = Archive::default();
    for (number, (name, kind)) in entries.into_iter().enumerate() {
        let mut metadata = Metadata::new(0o755, 1_700_000_000);
        if number == 7 {
            metadata.uid = 3_000_000;
            metadata.mtime = -1;
            metadata.xattrs.insert(b"user.note".to_vec(), b"text".to_vec());
        }
        archive.add(name, kind, metadata, b"127.0.0.1");
    }
    archive.finish()
}

/// Packages with plain, gzip, xz and zstd members; mostly plain, where changes reach what is inside.
pub(crate) fn deb() -> Vec<Vec<u8>> {
    let mut control = Archive::default();
    control.add("", Kind::Directory, Metadata::new(0o755, 0), b"");
    for name in ["conffiles", "control", "postinst"] {
        let contents = CONTROL.as_bytes();
        control.add(name, Kind::File { size: contents.len() as u64 }, Metadata::new(0o755, 0), contents);
    }
    let (control, data) = (control.finish(), sample_tar());
    let formats = [Format::Plain, Format::Plain, Format::Gzip, Format::Xz, Format::Zstd];
    formats.into_iter().map(|format| package(format, &control, &data)).collect()
}

fn package(format: Format, control: &[u8], data: &[u8]) -> Vec<u8> {
    let ending = if format == Format::Plain { String::new() } else { format!(".{format}") };
    let parts = [
        ("debian-binary".to_owned(), b"2.0\n".to_vec()),
        (format!("control.tar{ending}"), compressed(format, control)),
        (format!("data.tar{ending}"), compressed(format, data)),
    ];
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, contents) in parts {
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", contents.len());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&contents);
        if contents.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// `contents` compressed; writing into memory cannot fail, and if it did the seed would only be a poorer one.
fn compressed(format: Format, contents: &[u8]) -> Vec<u8> {
    let encode = || {
        let mut encoder = Encoder::new(format, Vec::new(), 1)?;
        encoder.write_all(contents)?;
        encoder.finish()
    };
    encode().unwrap_or_default()
}

/// A tar in the making; likewise.
#[derive(Default)]
struct Archive(Vec<(Entry, Vec<u8>)>);

impl Archive {
    fn add(&mut self, name: &str, kind: Kind, metadata: Metadata, contents: &[u8]) {
        self.0.push((Entry { path: path(name), kind, metadata }, contents.to_vec()));
    }

    fn finish(self) -> Vec<u8> {
        let mut writer = tar::Writer::new(Vec::new());
        let written =
            self.0.iter().try_for_each(|(entry, contents)| writer.append(entry, &mut &contents[..]));
        written.and_then(|()| writer.finish()).unwrap_or_default()
    }
}

fn path(name: &str) -> EntryPath {
    EntryPath::parse(name.as_bytes()).unwrap_or_default()
}

const CONTROL: &str = "Package: zsh
Source: zsh (5.9-4)
Version: 5.9-4+b5
Architecture: amd64
Maintainer: Somebody <somebody@example.org>
Installed-Size: 2499
Pre-Depends: libc6 (>= 2.34), libtinfo6 (>= 6)
Depends: zsh-common (= 5.9-4), libcap2 (>= 1:2.10) [linux-any] <!stage1>, debconf (>= 0.5) | debconf-2.0:any
Provides: shell, x (= 2)
Breaks: old (<< 1~)
Multi-Arch: allowed
Priority: optional
Essential: yes
Filename: pool/main/z/zsh/zsh_5.9-4+b5_amd64.deb
Size: 930920
SHA256: 0000000000000000000000000000000000000000000000000000000000000000
Description: shell with lots of features
 The first line.
 .
 The last line: with a colon.
";

pub(crate) fn control() -> Vec<Vec<u8>> {
    let two = format!("# a comment\n{CONTROL}\n\n\nPackage: x\nVersion: 1\n");
    vec![CONTROL.as_bytes().to_vec(), two.into_bytes(), b"Field:\n value\n\tvalue\nX-Y:z".to_vec()]
}

pub(crate) fn version() -> Vec<Vec<u8>> {
    let texts = ["1:2.30-5~rc1+b1\n2.30\n1.0", "0\n0:0-0\n00", "1.2.3~~\n1.2.3~\n1.2.3", "9-9-9\na+b\n1:1:1"];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn packages() -> Vec<Vec<u8>> {
    let other = CONTROL.replace("Package: zsh", "Package: zsh-common").replace("5.9-4+b5", "5.9-4");
    let all = other.replace("Architecture: amd64", "Architecture: all");
    let index = format!("{CONTROL}\n{all}\n{other}\n");
    vec![index.into_bytes(), CONTROL.as_bytes().to_vec(), all.into_bytes()]
}

pub(crate) fn release() -> Vec<Vec<u8>> {
    let text = "Origin: Debian
Label: Debian
Suite: stable
Codename: trixie
Date: Sat, 15 Nov 2025 10:13:17 UTC
Valid-Until: Sat, 22 Nov 2025 10:13:17 UTC
Acquire-By-Hash: yes
Architectures: all amd64 arm64
Components: main contrib
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 1234 main/binary-amd64/Packages.xz
";
    vec![text.as_bytes().to_vec(), text.replace("UTC", "+0000").into_bytes()]
}
