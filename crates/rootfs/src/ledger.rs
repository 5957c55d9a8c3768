//! Who owns which path while packages are unpacked side by side.
//!
//! The result must not depend on which worker was faster, so the ledger never decides by time: shared directories get the
//! metadata of the first package in dpkg's order, and as soon as the order of two packages would matter for anything
//! else, [`Claim::OrderMatters`] ends the parallel attempt.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use tree::{EntryPath, Metadata};

/// What is known of all paths that packages brought.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    paths: Mutex<HashMap<EntryPath, Owner>>,
    /// What packages had and another one took over, since it was last asked for.
    lost: Mutex<Vec<(usize, EntryPath)>>,
}

/// Who brought a path first.
#[derive(Debug, Clone)]
struct Owner {
    /// The package's place in dpkg's order.
    package: usize,
    /// The directory's metadata; none for anything that is not a directory.
    directory: Option<Metadata>,
    /// The directory has its metadata on disk: packages of a later wave do not change it.
    settled: bool,
}

/// What a package may do with a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody has it: create it.
    New,
    /// It is there already and fine: nothing to create.
    Shared,
    /// Package number `.0` has it, and which one comes first would decide.
    OrderMatters(usize),
}

impl Ledger {
    /// Claims `path` as a directory with `metadata` for `package`.
    pub(crate) fn directory(&self, path: &EntryPath, package: usize, metadata: &Metadata) -> Claim {
        match self.paths.lock().unwrap_or_else(PoisonError::into_inner).entry(path.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Owner { package, directory: Some(metadata.clone()), settled: false });
                Claim::New
            }
            Entry::Occupied(mut occupied) => match occupied.get().directory {
                Some(_) if occupied.get().settled || occupied.get().package <= package => Claim::Shared,
                Some(_) => {
                    occupied.insert(Owner { package, directory: Some(metadata.clone()), settled: false });
                    Claim::Shared
                }
                None => Claim::OrderMatters(occupied.get().package),
            },
        }
    }

    /// Claims `path` as something that only one package can have.
    pub(crate) fn other(&self, path: &EntryPath, package: usize) -> Claim {
        match self.paths.lock().unwrap_or_else(PoisonError::into_inner).entry(path.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Owner { package, directory: None, settled: true });
                Claim::New
            }
            Entry::Occupied(occupied) => Claim::OrderMatters(occupied.get().package),
        }
    }

    /// Makes `package` the owner of `path`, whoever had it; with `directory`, as a directory of that metadata.
    pub(crate) fn take_over(&self, path: &EntryPath, package: usize, directory: Option<Metadata>) {
        let owner = Owner { package, settled: directory.is_none(), directory };
        let before = self.paths.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), owner);
        if let Some(before) = before.filter(|before| before.package != package) {
            let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            lost.push((before.package, path.clone()));
        }
    }

    /// The paths that packages have lost to others since the last call.
    pub(crate) fn take_lost(&self) -> Vec<(usize, EntryPath)> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The directories that are new since the last call, children before their parents, with the metadata to set.
    pub(crate) fn settle_directories(&self) -> Vec<(EntryPath, Metadata)> {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let mut directories = Vec::new();
        for (path, owner) in paths.iter_mut().filter(|(_, owner)| !owner.settled) {
            owner.settled = true;
            directories.extend(owner.directory.clone().map(|metadata| (path.clone(), metadata)));
        }
        directories.sort_by(|(a, _), (b, _)| b.cmp(a));
        directories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).expect("a path")
    }

    fn mode(mode: u32) -> Metadata {
        Metadata { mode, ..Metadata::default() }
    }

    #[test]
    fn a_directory_has_the_metadata_of_the_first_package_whoever_came_first() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let ledger = Ledger::default();
            for package in order {
                ledger.directory(
                    &path("usr"),
                    package,
                    &mode(0o700 + u32::try_from(package).expect("small")),
                );
            }
            assert_eq!(ledger.settle_directories(), [(path("usr"), mode(0o700))], "order {order:?}");
        }
    }

    #[test]
    fn a_settled_directory_keeps_its_metadata() {
        let ledger = Ledger::default();
        ledger.directory(&path("usr"), 5, &mode(0o755));
        assert_eq!(ledger.settle_directories().len(), 1);
        assert_eq!(ledger.directory(&path("usr"), 1, &mode(0o700)), Claim::Shared);
        assert_eq!(ledger.settle_directories(), []);
    }

    #[test]
    fn two_owners_of_a_file_are_noticed() {
        let ledger = Ledger::default();
        assert_eq!(ledger.other(&path("a"), 3), Claim::New);
        assert_eq!(ledger.other(&path("a"), 1), Claim::OrderMatters(3));
        assert_eq!(ledger.directory(&path("a"), 1, &mode(0o755)), Claim::OrderMatters(3));
    }
}
