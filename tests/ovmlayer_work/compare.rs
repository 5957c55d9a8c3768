//! Everything that two trees must have in common: types, owners, modes, times, attributes, contents, holes, links.
//!
//! The kernel's own marks of overlays are translated: an opaque directory is one in either form, what only says where a
//! file came from is left out.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, lgetxattr, llistxattr, seek};
use rustix::io::Errno;

/// The size of the pieces in which contents are compared; one of zeros is as good as a hole.
const PAGE: usize = 4096;
/// The block device number 0:0 as a character device is a whiteout.
const WHITEOUT: u64 = 0;

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) owner: (u32, u32),
    pub(crate) mode: u32,
    pub(crate) time: (i64, i64),
    pub(crate) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path of the same file, by the order of paths.
    pub(crate) first_name: PathBuf,
}

impl Facts {
    /// What is not the same in `other`.
    fn changes(&self, other: &Self) -> String {
        let mut changes = Vec::new();
        let mut note = |what: &str, a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
            let (a, b) = (format!("{a:?}"), format!("{b:?}"));
            if a != b {
                changes.push(format!("{what} {a:.200} became {b:.200}"));
            }
        };
        note("kind", &self.kind, &other.kind);
        note("owner", &self.owner, &other.owner);
        note("mode", &self.mode, &other.mode);
        note("time", &self.time, &other.time);
        note("first name", &self.first_name, &other.first_name);
        for name in self.attributes.keys().chain(other.attributes.keys()) {
            let text = String::from_utf8_lossy(name);
            note(&text, &self.attributes.get(name), &other.attributes.get(name));
        }
        changes.join(", ")
    }
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder { opaque: bool },
    File { size: u64, pages: BTreeMap<u64, u64> },
    Link(Vec<u8>),
    Pipe,
    Socket,
    Node { block: bool, device: u64 },
    Whiteout,
}

/// All paths of a tree, that of its own folder being empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) paths: BTreeMap<PathBuf, Facts>,
    /// What the files take on disk, in bytes.
    pub(crate) space: u64,
}

/// Ranges of ids: inside, outside, count; none when they are the same.
pub(crate) type Ids = Vec<(u32, u32, u32)>;

impl Survey {
    /// Looks at everything beneath `folder`, with owners as they are on disk.
    pub(crate) fn of(folder: &Path) -> Self {
        Self::with_ids(folder, &Vec::new())
    }

    /// The same with owners as who made it sees them.
    pub(crate) fn with_ids(folder: &Path, ids: &Ids) -> Self {
        let mut paths = Vec::new();
        collect(folder, Path::new(""), &mut paths);
        paths.sort();
        let mut survey = Self { paths: BTreeMap::new(), space: 0 };
        let mut names = BTreeMap::new();
        for path in paths {
            let full = if path.as_os_str().is_empty() { folder.to_owned() } else { folder.join(&path) };
            let found = fs::symlink_metadata(&full).unwrap_or_else(|error| panic!("{full:?}: {error}"));
            let first_name = names.entry((found.dev(), found.ino())).or_insert_with(|| path.clone()).clone();
            let (attributes, opaque) = attributes(&full, ids);
            let file = found.file_type();
            let kind = if file.is_dir() {
                Kind::Folder { opaque }
            } else if file.is_symlink() {
                Kind::Link(fs::read_link(&full).expect("a link").as_os_str().as_bytes().to_vec())
            } else if file.is_fifo() {
                Kind::Pipe
            } else if file.is_socket() {
                Kind::Socket
            } else if file.is_char_device() && found.rdev() == WHITEOUT {
                Kind::Whiteout
            } else if file.is_file() {
                survey.space += found.blocks() * 512;
                Kind::File { size: found.size(), pages: pages(&full) }
            } else {
                Kind::Node { block: file.is_block_device(), device: found.rdev() }
            };
            let (owner, mode, time) = if kind == Kind::Whiteout {
                // Nobody sees these of a whiteout.
                ((0, 0), 0, (0, 0))
            } else {
                (
                    (inside(found.uid(), ids), inside(found.gid(), ids)),
                    found.mode() & 0o7777,
                    (found.mtime(), found.mtime_nsec()),
                )
            };
            let first_name = if kind == Kind::Whiteout { path.clone() } else { first_name };
            survey.paths.insert(path, Facts { kind, owner, mode, time, attributes, first_name });
        }
        survey
    }

    /// What an archive keeps of it (docs/layer-format.md): all but sockets, which mean nothing without the program that
    /// listens, and attributes of `trusted.`, which are the machine's.
    pub(crate) fn in_an_archive(mut self) -> Self {
        self.paths.retain(|_, facts| facts.kind != Kind::Socket);
        for facts in self.paths.values_mut() {
            facts.attributes.retain(|name, _| !name.starts_with(b"trusted."));
        }
        self
    }

