//! The tree in path order.

use std::collections::HashMap;
use std::collections::btree_map;

use tree::{Entry, EntryPath, Kind};

use super::{Child, Files, Id, ROOT, What};

/// One entry on the way.
#[derive(Debug)]
pub(crate) struct Step {
    /// The entry; a hard link when the file has been met under another name.
    pub(crate) entry: Entry,
    /// Where the contents of a file are.
    pub(crate) offset: u64,
}

/// What is still to come of a directory.
struct Level<'a> {
    path: EntryPath,
    children: btree_map::Iter<'a, Box<[u8]>, Child>,
}

impl Files {
    /// Calls `visit` with every entry in path order, the root first, but for those that `leave_out` names and what is
    /// beneath them.
    pub(crate) fn walk<E>(
        &self,
        leave_out: &dyn Fn(&EntryPath) -> bool,
        mut visit: impl FnMut(Step) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<tree::PathError>,
    {
        let mut first_names = HashMap::new();
        visit(self.step(EntryPath::ROOT, ROOT, &mut first_names))?;
        let mut levels = Vec::new();
        levels.extend(self.level(EntryPath::ROOT, ROOT));
        while let Some(level) = levels.last_mut() {
            let Some((name, child)) = level.children.next() else {
                levels.pop();
                continue;
            };
            let path = level.path.join(name)?;
            if leave_out(&path) {
                continue;
            }
            visit(self.step(path.clone(), child.node, &mut first_names))?;
            levels.extend(self.level(path, child.node));
        }
        Ok(())
    }

    fn level(&self, path: EntryPath, id: Id) -> Option<Level<'_>> {
        Some(Level { path, children: self.children(id)?.iter() })
    }

    fn step(&self, path: EntryPath, id: Id, first_names: &mut HashMap<Id, EntryPath>) -> Step {
        let node = &self.nodes[id as usize];
        let mut offset = 0;
        let mut kind = match &node.what {
            What::Directory(_) => Kind::Directory,
            What::File { offset: at, size } => {
                offset = *at;
                Kind::File { size: *size }
            }
            What::Symlink(target) => Kind::Symlink { target: target.to_vec() },
            What::CharDevice(major, minor) => Kind::CharDevice { major: *major, minor: *minor },
            What::BlockDevice(major, minor) => Kind::BlockDevice { major: *major, minor: *minor },
            What::Fifo => Kind::Fifo,
        };
        if node.names > 1 {
            match first_names.get(&id) {
                Some(first) => kind = Kind::HardLink { target: first.clone() },
                None => drop(first_names.insert(id, path.clone())),
            }
        }
        let metadata = self.attributes.get(node.attributes).metadata(node.mtime, node.mtime_nanos);
        Step { entry: Entry { path, kind, metadata }, offset }
    }
}
