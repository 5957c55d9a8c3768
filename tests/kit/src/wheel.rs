//! Wheels written field by field: names, sizes and lists can be anything a hostile one would say.

use std::io::Write as _;

use flate2::{Compression, Crc, write::DeflateEncoder};
use sha2::{Digest as _, Sha256};

/// A file in a wheel.
#[derive(Debug, Clone)]
struct Member {
    name: Vec<u8>,
    contents: Vec<u8>,
    /// File type and permission bits.
    mode: u32,
    /// A size that the headers claim instead of the true one.
    claimed: Option<u32>,
}

/// A wheel in the making: a zip archive (PKWARE's APPNOTE, 4.3) with what is said about the package.
#[derive(Debug, Clone)]
pub struct WheelBuilder {
    information: String,
    metadata: String,
    members: Vec<Member>,
    /// Lines of the list instead of the true ones.
    record: Option<String>,
}

impl WheelBuilder {
    /// A wheel of a package without files.
    #[must_use]
    pub fn new(project: &str, version: &str) -> Self {
        let metadata = format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n");
        let information = format!("{project}-{version}.dist-info");
        let wheel = "Wheel-Version: 1.0\nGenerator: testkit\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let new = Self { information: information.clone(), metadata, members: Vec::new(), record: None };
        new.file(format!("{information}/WHEEL"), wheel)
    }

    /// With another name of the folder with what is said about the package.
    #[must_use]
    pub fn information(mut self, folder: &str) -> Self {
        for member in &mut self.members {
            if member.name == format!("{}/WHEEL", self.information).as_bytes() {
                member.name = format!("{folder}/WHEEL").into_bytes();
            }
        }
        folder.clone_into(&mut self.information);
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, name: impl Into<Vec<u8>>, contents: impl Into<Vec<u8>>) -> Self {
        self.member(name, contents, 0o100_644)
    }

    /// Adds a member of any type, such as a symbolic link (`0o120777`), whose contents are its target.
    #[must_use]
    pub fn member(mut self, name: impl Into<Vec<u8>>, contents: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.members.push(Member { name: name.into(), contents: contents.into(), mode, claimed: None });
        self
    }

    /// What was added last claims another size.
    #[must_use]
    pub fn claiming(mut self, size: u32) -> Self {
        if let Some(last) = self.members.last_mut() {
            last.claimed = Some(size);
        }
        self
    }

    /// With this list of files instead of the true one.
    #[must_use]
    pub fn record(mut self, text: &str) -> Self {
        self.record = Some(text.to_owned());
        self
    }

    /// The true list of files.
    #[must_use]
    pub fn true_record(&self) -> String {
        let line = |member: &Member| {
            let name = String::from_utf8_lossy(&member.name);
            format!(
                "{name},sha256={},{}\n",
                url_safe(&Sha256::digest(&member.contents)),
                member.contents.len()
            )
        };
        let metadata = Member {
            name: format!("{}/METADATA", self.information).into_bytes(),
            contents: self.metadata.clone().into_bytes(),
            mode: 0,
            claimed: None,
        };
        let lines: String = self.members.iter().chain([&metadata]).map(line).collect();
        format!("{lines}{}/RECORD,,\n", self.information)
    }

    /// The whole archive.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let record = self.record.clone().unwrap_or_else(|| self.true_record());
        let whole = self.clone();
        let whole = whole.file(format!("{}/METADATA", self.information), self.metadata.clone());
        let whole = whole.file(format!("{}/RECORD", self.information), record);
        zip(&whole.members)
    }
}

/// An archive of `members`, each compressed.
fn zip(members: &[Member]) -> Vec<u8> {
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for member in members {
        let mut crc = Crc::new();
        crc.update(&member.contents);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let body = encoder.write_all(&member.contents).and_then(|()| encoder.finish()).expect("in memory");
        let offset = length(&out);
        // Version 2.0, no flags, deflate, 1980-01-01.
        let mut common = Vec::new();
        [20_u16, 0, 8, 0, 0x21].iter().for_each(|field| common.extend(field.to_le_bytes()));
        let size = member.claimed.unwrap_or(length(&member.contents));
        [crc.sum(), length(&body), size].iter().for_each(|field| common.extend(field.to_le_bytes()));
        common.extend(u16::try_from(member.name.len()).expect("a short name").to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(&member.name);
        out.extend(&body);
        // Made by Unix.
        central.extend(b"PK\x01\x02\x14\x03");
        central.extend(&common);
        central.extend([0; 6]);
        central.extend((member.mode << 16).to_le_bytes());
        central.extend(offset.to_le_bytes());
        central.extend(&member.name);
    }
    let (offset, count) = (length(&out), u16::try_from(members.len()).expect("few members").to_le_bytes());
    out.extend(&central);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].concat());
    out.extend(length(&central).to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("less than 4 GiB")
}

/// Base64 as lists of files have it (RFC 4648, section 5, without padding).
fn url_safe(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(DIGITS[(group >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}
