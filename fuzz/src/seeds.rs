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
    "GNU.sparse.major",
    "77777777777\0",
    "0000644\0",
    "\0\0\0\0\0\0\0\0",
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
    all
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
