//! Takes entries one after the other and keeps what an inventory needs of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tree::tar::{self, Reader};
use tree::{Entry, EntryPath, Kind};

use super::fact::{Fact, Interest};
use super::file::{Contents, File};
use super::hashes::{Digests, Hashed, Hashes, Said};
use super::{Inventory, owners};
use crate::error::LayerProblem;
use crate::flatten::{Changes, Limits, Stack};
use crate::{Blobs, Error, Image, Result};

/// How much memory the names and metadata of a tree may take, estimated, in bytes: enough for two million entries.
const NAMES_LIMIT: u64 = 256 << 20;

/// How much memory the list of files may take in the end, estimated, in bytes. Names and attributes that many have in common
/// are in it once for each.
const LIST_LIMIT: u64 = 1 << 30;

/// How many layers are decompressed at the same time.
const THREADS: usize = 2;

/// How many notes are kept: a hostile tree may give reason for a million of them.
const NOTES: usize = 100;

/// Takes the entries of a tree, or of the layers of an image. They are put over one another as
/// [`flatten`](mod@crate::flatten) does it, so an image and what is flattened of it have the same inventory.
#[derive(Debug)]
pub struct Collector {
    stack: Stack<Hashes>,
    notes: Notes,
}

impl Collector {
    /// A collector that has seen nothing.
    #[must_use]
    pub fn new(digests: Digests) -> Self {
        let limits = Limits { memory: NAMES_LIMIT, ..Limits::default() };
        Self { stack: Stack::new(Hashes::new(digests), limits), notes: Notes::default() }
    }

    /// Takes the members of a tar that is not compressed. Sparse files are read too, for archives of GNU tar have them.
    ///
    /// # Errors
    /// [`Error::Tree`] for what is wrong with the tar, [`Error::Add`] for what cannot be in a tree or exceeds a bound.
    pub fn tree(&mut self, source: impl Read) -> Result<()> {
        let Limits { layer, contents, .. } = Limits::default();
        let limits = tar::Limits { total: layer, sparse: contents, ..tar::Limits::default() };
        let mut reader = Reader::with_limits(source, limits);
        while let Some(member) = reader.next()? {
            self.entry(member.entry, &mut reader.data())?;
        }
        Ok(())
    }

    /// Takes the layers of an image, the lowest first.
    pub(super) fn image(
        &mut self,
        blobs: &dyn Blobs,
        image: &Image,
        interrupted: &AtomicBool,
    ) -> Result<Vec<Changes>> {
        self.stack.image(blobs, image, THREADS, interrupted)
    }

    /// Takes one entry, and as many bytes of contents as it says.
    ///
    /// # Errors
    /// As [`Collector::tree`].
    pub fn entry(&mut self, entry: Entry, contents: &mut dyn Read) -> Result<()> {
        let path = entry.path.clone();
        match self.stack.put(entry, contents) {
            Ok(()) => Ok(()),
            // What packs a part of a tree leaves such links behind; there is nothing that they add.
            Err(LayerProblem::LinkTarget { path, target, found }) => {
                self.notes.add(|| format!("`{path}` is a link to `{target}`, which is {found}"));
                Ok(())
            }
            Err(LayerProblem::Read(source)) => Err(tree::Error::Read(source).into()),
            Err(LayerProblem::Tar(source)) => Err(source.into()),
            Err(source) => Err(Error::Add { path, source }),
        }
    }

