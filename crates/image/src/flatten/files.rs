//! The tree in memory: names, metadata and where contents are.
//!
//! It is small: names and nodes lie apart, because a file may have several names; owners, modes and attributes, which few
//! files have for themselves, are kept once.

mod attributes;
mod resolve;
mod walk;

use std::collections::{BTreeMap, HashSet};

use attributes::{Attributes, Kept};
use tree::{EntryPath, Kind, Metadata};

use crate::error::LayerProblem;

/// A node's place.
type Id = u32;

/// The root's.
const ROOT: Id = 0;

/// What a name and a node take beside the bytes of the name, estimated, in bytes.
const NAME_COST: u64 = 72;
const NODE_COST: u64 = 56;

/// The tree.
#[derive(Debug)]
pub(crate) struct Files {
    nodes: Vec<Node>,
    /// Nodes that are used again.
    free: Vec<Id>,
    attributes: Kept,
    /// The layer that is being put over the others, counted from 1.
    layer: u32,
    /// Directories of which this layer has taken away already what lower ones have.
    purged: HashSet<Id>,
    /// The directory that the last entry was put into, by the path that led there.
    last: Option<(EntryPath, Id)>,
    /// Bytes of memory, estimated, and how many there may be.
    held: u64,
    limit: u64,
}

/// A file, a directory …, whatever it is called.
#[derive(Debug)]
struct Node {
    mtime: i64,
    mtime_nanos: u32,
    /// Mode, owner and attributes.
    attributes: u32,
    /// How many names it has.
    names: u32,
    what: What,
}

#[derive(Debug)]
enum What {
    Directory(Box<Children>),
    File { offset: u64, size: u64 },
    Symlink(Box<[u8]>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

type Children = BTreeMap<Box<[u8]>, Child>;

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
struct Child {
    node: Id,
    /// The last layer that had the name, or something beneath it.
    layer: u32,
}

impl What {
    fn name(&self) -> &'static str {
        match self {
            Self::Directory(_) => "directory",
            Self::File { .. } => "file",
            Self::Symlink(_) => "symbolic link",
            Self::CharDevice(..) | Self::BlockDevice(..) => "device",
            Self::Fifo => "named pipe",
        }
    }

    fn cost(&self) -> u64 {
        let own = if let Self::Symlink(target) = self { target.len() as u64 } else { 0 };
        NODE_COST + own
    }
}

impl Files {
    /// An empty root, mode 0755. At most `limit` bytes of memory are taken, estimated.
    pub(super) fn new(limit: u64) -> Self {
        let mut files = Self {
            nodes: Vec::new(),
            free: Vec::new(),
            attributes: Kept::default(),
            layer: 0,
            purged: HashSet::new(),
            last: None,
            held: 0,
            limit,
        };
        let root = files.new_directory();
        files.nodes.push(root);
        files
    }

    /// From here on everything belongs to a further layer.
    pub(super) fn begin_layer(&mut self) {
        self.layer += 1;
        self.purged.clear();
        self.last = None;
    }

    /// Puts an entry that is no hard link to `path`; `offset` says where the contents of a file are.
    pub(super) fn insert(
        &mut self,
        path: &EntryPath,
        kind: &Kind,
        offset: u64,
        metadata: Metadata,
    ) -> Result<(), LayerProblem> {
        let (mtime, mtime_nanos) = (metadata.mtime, metadata.mtime_nanos);
        let attributes = self.attributes.keep(Attributes::from(metadata), &mut self.held);
        let what = match kind {
            Kind::Directory => What::Directory(Box::default()),
            Kind::File { size } => What::File { offset, size: *size },
            Kind::Symlink { target } => What::Symlink(target.as_slice().into()),
            Kind::CharDevice { major, minor } => What::CharDevice(*major, *minor),
            Kind::BlockDevice { major, minor } => What::BlockDevice(*major, *minor),
            Kind::Fifo | Kind::HardLink { .. } => What::Fifo,
        };
        let mut node = Node { mtime, mtime_nanos, attributes, names: 0, what };
        let Some(name) = path.file_name() else {
            // The reader takes no root that is not a directory.
            node.what = std::mem::replace(&mut self.nodes[ROOT as usize].what, What::Fifo);
            self.nodes[ROOT as usize] = node;
            return self.check();
        };
        let parent = self.parent(path)?;
        if matches!(node.what, What::Directory(_))
            && let Some(id) = self.touch_directory(parent, name)
        {
            let there = &mut self.nodes[id as usize];
            node.names = there.names;
            node.what = std::mem::replace(&mut there.what, What::Fifo);
            *there = node;
            return self.check();
        }
        self.remove(parent, name);
        let id = self.add_node(node);
        self.add_name(parent, name, id);
        self.check()
    }

