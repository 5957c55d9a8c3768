//! What is in a tree: packages, and files with their digests and owners.
//!
//! What enters: the entries of a tree, of a tar or of an image's layers, one after the other, all of them hostile. What
//! leaves: an [`Inventory`], which is a function of those entries alone. Contents are hashed as they pass; of the few files
//! that say what is installed, no more than a bounded part is kept.
//!
//! Most callers want [`read_tree`] or [`read_image`]; [`Collector`] takes entries from anywhere.

mod beneath;
mod collect;
mod copyright;
mod dpkg;
mod fact;
mod file;
mod hashes;
mod licence;
mod npm;
mod os_release;
mod owners;
mod package;
mod python;
mod source;
mod stanza;

pub(crate) use beneath::sums;
pub use collect::Collector;
pub use file::{Contents, File, Sha1};
pub use hashes::Digests;
pub use licence::Licence;
pub use os_release::OsRelease;
pub use package::{Ecosystem, Package, Source};
pub use source::{LayerFacts, read_image, read_tree};

use tree::EntryPath;

/// What a tree holds. Packages are in the order of [`Package`], files in path order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Which distribution this is, from `etc/os-release`.
    pub release: OsRelease,
    /// What is installed.
    pub packages: Vec<Package>,
    /// Every entry but the root.
    pub files: Vec<File>,
    /// The latest time of modification of a file, in seconds since 1970; 0 without any.
    pub newest: i64,
    /// What was there and could not be understood, as sentences.
    pub notes: Vec<String>,
}

impl Inventory {
    /// The entry at `path`.
    #[must_use]
    pub fn file(&self, path: &EntryPath) -> Option<&File> {
        let found = self.files.binary_search_by(|file| file.path.cmp(path)).ok()?;
        self.files.get(found)
    }

    /// The bytes of all files; one with several names counts once.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(File::own_size).sum()
    }

    /// The files of each package, in the order of [`Inventory::packages`].
    #[must_use]
    pub fn files_by_package(&self) -> Vec<Vec<&File>> {
        let mut owned: Vec<Vec<&File>> = vec![Vec::new(); self.packages.len()];
        for file in &self.files {
            if let Some(list) = file.owner.and_then(|owner| owned.get_mut(owner)) {
                list.push(file);
            }
        }
        owned
    }
}