    /// What all of it comes to.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more names and attributes than any tree has; [`Error::Tree`] when links lead to a path that
    /// is longer than paths can be.
    pub fn finish(mut self) -> Result<Inventory> {
        let mut files: Vec<File> = Vec::new();
        let mut facts = BTreeMap::new();
        let mut held = 0;
        let Self { stack, notes } = &mut self;
        stack.files.walk::<Error>(&|_| false, |step| {
            let Entry { path, kind, metadata } = step.entry;
            if path.is_root() {
                return Ok(());
            }
            let contents = match kind {
                Kind::HardLink { target } => again(&files, &target),
                Kind::File { size } => stack.store.get(step.offset).map(|hashed| regular(hashed, size)),
                Kind::Directory => Some(Contents::Directory),
                Kind::Symlink { target } => Some(Contents::Symlink { target }),
                Kind::CharDevice { major, minor } => Some(Contents::CharDevice { major, minor }),
                Kind::BlockDevice { major, minor } => Some(Contents::BlockDevice { major, minor }),
                Kind::Fifo => Some(Contents::Fifo),
            };
            let Some(contents) = contents else { return Ok(()) };
            if let (Contents::Regular { .. }, Some(hashed)) = (&contents, stack.store.get(step.offset)) {
                facts.extend(fact_at(&path, hashed, notes).map(|fact| (path.clone(), fact)));
            }
            held += weight(&path, &contents, &metadata.xattrs);
            if held > LIST_LIMIT {
                let what = "the list of what is in the tree".to_owned();
                return Err(Error::TooLarge { what, size: held, limit: LIST_LIMIT });
            }
            let (mode, uid, gid) = (metadata.mode, metadata.uid, metadata.gid);
            let (mtime, xattrs) = (metadata.mtime, metadata.xattrs);
            files.push(File { path, contents, mode, uid, gid, mtime, xattrs, owner: None });
            Ok(())
        })?;
        // The names are no longer needed where they were; the next step makes lists of its own.
        let Self { stack, notes } = self;
        drop(stack);
        Ok(owners::inventory(files, &facts, notes.finish()))
    }
}

/// What an entry takes, estimated, in bytes.
fn weight(path: &EntryPath, contents: &Contents, xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> u64 {
    let more = match contents {
        Contents::Symlink { target } => target.len(),
        Contents::Regular { first: Some(first), .. } => first.as_bytes().len(),
        _ => 0,
    };
    let xattrs: usize = xattrs.iter().map(|(name, value)| name.len() + value.len() + 96).sum();
    (size_of::<File>() + path.as_bytes().len() + more + xattrs) as u64
}

fn regular(hashed: &Hashed, size: u64) -> Contents {
    Contents::Regular { size, sha256: hashed.sha256, sha1: hashed.sha1, first: None }
}

/// One more name of what is at `first`.
fn again(files: &[File], first: &EntryPath) -> Option<Contents> {
    let place = files.binary_search_by(|file| file.path.cmp(first)).ok()?;
    Some(match &files[place].contents {
        Contents::Regular { size, sha256, sha1, .. } => {
            Contents::Regular { size: *size, sha256: *sha256, sha1: *sha1, first: Some(first.clone()) }
        }
        other => other.clone(),
    })
}

/// What the file says to whoever looks for it at `path`; what cannot be understood is noted.
fn fact_at(path: &EntryPath, hashed: &Hashed, notes: &mut Notes) -> Option<Arc<Fact>> {
    let interest = Interest::of(path)?;
    match &hashed.said {
        Some((read_as, Said::Fact(fact))) if *read_as == interest => return Some(Arc::clone(fact)),
        Some((read_as, Said::TooLong)) if *read_as == interest => {
            notes.add(|| format!("`{path}` has more bytes than are read: what it says is not in the list"));
        }
        Some((read_as, Said::Nothing)) if *read_as == interest => {
            notes.add(|| format!("`{path}` names no package with a version"));
        }
        // Its contents passed by under a name of which nothing was expected.
        _ => notes
            .add(|| format!("`{path}` is one more name of another file: what it says is not in the list")),
    }
    None
}

/// What was there and could not be understood.
#[derive(Debug, Default)]
struct Notes {
    kept: Vec<String>,
    more: usize,
}

impl Notes {
    fn add(&mut self, note: impl FnOnce() -> String) {
        if self.kept.len() < NOTES {
            self.kept.push(note());
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.kept.push(format!("{} more of the kind", self.more));
        }
        self.kept
    }
}
