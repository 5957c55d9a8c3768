//! Takes entries one after the other and keeps what an inventory needs of them.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use cache::Hasher;
use sha1::Digest as _;
use tree::layer::{Mark, Spelling};
use tree::tar::{Limits, Names, Reader};
use tree::{Entry, EntryPath, Kind, PathError};

use super::fact::{Fact, Interest};
use super::file::{Contents, File, Sha1};
use super::{Inventory, owners};
use crate::{Error, Result};

/// How many bytes of contents a tree may have in all. Real ones have some GiB; this is what bombs meet.
const CONTENTS_LIMIT: u64 = 128 << 30;

/// How much memory the entries of a tree may take, by a rough count in bytes: enough for two million of them.
const KEPT_LIMIT: u64 = 512 << 20;

/// What an entry takes beside its names, roughly, in bytes.
const ENTRY_WEIGHT: u64 = 256;

const BUFFER: usize = 128 * 1024;

/// Which digests of files are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// SHA-256 alone.
    Sha256,
    /// SHA-1 too, which SPDX 2.3 demands.
    WithSha1,
}

/// Takes the entries of a tree, or of layers from the lowest to the highest.
#[derive(Debug)]
pub struct Collector {
    digests: Digests,
    entries: BTreeMap<EntryPath, Held>,
    layer: u32,
    /// Whiteouts and opaque directories of the current layer that are done.
    removed: HashSet<EntryPath>,
    /// How many files have been given a number.
    inodes: u64,
    contents: u64,
    kept: u64,
    notes: Vec<String>,
}

/// An entry that may still be replaced or removed.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) file: File,
    /// Which file it is: names of the same have the same number.
    pub(super) inode: Option<u64>,
    pub(super) fact: Option<Arc<Fact>>,
    layer: u32,
}

/// What one layer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Entries in it, directories not counted.
    pub(crate) files: u64,
    /// Bytes of their contents.
    pub(crate) bytes: u64,
    /// Names that it removes from what is beneath it.
    pub(crate) removed: u64,
}

impl Collector {
    /// A collector that has seen nothing.
    #[must_use]
    pub fn new(digests: Digests) -> Self {
        Self {
            digests,
            entries: BTreeMap::new(),
            layer: 0,
            removed: HashSet::new(),
            inodes: 0,
            contents: 0,
            kept: 0,
            notes: Vec::new(),
        }
    }

    /// Takes the members of a tar that is not compressed.
    ///
    /// # Errors
    /// [`Error::Tree`] for what is wrong with the tar, [`Error::TooLarge`] for what no tree has.
    pub fn tree(&mut self, source: impl Read) -> Result<()> {
        let mut reader = Reader::with_limits(source, limits());
        while let Some(member) = reader.next()? {
            self.entry(member.entry, &mut reader.data())?;
        }
        Ok(())
    }

    /// Takes a layer, a tar that is not compressed, above those before it (image specification, "Applying Changesets").
    pub(crate) fn layer(&mut self, source: impl Read) -> Result<Changes> {
        self.layer += 1;
        self.removed.clear();
        let mut changes = Changes::default();
        let mut reader = Reader::with_limits(source, limits());
        let mut names = LayerNames(Mark::Entry);
        while let Some(member) = reader.next_named(&mut names)? {
            let entry = member.entry;
            match names.0 {
                Mark::Entry => {
                    changes.bytes += entry.kind.size();
                    changes.files += u64::from(entry.kind != Kind::Directory);
                    self.entry(entry, &mut reader.data())?;
                }
                Mark::Whiteout => {
                    changes.removed += 1;
                    self.remove(&entry.path, true);
                }
                Mark::Opaque => self.remove(&entry.path, false),
                Mark::Aufs => {}
            }
        }
        Ok(changes)
    }

    /// Takes one entry, whose contents are read to their end.
    ///
    /// # Errors
    /// As [`Collector::tree`].
    pub fn entry(&mut self, entry: Entry, contents: &mut dyn Read) -> Result<()> {
        let Entry { path, kind, metadata } = entry;
        if path.is_root() {
            return Ok(());
        }
        let (kept, inode, fact) = match kind {
            Kind::Directory => (Contents::Directory, None, None),
            Kind::File { .. } => self.file(&path, contents)?,
            Kind::HardLink { target } => match self.entries.get(&target) {
                Some(held) => (held.file.contents.clone(), held.inode, held.fact.clone()),
                None => {
                    self.note(format!("`{path}` is a link to `{target}`, which is not there"));
                    return Ok(());
                }
            },
            Kind::Symlink { target } => (Contents::Symlink { target }, None, None),
            Kind::CharDevice { major, minor } => (Contents::CharDevice { major, minor }, None, None),
            Kind::BlockDevice { major, minor } => (Contents::BlockDevice { major, minor }, None, None),
            Kind::Fifo => (Contents::Fifo, None, None),
        };
        self.weigh(&path, &kept, &metadata.xattrs, fact.as_deref())?;
        let is_directory = kept == Contents::Directory;
        let file = File {
            path: path.clone(),
            contents: kept,
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: metadata.mtime,
            xattrs: metadata.xattrs,
            owner: None,
        };
        let held = Held { file, inode, fact, layer: self.layer };
        let before = self.entries.insert(path.clone(), held);
        let was_directory = before.is_some_and(|before| before.file.is_directory());
        if was_directory && !is_directory {
            self.remove_beneath(&path, u32::MAX);
        }
        Ok(())
    }

