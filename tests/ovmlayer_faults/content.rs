//! What is in a folder, in full, to be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{lgetxattr, llistxattr};

/// Extended attributes in which the kernel notes where a file was copied up from: they say nothing of the content.
const NOTES: &[&str] = &["overlay.origin", "overlay.impure", "overlay.nlink", "overlay.uuid"];

/// The bits of a mode that say what kind of file it is, and those of a folder.
const KIND: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;

/// One file of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    modified: (i64, i64),
    /// A digest of the bytes, or the target of a link.
    content: String,
    attributes: BTreeMap<String, Vec<u8>>,
}

impl Entry {
    pub(crate) fn is_folder(&self) -> bool {
        self.mode & KIND == FOLDER
    }

    /// Whether both are files of the same kind with the same bytes.
    pub(crate) fn same_bytes(&self, other: &Self) -> bool {
        self.mode == other.mode && self.content == other.content
    }
}

/// Everything beneath a folder by path, the folder itself included.
pub(crate) type Content = BTreeMap<PathBuf, Entry>;

/// Reads a folder.
pub(crate) fn content(folder: &Path) -> Content {
    let mut found = Content::new();
    collect(folder, Path::new(""), &mut found);
    found
}

/// The same without times of folders: they change when something is put there and taken away again.
pub(crate) fn lasting(mut content: Content) -> Content {
    for entry in content.values_mut().filter(|entry| entry.is_folder()) {
        entry.modified = (0, 0);
    }
    content
}

/// Fails unless two contents are equal; the message has what differs, and no more.
#[track_caller]
pub(crate) fn assert_same(found: &Content, expected: &Content, name: &str) {
    let paths: BTreeSet<&PathBuf> = found.keys().chain(expected.keys()).collect();
    let differing = paths.into_iter().filter(|path| found.get(*path) != expected.get(*path));
    let differing: Vec<String> = differing
        .map(|path| {
            format!("{path:?}\n  is        {:?}\n  should be {:?}", found.get(path), expected.get(path))
        })
        .collect();
    let some = differing[..differing.len().min(8)].join("\n");
    assert!(differing.is_empty(), "{name}: {} files differ:\n{some}", differing.len());
}

fn collect(root: &Path, path: &Path, found: &mut Content) {
    let full = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
    let metadata =
        fs::symlink_metadata(&full).unwrap_or_else(|error| panic!("cannot look at {full:?}: {error}"));
    let kind = metadata.file_type();
    let content = if kind.is_file() {
        let mut hasher = DefaultHasher::new();
        fs::read(&full).unwrap_or_else(|error| panic!("cannot read {full:?}: {error}")).hash(&mut hasher);
        format!("{} bytes, {:016x}", metadata.len(), hasher.finish())
    } else if kind.is_symlink() {
        fs::read_link(&full).expect("a link").display().to_string()
    } else {
        String::new()
    };
    let is_whiteout = kind.is_char_device() && metadata.rdev() == 0;
    let device = if kind.is_char_device() || kind.is_block_device() { metadata.rdev() } else { 0 };
    found.insert(
        path.to_owned(),
        Entry {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            device,
            // When something was hidden says nothing.
            modified: if is_whiteout { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) },
            content,
            attributes: attributes(&full),
        },
    );
    if kind.is_dir() {
        for entry in fs::read_dir(&full).unwrap_or_else(|error| panic!("cannot list {full:?}: {error}")) {
            collect(root, &path.join(entry.expect("an entry").file_name()), found);
        }
    }
}

fn attributes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 65_536];
    // A file system without attributes has none.
    let length = llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    let kept = names.filter(|name| !NOTES.iter().any(|note| name.ends_with(note)));
    kept.map(|name| {
        let mut value = vec![0; 65_536];
        let length = lgetxattr(path, name.as_str(), &mut value)
            .unwrap_or_else(|error| panic!("cannot read `{name}` of {path:?}: {error}"));
        value.truncate(length);
        (name, value)
    })
    .collect()
}
