//! Leaves in a layer exactly what is different from its parent.
//!
//! An overlay copies an entry into the layer as soon as anybody opens it for writing, or changes something about it and
//! changes it back. So what it holds depends on how programs work, and not on what they have done.

use std::fs::File;
use std::io::Read;

use deps::{Machine, machine};
use tree::layer::{Change, Marks};
use tree::{Entry, EntryPath, Kind, Root};

use super::lock::Program;
use crate::Error;

/// How much of two files is compared at a time, in bytes.
const PIECE: usize = 64 << 10;

/// How many bytes tell for which machine a program is.
const HEAD: u64 = 20;

/// Removes from `layer` what is the same in `parent`: entries that do not differ in kind, owner, permissions, attributes and
/// contents, whatever their times, whiteouts of nothing, and folders in which nothing is left.
pub(super) fn settle(layer: &Root, parent: &Root) -> Result<(), Error> {
    let mut folders = Vec::new();
    let mut same = Vec::new();
    // The last folder in which everything is new: the parent has none there, or none that is seen.
    let mut new: Option<EntryPath> = None;
    let mut scan = layer.scan_layer(Marks::User);
    while let Some(change) = scan.next() {
        let change = change?;
        let path = change.path();
        if path.is_root() || new.as_ref().is_some_and(|new| path.starts_with(new)) {
            continue;
        }
        let below = parent.lstat(path)?;
        match (&change, below) {
            (Change::Added(entry), Some(below)) if entry.kind == Kind::Directory => {
                if below.kind != Kind::Directory {
                    new = Some(entry.path.clone());
                } else if looks_same(entry, &below) {
                    folders.push(entry.path.clone());
                }
            }
            (Change::Added(entry), Some(below)) => {
                let is_file = matches!((&entry.kind, &below.kind), (Kind::File { .. }, Kind::File { .. }));
                let equal = |file: File| same_contents(file, parent.open_file(path)?, path);
                if looks_same(entry, &below) && entry.kind == below.kind && (!is_file || equal(scan.open()?)?)
                {
                    same.push(entry.path.clone());
                }
            }
            (Change::Added(entry) | Change::Opaque(entry), _) => {
                new = (entry.kind == Kind::Directory).then(|| entry.path.clone()).or(new);
            }
            (Change::Whiteout(path), None) => same.push(path.clone()),
            (Change::Whiteout(_), Some(_)) => {}
        }
    }
    drop(scan);
    for path in &same {
        layer.remove_file(path)?;
    }
    for path in folders.iter().rev() {
        if layer.list(path)?.is_empty() {
            layer.remove_dir(path)?;
        }
    }
    Ok(())
}

/// Whether all that is known about two entries of one name without reading them is the same, but for their times and sizes.
fn looks_same(entry: &Entry, below: &Entry) -> bool {
    let (a, b) = (&entry.metadata, &below.metadata);
    (a.mode, a.uid, a.gid, &a.xattrs) == (b.mode, b.uid, b.gid, &b.xattrs)
}

fn same_contents(mut one: File, mut other: File, path: &EntryPath) -> Result<bool, Error> {
    let failed = |source| Error::Tree(tree::Error::Entry { operation: "read", path: path.clone(), source });
    let (mut a, mut b) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    loop {
        a.clear();
        b.clear();
        one.by_ref().take(PIECE as u64).read_to_end(&mut a).map_err(failed)?;
        other.by_ref().take(PIECE as u64).read_to_end(&mut b).map_err(failed)?;
        if a != b {
            return Ok(false);
        }
        if a.is_empty() {
            return Ok(true);
        }
    }
}

/// Every program in `layer` is for `architecture`, but those that are known.
pub(super) fn check_programs(layer: &Root, architecture: &str, known: &[Program]) -> Result<(), Error> {
    let wanted = Machine::of_architecture(architecture);
    let mut scan = layer.scan_layer(Marks::User);
    while let Some(change) = scan.next() {
        let Change::Added(Entry { path, kind: Kind::File { .. }, .. }) = change? else { continue };
        let mut head = Vec::new();
        let read = scan.open()?.take(HEAD).read_to_end(&mut head);
        read.map_err(|source| tree::Error::Entry { operation: "read", path: path.clone(), source })?;
        let found = machine(&head);
        let name = path.to_string();
        if found.is_some() && found != wanted && !known.iter().any(|program| program.path == name) {
            let machine = found.map_or_else(String::new, |machine| machine.to_string());
            return Err(Error::OtherMachine { from: "a step".to_owned(), path: name, machine });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    use tree::Links;

    use super::*;

    /// What an overlay leaves behind: `=` is copied as it was, `~` has another mode, `+` is new, `-` a whiteout.
    fn folders(entries: &[(&str, &str)]) -> (tempfile::TempDir, Root, Root) {
        let folder = tempfile::tempdir().expect("a folder");
        let [layer, parent] = ["layer", "parent"].map(|name| folder.path().join(name));
        for (mark, name) in entries {
            for top in [&layer, &parent] {
                fs::create_dir_all(top.join(name).parent().expect("a folder")).expect("folders");
            }
            let write = |top: &Path| fs::write(top.join(name), name).expect("a file");
            match *mark {
                "=" => [&layer, &parent].iter().for_each(|top| write(top)),
                "~" => {
                    [&layer, &parent].iter().for_each(|top| write(top));
                    fs::set_permissions(layer.join(name), Permissions::from_mode(0o600)).expect("a mode");
                }
                "+" => write(&layer),
                "l" => [&layer, &parent].iter().for_each(|top| symlink("x", top.join(name)).expect("a link")),
                mark => {
                    let device = layer.join(name);
                    mknodat(CWD, &device, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))
                        .expect("a whiteout: run this as root");
                    if mark == "-" {
                        write(&parent);
                    }
                }
            }
        }
        let [layer, parent] = [layer, parent].map(|path| Root::open(path, Links::Refuse).expect("a root"));
        (folder, layer, parent)
    }

    #[test]
    fn only_what_differs_stays() {
        let (_folder, layer, parent) = folders(&[
            ("=", "a/same"),
            ("l", "a/b/link"),
            ("~", "c/mode"),
            ("=", "c/same"),
            ("+", "d/new"),
            ("-", "e/gone"),
            ("nothing", "f/gone"),
        ]);
        settle(&layer, &parent).expect("settled");
        let left: Vec<String> =
            layer.scan().map(|entry| entry.expect("an entry").path.to_string()).skip(1).collect();
        assert_eq!(left, ["c", "c/mode", "d", "d/new", "e", "e/gone"]);
    }

    #[test]
    fn programs_for_others_are_found() {
        let (folder, layer, _) = folders(&[("+", "bin/a")]);
        check_programs(&layer, "amd64", &[]).expect("no program");
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(20, 0);
        head[18] = 183;
        fs::write(folder.path().join("layer/bin/a"), head).expect("a file");
        check_programs(&layer, "arm64", &[]).expect("its own");
        let message = check_programs(&layer, "amd64", &[]).expect_err("another's").to_string();
        assert!(message.contains("bin/a") && message.contains("arm64"), "{message}");
    }
}
