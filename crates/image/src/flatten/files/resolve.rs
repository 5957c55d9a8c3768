//! From paths in a layer to directories of the tree, through symbolic links.
//!
//! Links are followed as `chroot` would: an absolute one starts at the tree's root, and `..` does not lead out of it. This is
//! what `umoci` does (`filepath-securejoin`), and what images rely on whose higher layers say `lib/x` where `lib` has
//! become a link.

use std::collections::VecDeque;

use tree::EntryPath;

use super::{Files, Id, ROOT, What};
use crate::error::LayerProblem;

/// How many links may be followed for one path; Linux follows as many.
const LINKS: usize = 40;

/// The most components that may be on the way at a time: more make no path.
const COMPONENTS: usize = EntryPath::MAX;

impl Files {
    /// The directory that the entry `path` is in. Directories that are missing are made, mode 0755, owned by root, with the
    /// time 0. All of them count as touched by this layer.
    pub(super) fn parent(&mut self, path: &EntryPath) -> Result<Id, LayerProblem> {
        let parent = path.parent().unwrap_or_default();
        if let Some((last, id)) = &self.last
            && *last == parent
        {
            return Ok(*id);
        }
        let names = self.resolve(&parent)?;
        let mut id = ROOT;
        for (depth, name) in names.iter().enumerate() {
            let layer = self.layer;
            id = match self.children_mut(id).and_then(|children| children.get_mut(&name[..])) {
                Some(child) => {
                    child.layer = layer;
                    child.node
                }
                None => {
                    let directory = self.new_directory();
                    let made = self.add_node(directory);
                    self.add_name(id, name, made);
                    made
                }
            };
            let what = &self.nodes[id as usize].what;
            if !matches!(what, What::Directory(_)) {
                let path_there = String::from_utf8_lossy(&names[..=depth].join(&b'/')).into_owned();
                let (path_there, found) = (path_there.escape_debug().to_string(), what.name());
                return Err(LayerProblem::NotADirectory { path: path_there, found, beneath: path.clone() });
            }
        }
        self.last = Some((parent, id));
        Ok(id)
    }

    /// The directory that `path` is in, if it is there.
    pub(super) fn existing_parent(&self, path: &EntryPath) -> Result<Option<Id>, LayerProblem> {
        path.parent().map_or(Ok(None), |parent| self.directory(&parent))
    }

    /// The directory `path`, if it is there and is one.
    pub(super) fn directory(&self, path: &EntryPath) -> Result<Option<Id>, LayerProblem> {
        let names = self.resolve(path)?;
        Ok(self.walk_down(&names).filter(|id| self.children(*id).is_some()))
    }

    /// What stands at `path`: links are followed on the way there, but not at its end.
    pub(super) fn find(&self, path: &EntryPath) -> Result<Option<Id>, LayerProblem> {
        let (Some(parent), Some(name)) = (self.existing_parent(path)?, path.file_name()) else {
            return Ok(None);
        };
        Ok(self.children(parent).and_then(|children| children.get(name)).map(|child| child.node))
    }

    /// Where an entry `path` goes: its name without links on the way.
    pub(crate) fn real_path(&self, path: &EntryPath) -> Result<EntryPath, LayerProblem> {
        let Some(name) = path.file_name() else { return Ok(EntryPath::ROOT) };
        let mut names = self.resolve(&path.parent().unwrap_or_default())?;
        names.push(name.to_vec());
        Ok(EntryPath::parse(&names.join(&b'/'))?)
    }

    fn walk_down(&self, names: &[Vec<u8>]) -> Option<Id> {
        names.iter().try_fold(ROOT, |id, name| Some(self.children(id)?.get(&name[..])?.node))
    }

    /// The names from the root to `path`, none of which is a link as far as they are there.
    fn resolve(&self, path: &EntryPath) -> Result<Vec<Vec<u8>>, LayerProblem> {
        let mut coming: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        let mut names: Vec<Vec<u8>> = Vec::new();
        // Where the names lead, as far as it is there.
        let mut way: Vec<Option<Id>> = vec![Some(ROOT)];
        let mut links = 0;
        while let Some(name) = coming.pop_front() {
            if name == b".." {
                if names.pop().is_some() {
                    way.pop();
                }
                continue;
            }
            let here = way.last().copied().flatten();
            let child = here.and_then(|id| self.children(id)?.get(&name[..]));
            if let Some(child) = child
                && let What::Symlink(target) = &self.nodes[child.node as usize].what
            {
                links += 1;
                let parts = target.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
                parts.rev().for_each(|part| coming.push_front(part.to_vec()));
                if links > LINKS || coming.len() > COMPONENTS {
                    return Err(LayerProblem::LinkLoop { path: path.clone(), limit: LINKS });
                }
                if target.starts_with(b"/") {
                    names.clear();
                    way.truncate(1);
                }
                continue;
            }
            way.push(child.map(|child| child.node));
            names.push(name);
        }
        // A link may say what no name of a file can be.
        EntryPath::parse(&names.join(&b'/'))?;
        Ok(names)
    }
}
