//! Deals the entries of a tree out to layers.

use std::collections::HashMap;

use tree::layer::Change;
use tree::{Entry, EntryPath, Kind};

/// Deals `entries`, a whole tree in path order, out to `count` layers by `layer_of`, which gives numbers below `count`; 0 is
/// the lowest layer. Some may come out empty.
///
/// Every entry is in its layer, and names of one file are in one layer together, the topmost that any of them is meant for:
/// few engines can link to a file of another layer. The directories above an entry are in its layer too, as they are in the
/// tree: whoever unpacks a layer by itself would have to invent them, and what it invents hides the real ones below.
pub fn split(entries: &[Entry], count: usize, layer_of: impl Fn(&Entry) -> usize) -> Vec<Vec<Change>> {
    let mut numbers: Vec<usize> = entries.iter().map(|entry| layer_of(entry).min(count - 1)).collect();
    join_links(entries, &mut numbers);
    let directories = directories(entries);
    let mut layers: Vec<Layering<'_>> = (0..count).map(|_| Layering::new(&directories)).collect();
    for (entry, number) in entries.iter().zip(numbers) {
        layers[number].push(Change::Added(entry.clone()));
    }
    layers.into_iter().map(Layering::finish).collect()
}

/// Gives all names of a file the highest number of any of them.
fn join_links(entries: &[Entry], numbers: &mut [usize]) {
    let mut highest: HashMap<&EntryPath, usize> = HashMap::new();
    for (entry, number) in entries.iter().zip(&*numbers) {
        if let Kind::HardLink { target } = &entry.kind {
            let known = highest.entry(target).or_default();
            *known = (*known).max(*number);
        }
    }
    if highest.is_empty() {
        return;
    }
    for (entry, number) in entries.iter().zip(&*numbers) {
        if let Some(known) = highest.get_mut(&entry.path) {
            *known = (*known).max(*number);
        }
    }
    for (entry, number) in entries.iter().zip(numbers) {
        let first = if let Kind::HardLink { target } = &entry.kind { target } else { &entry.path };
        *number = highest.get(first).copied().unwrap_or(*number);
    }
}

/// The directories of a tree by their paths.
pub(super) fn directories(entries: &[Entry]) -> HashMap<&EntryPath, &Entry> {
    let directories = entries.iter().filter(|entry| entry.kind == Kind::Directory);
    directories.map(|entry| (&entry.path, entry)).collect()
}

/// The changes of one layer, to which the directories above them are added.
pub(super) struct Layering<'e> {
    directories: &'e HashMap<&'e EntryPath, &'e Entry>,
    changes: Vec<Change>,
}

impl<'e> Layering<'e> {
    /// A layer of a tree with these directories.
    pub(super) fn new(directories: &'e HashMap<&'e EntryPath, &'e Entry>) -> Self {
        Self { directories, changes: Vec::new() }
    }

    /// Adds a change; they come in path order.
    pub(super) fn push(&mut self, change: Change) {
        let mut missing = Vec::new();
        let mut above = change.path().parent();
        while let Some(path) = above {
            // What came last lies beneath all directories that are open: the others are missing or done with.
            if self.changes.last().is_some_and(|last| last.path().starts_with(&path)) {
                break;
            }
            missing.extend(self.directories.get(&path).map(|&entry| Change::Added(entry.clone())));
            above = path.parent();
        }
        self.changes.extend(missing.into_iter().rev());
        self.changes.push(change);
    }

    /// All of them, in path order.
    pub(super) fn finish(self) -> Vec<Change> {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use tree::Metadata;

    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { path: path.parse().unwrap(), kind, metadata: Metadata::new(0o755, 7) }
    }

    fn paths(layer: &[Change]) -> Vec<String> {
        layer.iter().map(|change| change.path().to_string()).collect()
    }