    /// How many paths are of a kind.
    pub(crate) fn count(&self, of: impl Fn(&Facts) -> bool) -> usize {
        self.paths.values().filter(|facts| of(facts)).count()
    }

    /// The first paths that are not the same in `other`, one a line; empty when there are none.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (path, facts) in &self.paths {
            match other.paths.get(path) {
                None => lines.push(format!("{}: missing, {:?}", end(path), facts.kind)),
                Some(found) if found != facts => {
                    lines.push(format!("{}: {}", end(path), facts.changes(found)));
                }
                Some(_) => {}
            }
        }
        let more = other.paths.iter().filter(|(path, _)| !self.paths.contains_key(*path));
        lines.extend(more.map(|(path, facts)| format!("{}: new, {:?}", end(path), facts.kind)));
        let all = lines.len();
        lines.truncate(12);
        if all == 0 { String::new() } else { format!("{all} paths differ:\n{}", lines.join("\n")) }
    }

    /// Both are the same, and so is the space they take, but for what a file system keeps its lists in.
    pub(crate) fn assert_equals(&self, other: &Self, what: &str) {
        let difference = self.difference(other);
        assert!(difference.is_empty(), "{what}: {difference}");
        assert!(
            other.space <= self.space + (self.paths.len() as u64 + 64) * 4096,
            "{what}: files took {} bytes and take {} now",
            self.space,
            other.space
        );
    }
}

/// The end of a path, which may be a long one.
fn end(path: &Path) -> String {
    let text = format!("{path:?}");
    let start = text.char_indices().rev().map(|(at, _)| at).nth(60).unwrap_or(0);
    text[start..].to_owned()
}

fn collect(folder: &Path, beneath: &Path, paths: &mut Vec<PathBuf>) {
    paths.push(beneath.to_owned());
    let entries = fs::read_dir(folder.join(beneath)).unwrap_or_else(|error| panic!("{beneath:?}: {error}"));
    for entry in entries {
        let entry = entry.expect("an entry of a folder");
        let path = beneath.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            collect(folder, &path, paths);
        } else {
            paths.push(path);
        }
    }
}

fn inside(id: u32, ids: &Ids) -> u32 {
    let range = ids.iter().find(|(_, outside, count)| (*outside..outside + count).contains(&id));
    range.map_or(id, |(inside, outside, _)| id - outside + inside)
}

/// The attributes that programs see, and whether there is a mark of an opaque directory.
fn attributes(path: &Path, ids: &Ids) -> (BTreeMap<Vec<u8>, Vec<u8>>, bool) {
    let mut names = vec![0; 64 << 10];
    let count = llistxattr(path, &mut names[..]).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (mut found, mut opaque) = (BTreeMap::new(), false);
    for name in names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length =
            lgetxattr(path, name, &mut value[..]).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        value.truncate(length);
        let mark =
            [&b"user.overlay."[..], b"trusted.overlay."].iter().find_map(|start| name.strip_prefix(*start));
        match mark {
            Some(b"opaque") => opaque |= value == b"y",
            Some(_) => {}
            None => {
                found.insert(name.to_vec(), translated(name, value, ids));
            }
        }
    }
    (found, opaque)
}

/// A capability without the user it is bound to, an access control list with ids from inside.
fn translated(name: &[u8], mut value: Vec<u8>, ids: &Ids) -> Vec<u8> {
    if name == b"security.capability" && value.len() == 24 {
        value.truncate(20);
        value[3] = 2;
    }
    if name.starts_with(b"system.posix_acl_") {
        for entry in value[4..].chunks_exact_mut(8) {
            let id = u32::from_le_bytes(entry[4..].try_into().expect("four bytes"));
            let tag = u16::from_le_bytes([entry[0], entry[1]]);
            if tag == 2 || tag == 8 {
                entry[4..].copy_from_slice(&inside(id, ids).to_le_bytes());
            }
        }
    }
    value
}

/// The pieces of a file that hold anything else than zeros, by number, each as a digest.
fn pages(path: &Path) -> BTreeMap<u64, u64> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut pages = BTreeMap::new();
    let mut at = 0;
    loop {
        at = match seek(&file, SeekFrom::Data(at)) {
            Ok(start) => start / PAGE as u64 * PAGE as u64,
            Err(Errno::NXIO) => return pages,
            Err(error) => panic!("{path:?}: {error}"),
        };
        let mut page = [0; PAGE];
        let length = file.read_at(&mut page, at).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        if page != [0; PAGE] {
            let mut hasher = DefaultHasher::new();
            page[..length].hash(&mut hasher);
            pages.insert(at / PAGE as u64, hasher.finish());
        }
        at += PAGE as u64;
    }
}
