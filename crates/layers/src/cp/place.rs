//! Where in a layer something is copied to, and which folders must be made for it.
//!
//! A layer is seen here as it will be seen once it is merged: over the root filesystem. So a symbolic link of the root
//! filesystem is followed (`/bin` is `/usr/bin` there, and a folder `bin` in the layer would hide every program), and a
//! missing folder gets the mode and owner that the root filesystem has for it (a `/tmp` of mode 0755 would hide one of
//! mode 1777).

use std::collections::VecDeque;

use tree::{EntryPath, Kind, Metadata, Root};

use super::CopyError;
use crate::overlay_form;

/// How many symbolic links are followed, as in the kernel.
const MAX_LINKS: u32 = 40;

/// A folder, and those above it, as they are or are to be.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its path, free of symbolic links.
    pub(crate) path: EntryPath,
    /// What is missing of the path, outermost first.
    pub(crate) missing: Vec<Missing>,
    /// Whether the root filesystem's folder of this path shows through.
    pub(crate) open_below: bool,
}

/// A folder that must be made.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) path: EntryPath,
    pub(crate) metadata: Metadata,
    /// A whiteout is there: it must go, and the folder must hide what the whiteout hid.
    pub(crate) over_whiteout: bool,
}

/// One step of the walk.
#[derive(Clone)]
struct Step {
    path: EntryPath,
    exists: bool,
    open_below: bool,
}

/// Finds the folder `inside` in `root`, a layer over `below`, or a whole tree when there is no `below`.
pub(crate) fn folder(root: &Root, below: Option<&Root>, inside: &[u8]) -> Result<Place, CopyError> {
    let mut todo: VecDeque<Vec<u8>> = components(inside);
    let start = Step { path: EntryPath::ROOT, exists: true, open_below: below.is_some() };
    let mut steps = vec![start.clone()];
    let mut missing: Vec<Missing> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == b".." {
            if steps.len() > 1 {
                steps.pop();
            }
            continue;
        }
        let here = steps.last().unwrap_or(&start).clone();
        let path = here.path.join(&name).map_err(tree::Error::from)?;
        let below = below.filter(|_| here.open_below);
        let own = if here.exists { root.lstat(&path)? } else { None };
        let own_kind = own.as_ref().map(|entry| &entry.kind);
        let whiteout = here.exists && own_kind.is_some_and(overlay_form::is_whiteout);
        let shown = match own_kind {
            Some(_) => own.map(|entry| (entry.kind, None)),
            None => match below {
                Some(below) => look_below(below, &path)?.map(|(kind, metadata)| (kind, Some(metadata))),
                None => None,
            },
        };
        match shown {
            Some((Kind::Symlink { target }, _)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(CopyError::Links { path });
                }
                if target.first() == Some(&b'/') {
                    steps.truncate(1);
                }
                for part in components(&target).into_iter().rev() {
                    todo.push_front(part);
                }
            }
            Some((Kind::Directory, None)) => {
                let open_below = match below {
                    Some(below) if !overlay_form::is_opaque(root, &path)? => is_directory(below, &path)?,
                    _ => false,
                };
                steps.push(Step { path, exists: true, open_below });
            }
            Some((Kind::Directory, Some(metadata))) => {
                missing.push(Missing { path: path.clone(), metadata, over_whiteout: false });
                steps.push(Step { path, exists: false, open_below: true });
            }
            Some((kind, _)) if !whiteout => return Err(CopyError::NoFolder { path, found: kind.name() }),
            _ => {
                let metadata = Metadata::new(0o755, super::now());
                missing.push(Missing { path: path.clone(), metadata, over_whiteout: whiteout });
                steps.push(Step { path, exists: false, open_below: false });
            }
        }
    }
    let last = steps.pop().unwrap_or(start);
    // What was passed through by `..` or a link is not made.
    missing.retain(|folder| last.path.starts_with(&folder.path));
    missing.dedup_by(|a, b| a.path == b.path);
    Ok(Place { path: last.path, missing, open_below: last.open_below })
}

/// Finds the file or folder `inside` in a whole tree, links followed, also in the last place.
pub(crate) fn source(root: &Root, inside: &[u8]) -> Result<(EntryPath, Kind), CopyError> {
    let mut todo = components(inside);
    let mut path = EntryPath::ROOT;
    let mut kind = Kind::Directory;
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == b".." {
            path = path.parent().unwrap_or(EntryPath::ROOT);
            kind = Kind::Directory;
            continue;
        }
        let next = path.join(&name).map_err(tree::Error::from)?;
        let found =
            root.lstat(&next)?.map(|entry| entry.kind).filter(|kind| !overlay_form::is_whiteout(kind));
        match found {
            Some(Kind::Symlink { target }) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(CopyError::Links { path: next });
                }
                if target.first() == Some(&b'/') {
                    path = EntryPath::ROOT;
                }
                kind = Kind::Directory;
                for part in components(&target).into_iter().rev() {
                    todo.push_front(part);
                }
            }
            Some(found) => {
                path = next;
                kind = found;
            }
            None => return Err(CopyError::Absent { path: next }),
        }
    }
    Ok((path, kind))
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/');
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

/// What the root filesystem has at `path`; a link among its directories means that it has nothing there.
fn look_below(below: &Root, path: &EntryPath) -> Result<Option<(Kind, Metadata)>, CopyError> {
    Ok(below.lstat(path)?.map(|entry| (entry.kind, entry.metadata)))
}

fn is_directory(below: &Root, path: &EntryPath) -> Result<bool, CopyError> {
    Ok(matches!(below.kind(path)?, Some(Kind::Directory)))
}

#[cfg(test)]
mod tests;
