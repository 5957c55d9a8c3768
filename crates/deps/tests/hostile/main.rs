//! Archives of packages that want to do harm: nothing leaves its place, nothing grows without bound, and every refusal names
//! the package.

mod npm;
mod python;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::Path;

/// `bytes` as an open file.
fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("contents");
    file.rewind().expect("back to the beginning");
    file
}

/// Everything beneath `folder` that is no folder: of links the target, of files the beginning.
fn contents(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current).expect("a folder").flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("a type");
            let name = path.strip_prefix(folder).expect("beneath it").display().to_string();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).expect("a target");
                found.insert(name, format!("-> {}", target.display()));
            } else {
                let text = fs::read(&path).expect("a file");
                found.insert(name, String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned());
            }
        }
    }
    found
}
