//! Tars as lines of text, by our reader and by Python's.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest, Sha256};
use tree::{Kind, tar};

/// One line per member, as `list_tar.py` prints them.
pub(crate) fn ours(reader: &mut tar::Reader<impl Read>) -> String {
    let mut lines = String::new();
    while let Some(member) = reader.next().expect("the reader takes the archive") {
        let entry = &member.entry;
        let mut digest = "-".to_owned();
        let (kind, link) = match &entry.kind {
            Kind::Directory => ("directory", Vec::new()),
            Kind::File { size } => {
                let mut contents = Vec::new();
                reader.data().read_to_end(&mut contents).unwrap();
                assert_eq!(contents.len() as u64, *size);
                digest = hex::encode(Sha256::digest(&contents));
                ("file", Vec::new())
            }
            Kind::Symlink { target } => ("symlink", target.clone()),
            Kind::HardLink { target } => ("link", target.as_bytes().to_vec()),
            Kind::CharDevice { major, minor } => ("char", format!("{major},{minor}").into_bytes()),
            Kind::BlockDevice { major, minor } => ("block", format!("{major},{minor}").into_bytes()),
            Kind::Fifo => ("fifo", Vec::new()),
        };
        let metadata = &entry.metadata;
        let xattrs: Vec<String> = metadata
            .xattrs
            .iter()
            .map(|(key, value)| format!("{}:{}", hex::encode(key), hex::encode(value)))
            .collect();
        writeln!(
            lines,
            "{kind} {} {:o} {} {} {} {} {} {} {} {digest} {}",
            or(&hex::encode(entry.path.as_bytes()), "."),
            metadata.mode,
            metadata.uid,
            metadata.gid,
            metadata.mtime,
            entry.kind.size(),
            or(&hex::encode(&member.user_name), "-"),
            or(&hex::encode(&member.group_name), "-"),
            or(&hex::encode(link), "-"),
            or(&xattrs.join(","), "-"),
        )
        .unwrap();
    }
    lines
}

fn or<'a>(text: &'a str, empty: &'a str) -> &'a str {
    if text.is_empty() { empty } else { text }
}

/// What Python's `tarfile` says about archives.
pub(crate) fn pythons(archives: &[PathBuf]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tree/tests/differential/list_tar.py");
    let output = Command::new("python3").arg(script).args(archives).output().expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).unwrap();
    listing.split("=\n").skip(1).map(str::to_owned).collect()
}
