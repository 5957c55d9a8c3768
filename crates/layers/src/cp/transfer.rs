//! Copies one file or tree beneath a directory descriptor to beneath another.

use std::io;

use tree::{Entry, EntryPath, Kind, Metadata, Root};

use super::fresh::{self, Fresh};
use super::place::{Missing, Place};
use super::{Copied, CopyError, Owner, contents};
use crate::overlay_form;

/// What is copied.
#[derive(Debug)]
pub(super) enum Source {
    /// A folder with all beneath it.
    Tree(Root),
    /// Anything else, by the folder that holds it.
    Single(Root, EntryPath),
}

/// Where to.
#[derive(Debug)]
pub(super) struct Target<'r> {
    pub(super) root: &'r Root,
    /// When `root` is a layer: the root filesystem that it will lie over.
    pub(super) below: Option<&'r Root>,
    /// When `root` is a layer: the attribute that makes a directory opaque.
    pub(super) opaque: Option<&'r str>,
    pub(super) owner: Owner,
}

impl Target<'_> {
    /// Makes the folders that are missing.
    pub(super) fn make(&self, missing: &[Missing]) -> Result<(), CopyError> {
        for folder in missing {
            if folder.over_whiteout {
                self.root.remove_file(&folder.path)?;
            }
            // One that somebody else has made meanwhile is as good.
            if self.root.make_dir(&folder.path, &folder.metadata)? && folder.over_whiteout {
                self.hide_below(&folder.path)?;
            }
        }
        Ok(())
    }

    fn hide_below(&self, path: &EntryPath) -> Result<(), CopyError> {
        if let Some(attribute) = self.opaque {
            overlay_form::set_opaque(self.root, path, attribute)?;
        }
        Ok(())
    }

    /// Copies `source` to `name` in the folder `place`, which is there.
    pub(super) fn copy(&self, source: &Source, place: &Place, name: &[u8]) -> Result<Copied, CopyError> {
        let to = place.path.join(name).map_err(tree::Error::from)?;
        let seen = Target { below: self.below.filter(|_| place.open_below), ..*self };
        let mut copied = Copied::default();
        match source {
            Source::Single(root, path) => {
                let entry = root.lstat(path)?.ok_or_else(|| CopyError::Absent { path: path.clone() })?;
                seen.entry(&entry, &to, &mut copied, || root.open_file(path))?;
            }
            Source::Tree(root) => seen.tree(root, &to, &mut copied)?,
        }
        Ok(copied)
    }

    fn tree(&self, source: &Root, to: &EntryPath, copied: &mut Copied) -> Result<(), CopyError> {
        let mut folders: Vec<(EntryPath, Metadata)> = Vec::new();
        let mut scan = source.scan();
        while let Some(entry) = scan.next() {
            let entry = entry?;
            let path = to.join(entry.path.as_bytes()).map_err(tree::Error::from)?;
            match &entry.kind {
                Kind::Directory => {
                    if let Some(metadata) = self.directory(&path, &entry.metadata)? {
                        folders.push((path, metadata));
                    }
                    copied.entries += 1;
                }
                Kind::HardLink { target } => {
                    let first = to.join(target.as_bytes()).map_err(tree::Error::from)?;
                    self.clear(&path, "file")?;
                    self.root.hard_link(&path, &first)?;
                    copied.entries += 1;
                }
                _ => {
                    if !self.entry(&entry, &path, copied, || scan.open())? {
                        scan.leave_out();
                    }
                }
            }
        }
        // What is made in a folder changes its time, and a folder may forbid that anything is made in it.
        for (path, metadata) in folders.iter().rev() {
            self.root.set_metadata(path, metadata)?;
        }
        Ok(())
    }

    /// Makes a folder and gives the metadata that it must get in the end; none for one that is there already.
    fn directory(&self, path: &EntryPath, metadata: &Metadata) -> Result<Option<Metadata>, CopyError> {
        let in_the_way =
            |kind: &Kind| CopyError::InTheWay { path: path.clone(), found: kind.name(), wanted: "folder" };
        let over_whiteout = match self.root.kind(path)? {
            None => false,
            Some(Kind::Directory) => return Ok(None),
            Some(kind) if self.opaque.is_some() && overlay_form::is_whiteout(&kind) => true,
            Some(kind) => return Err(in_the_way(&kind)),
        };
        let mut metadata = self.dressed(metadata);
        if over_whiteout {
            self.root.remove_file(path)?;
        } else if let Some(entry) = self.shows_below(path)? {
            // As when it is copied into the merged files: there is a folder already.
            if entry.kind != Kind::Directory {
                return Err(in_the_way(&entry.kind));
            }
            metadata = entry.metadata;
        }
        // Whoever copies the same again, after this was killed, leaves folders as they are.
        match fresh::make_folder(self.root, path, metadata.mode & 0o1777 | 0o700) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            made => made.map_err(|error| failed("create directory", path, error))?,
        }
        if matches!(self.owner, Owner::Keep) {
            let open = Metadata { mode: metadata.mode | 0o700, ..metadata.clone() };
            self.root.set_metadata(path, &open)?;
        }
        if over_whiteout {
            self.hide_below(path)?;
        }
        Ok(Some(metadata))
    }

    /// What the root filesystem shows at `path` of a layer that has nothing there.
    fn shows_below(&self, path: &EntryPath) -> Result<Option<Entry>, CopyError> {
        match self.below {
            Some(below) => Ok(below.lstat(path)?),
            None => Ok(None),
        }
    }

    /// Copies what is neither a folder nor a further name; `false` when it is left out.
    fn entry(
        &self,
        entry: &Entry,
        to: &EntryPath,
        copied: &mut Copied,
        open: impl FnOnce() -> tree::Result<std::fs::File>,
    ) -> Result<bool, CopyError> {
        let metadata = self.dressed(&entry.metadata);
        match &entry.kind {
            Kind::File { size } => {
                self.file(to, &metadata, &mut open()?)?;
                copied.bytes += size;
            }
            Kind::Symlink { target } => {
                self.clear(to, "symbolic link")?;
                self.root.symlink(to, target, &metadata)?;
            }
            Kind::Fifo => {
                self.clear(to, "named pipe")?;
                self.root.make_fifo(to, &metadata)?;
            }
            kind if overlay_form::is_whiteout(kind) => {
                copied.whiteouts += 1;
                return Ok(false);
            }
            _ => {
                copied.devices += 1;
                return Ok(false);
            }
        }
        copied.entries += 1;
        Ok(true)
    }

    fn file(&self, to: &EntryPath, metadata: &Metadata, source: &mut std::fs::File) -> Result<(), CopyError> {
        self.is_taken(to, "file")?;
        let holes = contents::has_holes(source).map_err(|error| failed("read", to, error))?;
        let copy = if holes { contents::copy } else { contents::copy_plain };
        // A reader sees the old file or the new one, and the old one stays when this fails.
        let mut fresh = Fresh::new(self.root, to).map_err(|error| failed("create", to, error))?;
        copy(source, fresh.file()).map_err(|error| failed("write", to, error))?;
        fresh.dress(metadata).map_err(|error| match error {
            tree::Error::Entry { operation, source, .. } => failed(operation, to, source),
            other => other.into(),
        })?;
        fresh.publish(to).map_err(|error| failed("create", to, error))
    }

    /// Removes the file or link at `path`, if there is one.
    fn clear(&self, path: &EntryPath, wanted: &'static str) -> Result<(), CopyError> {
        if self.is_taken(path, wanted)? {
            self.root.remove_file(path)?;
        }
        Ok(())
    }

    /// Whether there is something at `path`; a folder, or one that would be hidden, is an error.
    fn is_taken(&self, path: &EntryPath, wanted: &'static str) -> Result<bool, CopyError> {
        let own = self.root.kind(path)?;
        let taken = own.is_some();
        let kind = match own {
            Some(kind) => Some(kind),
            None => self.shows_below(path)?.map(|entry| entry.kind),
        };
        match kind {
            Some(Kind::Directory) => Err(CopyError::InTheWay { path: path.clone(), found: "folder", wanted }),
            _ => Ok(taken),
        }
    }

    /// The metadata that a copy gets.
    fn dressed(&self, metadata: &Metadata) -> Metadata {
        let mut metadata = metadata.clone();
        if let Owner::One { uid, gid, trusted } = self.owner {
            // Access lists name owners of the other side.
            metadata.xattrs.retain(|name, _| !name.starts_with(b"system.posix_acl_"));
            if !trusted {
                metadata.xattrs.remove(&b"security.capability"[..]);
            }
            for (bit, same) in [(0o4000, metadata.uid == uid), (0o2000, metadata.gid == gid)] {
                if !(trusted && same) {
                    metadata.mode &= !bit;
                }
            }
            (metadata.uid, metadata.gid) = (uid, gid);
        }
        metadata
    }
}

fn failed(operation: &'static str, path: &EntryPath, source: io::Error) -> CopyError {
    CopyError::Tree(tree::Error::Entry { operation, path: path.clone(), source })
}
