//! Which kind of step each entry of a root is from: what an image's layers are made of.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tree::{Entry, EntryPath, Kind, Root};

use crate::Error;

/// The kind of what the packages brought.
pub(crate) const PACKAGES: &str = "packages";

/// Who changed what last. Steps are told apart by what the root looks like after them; a change that leaves size, time and
/// owner of a file as they were is not seen, and stays with who had the file before: it is in the image in any case.
#[derive(Debug, Default)]
pub(crate) struct Concerns {
    names: Vec<&'static str>,
    known: HashMap<EntryPath, Known>,
}

#[derive(Debug)]
struct Known {
    looks: u64,
    concern: usize,
}

impl Concerns {
    /// What is different in `root` by now is from a step of this kind.
    pub(crate) fn after(&mut self, root: &Root, kind: &'static str) -> Result<(), Error> {
        let concern = self.number(kind);
        for entry in root.scan() {
            let entry = entry?;
            let now = Known { looks: looks(&entry), concern };
            match self.known.entry(entry.path) {
                Slot::Occupied(before) if before.get().looks == now.looks => {}
                Slot::Occupied(mut before) => *before.get_mut() = now,
                Slot::Vacant(new) => {
                    new.insert(now);
                }
            }
        }
        Ok(())
    }

    /// These entries are from something of this kind, whatever they look like.
    pub(crate) fn assign(&mut self, paths: impl IntoIterator<Item = EntryPath>, kind: &'static str) {
        let concern = self.number(kind);
        for path in paths {
            self.known.insert(path, Known { looks: 0, concern });
        }
    }

    fn number(&mut self, kind: &'static str) -> usize {
        let known = self.names.iter().position(|name| *name == kind);
        known.unwrap_or_else(|| {
            self.names.push(kind);
            self.names.len() - 1
        })
    }

    /// The kinds, in the order in which they came.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The place in [`Concerns::names`] of who changed an entry last; of the first when nobody is known.
    pub(crate) fn of(&self, path: &EntryPath) -> usize {
        self.known.get(path).map_or(0, |known| known.concern)
    }
}

fn looks(entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    let metadata = &entry.metadata;
    (metadata.mode, metadata.uid, metadata.gid, &metadata.xattrs).hash(&mut hasher);
    // The time of a directory changes with every file in it.
    if entry.kind != Kind::Directory {
        (metadata.mtime, metadata.mtime_nanos).hash(&mut hasher);
    }
    entry.kind.name().hash(&mut hasher);
    match &entry.kind {
        Kind::File { size } => size.hash(&mut hasher),
        Kind::Symlink { target } => target.hash(&mut hasher),
        Kind::HardLink { target } => target.hash(&mut hasher),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            (major, minor).hash(&mut hasher);
        }
        Kind::Directory | Kind::Fifo => {}
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tree::Links;

    use super::*;

    #[test]
    fn an_entry_is_of_who_changed_it_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
        write("package", "1");
        write("conffile", "1");
        write("both", "1");
        let root = Root::open(folder.path(), Links::Refuse).expect("a root");
        let mut concerns = Concerns::default();
        concerns.after(&root, PACKAGES).expect("a first look");
        write("conffile", "12");
        write("both", "12");
        write("file", "1");
        concerns.after(&root, "files").expect("a look");
        write("both", "123");
        write("made", "1");
        concerns.after(&root, "run").expect("a look");
        write("later", "1");
        assert_eq!(concerns.names(), ["packages", "files", "run"]);
        concerns.assign(["later", "both"].map(|name| name.parse().expect("a path")), "layers");
        assert_eq!(concerns.of(&"later".parse().expect("a path")), 3);
        concerns.assign([("both".parse().expect("a path"))], "run");
        for (name, concern) in
            [("package", 0), ("conffile", 1), ("both", 2), ("file", 1), ("made", 2), ("later", 3), ("", 0)]
        {
            assert_eq!(concerns.of(&name.parse().expect("a path")), concern, "{name}");
        }
    }
}
