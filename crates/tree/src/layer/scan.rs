//! A layer on disk as changes.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Marks;
use crate::{Entry, EntryPath, Error, Kind, Result, Root, Scan};

/// One change that a layer makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An entry is there, in the place of what lower layers have.
    Added(Entry),
    /// A directory is there, and nothing of what lower layers have in it.
    Opaque(Entry),
    /// What lower layers have is gone.
    Whiteout(EntryPath),
}

impl Change {
    /// The entry that it is about.
    #[must_use]
    pub fn path(&self) -> &EntryPath {
        match self {
            Change::Added(entry) | Change::Opaque(entry) => &entry.path,
            Change::Whiteout(path) => path,
        }
    }
}

/// The changes of a layer in path order, those of its own directory first.
///
/// Whiteouts are known in both of overlayfs's forms: character devices 0:0, and empty files with the attribute
/// `overlay.whiteout` in directories whose `overlay.opaque` is `x`. A whiteout has no metadata. Attributes that overlayfs
/// keeps for itself are left out; those of an overlay inside the layer, which it has escaped, come back as they were.
///
/// # Errors
/// [`Error::OverlayFeature`] for redirected directories and files without their contents, which mean nothing without the
/// layers they were made on.
#[derive(Debug)]
pub struct LayerScan<'r>(Scan<'r>);

impl Root {
    /// This directory as a layer; see [`LayerScan`].
    #[must_use]
    pub fn scan_layer(&self, marks: Marks) -> LayerScan<'_> {
        LayerScan(self.scan_marked(marks))
    }
}

impl LayerScan<'_> {
    /// Opens the entry that was returned last, which is a file.
    ///
    /// # Errors
    /// As [`Scan::open`].
    pub fn open(&self) -> Result<std::fs::File> {
        self.0.open()
    }

    /// The directory of the entry that was returned last and its name there.
    pub(super) fn place(&self) -> Option<(Arc<OwnedFd>, Vec<u8>)> {
        self.0.place()
    }

    fn change(&mut self) -> Result<Option<Change>> {
        let Some(found) = self.0.advance()? else { return Ok(None) };
        let (entry, noted) = (found.entry, found.noted);
        if let Some(feature) = noted.foreign {
            return Err(Error::OverlayFeature { path: entry.path, feature });
        }
        Ok(Some(match entry.kind {
            Kind::CharDevice { major: 0, minor: 0 } => Change::Whiteout(entry.path),
            Kind::File { size: 0 } if noted.whiteout && found.parent_has_whiteouts => {
                Change::Whiteout(entry.path)
            }
            Kind::Directory if noted.opaque => Change::Opaque(entry),
            _ => Change::Added(entry),
        }))
    }
}

impl Iterator for LayerScan<'_> {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        self.change().transpose()
    }
}