    /// Makes `path` one more name of what `target` names.
    pub(super) fn link(&mut self, path: &EntryPath, target: &EntryPath) -> Result<(), LayerProblem> {
        let parent = self.parent(path)?;
        let Some(name) = path.file_name() else { return Ok(()) };
        // In this order: what stands in the way is gone before the target is looked for.
        self.remove(parent, name);
        let found = self.find(target)?;
        let problem =
            |found| Err(LayerProblem::LinkTarget { path: path.clone(), target: target.clone(), found });
        match found {
            None => problem("not there"),
            Some(id) if matches!(self.nodes[id as usize].what, What::Directory(_)) => problem("a directory"),
            Some(id) => {
                self.add_name(parent, name, id);
                self.check()
            }
        }
    }

    /// Takes away what lower layers have at `path` and beneath it.
    pub(super) fn whiteout(&mut self, path: &EntryPath) -> Result<(), LayerProblem> {
        let (Some(parent), Some(name)) = (self.existing_parent(path)?, path.file_name()) else {
            return Ok(());
        };
        match self.children(parent).and_then(|children| children.get(name)).copied() {
            Some(child) if child.layer == self.layer => self.purge(child.node),
            Some(_) => self.remove(parent, name),
            None => {}
        }
        Ok(())
    }

    /// Takes away what lower layers have beneath the directory `path`.
    pub(super) fn opaque(&mut self, path: &EntryPath) -> Result<(), LayerProblem> {
        if let Some(id) = self.directory(path)? {
            self.purge(id);
        }
        Ok(())
    }

    /// Takes away everything beneath `id` that this layer has not put there. What it has is left alone by a second time:
    /// so each directory is gone through once a layer, however often the layer says so.
    fn purge(&mut self, id: Id) {
        let mut directories = vec![id];
        while let Some(id) = directories.pop() {
            let layer = self.layer;
            let What::Directory(children) = &self.nodes[id as usize].what else { continue };
            if !self.purged.insert(id) {
                continue;
            }
            let (own, lower): (Vec<_>, Vec<_>) = children.iter().partition(|(_, child)| child.layer == layer);
            directories.extend(own.into_iter().map(|(_, child)| child.node));
            let lower: Vec<Box<[u8]>> = lower.into_iter().map(|(name, _)| name.clone()).collect();
            for name in lower {
                self.remove(id, &name);
            }
        }
    }

    /// Takes away `name` in the directory `parent`, and everything beneath it.
    fn remove(&mut self, parent: Id, name: &[u8]) {
        let Some(child) = self.children_mut(parent).and_then(|children| children.remove(name)) else {
            return;
        };
        self.held = self.held.saturating_sub(NAME_COST + name.len() as u64);
        let mut gone = vec![child.node];
        while let Some(id) = gone.pop() {
            let node = &mut self.nodes[id as usize];
            if matches!(node.what, What::Directory(_) | What::Symlink(_)) {
                // It may have been on the way to the directory that was used last.
                self.last = None;
            }
            node.names -= 1;
            if node.names > 0 {
                continue;
            }
            self.held = self.held.saturating_sub(node.what.cost());
            if let What::Directory(children) = std::mem::replace(&mut node.what, What::Fifo) {
                let bytes: u64 = children.keys().map(|name| NAME_COST + name.len() as u64).sum();
                self.held = self.held.saturating_sub(bytes);
                gone.extend(children.values().map(|child| child.node));
            }
            self.purged.remove(&id);
            self.free.push(id);
        }
    }

    fn add_node(&mut self, node: Node) -> Id {
        self.held += node.what.cost();
        if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = node;
            return id;
        }
        self.nodes.push(node);
        // Far more nodes than ids can count would have exceeded the bound on memory.
        Id::try_from(self.nodes.len() - 1).unwrap_or(Id::MAX)
    }

    fn add_name(&mut self, parent: Id, name: &[u8], node: Id) {
        self.held += NAME_COST + name.len() as u64;
        self.nodes[node as usize].names += 1;
        let child = Child { node, layer: self.layer };
        if let Some(children) = self.children_mut(parent) {
            children.insert(name.into(), child);
        }
    }

    /// The directory that nobody has said anything about.
    fn new_directory(&mut self) -> Node {
        let attributes = self.attributes.keep(Attributes::from(Metadata::new(0o755, 0)), &mut self.held);
        let what = What::Directory(Box::default());
        Node { mtime: 0, mtime_nanos: 0, attributes, names: 0, what }
    }

    /// The directory `name` in `parent`, if it is there and is one; this layer has had it now.
    fn touch_directory(&mut self, parent: Id, name: &[u8]) -> Option<Id> {
        let layer = self.layer;
        let id = self.children(parent)?.get(name)?.node;
        self.children(id)?;
        self.children_mut(parent)?.get_mut(name)?.layer = layer;
        Some(id)
    }

    /// What is in a directory; none when it is something else.
    fn children(&self, id: Id) -> Option<&Children> {
        match &self.nodes[id as usize].what {
            What::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn children_mut(&mut self, id: Id) -> Option<&mut Children> {
        match &mut self.nodes[id as usize].what {
            What::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), LayerProblem> {
        if self.held > self.limit {
            return Err(LayerProblem::Limit { what: "bytes of names and metadata", limit: self.limit });
        }
        Ok(())
    }
}