    /// What all of it comes to.
    #[must_use]
    pub fn finish(self) -> Inventory {
        owners::inventory(self.entries, self.notes)
    }

    /// Reads a file, and what it says if it is one of those that say something.
    fn file(
        &mut self,
        path: &EntryPath,
        contents: &mut dyn Read,
    ) -> Result<(Contents, Option<u64>, Option<Arc<Fact>>)> {
        let interest = Interest::of(path);
        let limit = interest.map_or(0, Interest::limit);
        let mut sha256 = Hasher::new();
        let mut sha1 = (self.digests == Digests::WithSha1).then(sha1::Sha1::new);
        let mut size = 0;
        let mut said = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match contents.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(tree::Error::Read(error).into()),
            };
            let bytes = &buffer[..count];
            sha256.update(bytes);
            if let Some(sha1) = &mut sha1 {
                sha1.update(bytes);
            }
            let room = (limit - said.len()).min(count);
            said.extend_from_slice(&bytes[..room]);
            size += count as u64;
            self.contents += count as u64;
            if self.contents > CONTENTS_LIMIT {
                return Err(too_large("the contents of a tree", self.contents, CONTENTS_LIMIT));
            }
        }
        self.inodes += 1;
        let fact = interest.and_then(|interest| self.fact(interest, &said, size, path)).map(Arc::new);
        let sha1 = sha1.map(|sha1| Sha1(sha1.finalize().into()));
        let contents = Contents::Regular { size, sha256: sha256.finish(), sha1, first: None };
        Ok((contents, Some(self.inodes), fact))
    }

    fn fact(&mut self, interest: Interest, said: &[u8], size: u64, path: &EntryPath) -> Option<Fact> {
        if size > said.len() as u64 && !interest.may_be_cut() {
            self.note(format!(
                "`{path}` has {size} bytes, more than are read: what it says is not in the list"
            ));
            return None;
        }
        let fact = Fact::read(interest, said, path);
        if fact.is_none() {
            self.note(format!("`{path}` names no package with a version"));
        }
        fact
    }

    /// A whiteout of `path`, or of what is in it: what lower layers have there goes.
    fn remove(&mut self, path: &EntryPath, itself: bool) {
        let layer = self.layer;
        if itself && self.entries.get(path).is_some_and(|held| held.layer < layer) {
            self.entries.remove(path);
        }
        // Once is enough, however often an archive says it.
        if self.removed.insert(path.clone()) {
            self.remove_beneath(path, layer);
        }
    }

    fn remove_beneath(&mut self, path: &EntryPath, layer: u32) {
        let beneath = self.entries.range(path.clone()..).take_while(|(other, _)| other.starts_with(path));
        let gone = beneath.filter(|(other, held)| *other != path && held.layer < layer);
        let gone: Vec<EntryPath> = gone.map(|(other, _)| other.clone()).collect();
        for path in gone {
            self.entries.remove(&path);
        }
    }

    fn weigh(
        &mut self,
        path: &EntryPath,
        contents: &Contents,
        xattrs: &BTreeMap<Vec<u8>, Vec<u8>>,
        fact: Option<&Fact>,
    ) -> Result<()> {
        let target = if let Contents::Symlink { target } = contents { target.len() } else { 0 };
        let xattrs: usize = xattrs.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        let names = 2 * path.as_bytes().len() + target + xattrs + fact.map_or(0, Fact::weight);
        self.kept += ENTRY_WEIGHT + names as u64;
        if self.kept > KEPT_LIMIT {
            return Err(too_large("the list of what is in a tree", self.kept, KEPT_LIMIT));
        }
        Ok(())
    }

    /// Keeps a note; a hostile tree may give reason for a million of them.
    fn note(&mut self, note: String) {
        if self.notes.len() < 100 {
            self.notes.push(note);
        }
    }
}

/// Sparse files are read, for archives of GNU tar have them; what they expand to counts like any contents.
fn limits() -> Limits {
    Limits { total: 2 * CONTENTS_LIMIT, sparse: CONTENTS_LIMIT, ..Limits::default() }
}

fn too_large(what: &str, size: u64, limit: u64) -> Error {
    Error::TooLarge { what: what.to_owned(), size, limit }
}

/// Names in a layer; remembers what the last one stood for.
struct LayerNames(Mark);

impl Names for LayerNames {
    fn entry(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        let (path, mark) = Spelling::Oci.read(name)?;
        self.0 = mark;
        Ok(path)
    }

    fn link(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        EntryPath::parse(name)
    }

    fn is_mark(&self) -> bool {
        self.0 != Mark::Entry
    }
}