    #[test]
    fn directories_above_come_along_and_links_stay_together() {
        let file = || Kind::File { size: 1 };
        let entries = [
            entry("", Kind::Directory),
            entry("a", Kind::Directory),
            entry("a/b", Kind::Directory),
            entry("a/b/one", file()),
            entry("a/two", file()),
            entry("c", Kind::Directory),
            entry("c/empty", Kind::Directory),
            entry("c/link", Kind::HardLink { target: "a/two".parse().unwrap() }),
        ];
        let number = |entry: &Entry| usize::from(entry.path.as_bytes().starts_with(b"c"));
        let layers = split(&entries, 3, number);
        assert_eq!(paths(&layers[0]), [".", "a", "a/b", "a/b/one"]);
        assert_eq!(paths(&layers[1]), [".", "a", "a/two", "c", "c/empty", "c/link"]);
        assert!(layers[2].is_empty());
    }

    /// A tree of up to 40 entries, some of them further names of files, each with the number of a layer.
    fn trees() -> impl Strategy<Value = Vec<(Entry, usize)>> {
        let paths = proptest::collection::btree_map("([ab]/){0,3}[abc]{1,2}", (0..4_usize, 0..4_u8), 1..40);
        paths.prop_map(|named| {
            let mut kinds: BTreeMap<EntryPath, (Kind, usize)> = BTreeMap::new();
            kinds.insert(EntryPath::ROOT, (Kind::Directory, 0));
            let mut first: Option<EntryPath> = None;
            for (name, (layer, kind)) in named {
                let path: EntryPath = name.parse().unwrap();
                let mut above = path.parent();
                while let Some(directory) = above {
                    above = directory.parent();
                    kinds.insert(directory, (Kind::Directory, layer));
                }
                kinds.entry(path.clone()).or_insert_with(|| match (kind, &first) {
                    (0, _) => (Kind::Directory, layer),
                    (1, Some(target)) => (Kind::HardLink { target: target.clone() }, layer),
                    _ => (Kind::File { size: 1 }, layer),
                });
                if kinds[&path].0 == (Kind::File { size: 1 }) {
                    first.get_or_insert(path);
                }
            }
            // What was a file at first may have become a directory.
            let files: BTreeSet<EntryPath> =
                kinds.iter().filter(|(_, found)| found.0.size() == 1).map(|(path, _)| path.clone()).collect();
            let entries = kinds.into_iter().map(|(path, (kind, layer))| {
                let kind = match kind {
                    Kind::HardLink { target } if !files.contains(&target) || target > path => {
                        Kind::File { size: 1 }
                    }
                    kind => kind,
                };
                (Entry { path, kind, metadata: Metadata::new(0o755, 0) }, layer)
            });
            entries.collect()
        })
    }

    proptest! {
        #[test]
        fn the_layers_together_are_the_tree(tree in trees()) {
            let numbers: HashMap<EntryPath, usize> =
                tree.iter().map(|(entry, number)| (entry.path.clone(), *number)).collect();
            let entries: Vec<Entry> = tree.into_iter().map(|(entry, _)| entry).collect();
            let layers = split(&entries, 4, |entry| numbers[&entry.path]);
            let mut union = BTreeMap::new();
            for layer in &layers {
                let mut seen = BTreeSet::new();
                let mut before: Option<&EntryPath> = None;
                for change in layer {
                    let Change::Added(entry) = change else { panic!("{change:?}") };
                    prop_assert!(before.is_none_or(|before| *before < entry.path), "not in path order");
                    before = Some(&entry.path);
                    let parent = entry.path.parent();
                    prop_assert!(parent.is_none_or(|parent| seen.contains(&parent)), "no parent: {}", entry.path);
                    if let Kind::HardLink { target } = &entry.kind {
                        prop_assert!(seen.contains(target), "{} links to another layer", entry.path);
                    }
                    seen.insert(entry.path.clone());
                    let twice = union.insert(entry.path.clone(), entry.clone());
                    prop_assert!(twice.is_none_or(|other| other == *entry && entry.kind == Kind::Directory));
                }
            }
            prop_assert_eq!(union.into_values().collect::<Vec<_>>(), entries);
        }
    }
}
