//! The four directions, with the locks and namespaces that each needs.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tree::{Links, Root};

use super::{Copied, CopyError, HostFolder, HostSource, Inside};
use crate::run::Placeholders;
use crate::store::Role;
use crate::unmerge::Joined;
use crate::{Access, Engine, Error, Layer, LayerName, Locked, PointName, Result, inspect};

/// How often it is looked anew for where a layer is used, while others merge and unmerge it.
const ATTEMPTS: usize = 100;

/// What is copied, from where to where. A relative path of the machine starts at the working directory; one inside
/// always starts at `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transfer {
    /// A file or folder into a folder of a layer.
    HostToLayer {
        /// The file or folder.
        source: PathBuf,
        /// The layer.
        layer: LayerName,
        /// The folder inside.
        inside: OsString,
    },
    /// A file or folder into a folder of a merge point.
    HostToMerged {
        /// The file or folder.
        source: PathBuf,
        /// The merge point.
        point: PointName,
        /// The folder inside.
        inside: OsString,
    },
    /// What a layer itself holds into a folder.
    LayerToHost {
        /// The layer.
        layer: LayerName,
        /// The file or folder inside.
        inside: OsString,
        /// The folder.
        folder: PathBuf,
    },
    /// A file or folder of a merge point into a folder.
    MergedToHost {
        /// The merge point.
        point: PointName,
        /// The file or folder inside.
        inside: OsString,
        /// The folder.
        folder: PathBuf,
    },
}

impl Engine {
    /// Copies a file or folder into a folder, under its own name; missing folders are made.
    ///
    /// An idle layer is locked and written to directly, and so is looked at as it will be over the root filesystem. The
    /// top of a live merge point is written to through that. To be called while there is one thread: an ordinary user's
    /// process enters its own namespace, or that of the merge point, on the way, and the umask changes for a while.
    ///
    /// # Errors
    /// [`Error::Used`] when the layer is a lower one of a live merge point; [`Error::ReadOnly`] when it is in a store
    /// that is not written to; [`Error::Copy`] when the copying fails, of which what was copied by then stays.
    pub fn copy(&self, transfer: &Transfer, keep_owner: bool) -> Result<Copied> {
        // Folders get their modes as they are made.
        let mask = rustix::process::umask(Mode::empty());
        let copied = self.copy_unmasked(transfer, keep_owner);
        rustix::process::umask(mask);
        copied
    }

    fn copy_unmasked(&self, transfer: &Transfer, keep_owner: bool) -> Result<Copied> {
        match transfer {
            Transfer::HostToLayer { source, layer, inside } => {
                let source = HostSource::open(source).map_err(Error::Copy)?;
                for _ in 0..ATTEMPTS {
                    let uses = inspect::uses(&self.merge_points()?, layer);
                    let copied = match uses.iter().find(|used| used.top) {
                        Some(used) => self.copy_into_top(&source, layer, &used.point, inside, keep_owner)?,
                        None => self.copy_into_layer(&source, layer, inside, keep_owner)?,
                    };
                    if let Some(copied) = copied {
                        return Ok(copied);
                    }
                }
                let point = inspect::uses(&self.merge_points()?, layer).into_iter().find(|used| used.top);
                let point = point.map(|used| used.point.to_string()).unwrap_or_default();
                Err(Error::Used { doing: "copy into", name: layer.clone(), point })
            }
            Transfer::HostToMerged { source, point, inside } => {
                let source = HostSource::open(source).map_err(Error::Copy)?;
                let unknown = || Error::UnknownPoint { point: point.clone() };
                let joined = self.join_with_top(point, None)?.ok_or_else(unknown)?;
                self.copy_into_merged(&source, &joined, inside, keep_owner)
            }
            Transfer::LayerToHost { layer, inside, folder } => {
                let folder = HostFolder::open(folder).map_err(Error::Copy)?;
                self.enter()?;
                let locked = self.lock_one_layer(layer, Access::Shared)?;
                let root = open_layer(&locked.layer)?;
                folder.copy_from(&root, inside, keep_owner).map_err(Error::Copy)
            }
            Transfer::MergedToHost { point, inside, folder } => {
                let folder = HostFolder::open(folder).map_err(Error::Copy)?;
                let unknown = || Error::UnknownPoint { point: point.clone() };
                let root = open_merged(&self.join_with_top(point, None)?.ok_or_else(unknown)?)?;
                folder.copy_from(&root, inside, keep_owner).map_err(Error::Copy)
            }
        }
    }

    /// Copies into the layer through the merge point of which it is the top; `None` when it is not by now.
    fn copy_into_top(
        &self,
        source: &HostSource,
        layer: &LayerName,
        point: &PointName,
        inside: &OsString,
        keep_owner: bool,
    ) -> Result<Option<Copied>> {
        match self.join_with_top(point, Some(layer)) {
            Ok(Some(joined)) => self.copy_into_merged(source, &joined, inside, keep_owner).map(Some),
            Ok(None) | Err(Error::UnknownPoint { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn copy_into_merged(
        &self,
        source: &HostSource,
        joined: &Joined,
        inside: &OsString,
        keep_owner: bool,
    ) -> Result<Copied> {
        let root = open_merged(joined)?;
        let store = self.runtime().root();
        let target = Inside { root: &root, below: None, opaque: None, store };
        // As a command that runs there does: who unmerges meanwhile leaves what the mount needs.
        let at_work = Placeholders::enter(&self.runs_of(&joined.top)?, joined)?;
        let copied = source.copy_into(inside, &target, keep_owner).map_err(refused(store));
        // What is left over is removed by the next one.
        let _ = at_work.leave();
        copied
    }

    /// Copies into the layer itself; `None` when it is the top of a merge point by now.
    fn copy_into_layer(
        &self,
        source: &HostSource,
        name: &LayerName,
        inside: &OsString,
        keep_owner: bool,
    ) -> Result<Option<Copied>> {
        // An ordinary user who has entered a namespace of his own cannot go into that of a merge point any more. So the
        // layer is locked first: as long as it is, nobody merges it.
        let mut entered = false;
        let locked = match self.lock_one_layer(name, Access::Exclusive) {
            // Unless its own folder belongs to another of the user's ids.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                self.enter()?;
                entered = true;
                self.lock_one_layer(name, Access::Exclusive)?
            }
            locked => locked?,
        };
        let layer = &locked.layer;
        if layer.store.role() != Role::Runtime {
            return Err(Error::ReadOnly { doing: "copy into a layer", store: layer.store.root().to_owned() });
        }
        if let Some(point) = self.used_by(layer)? {
            if !entered && inspect::uses(&self.merge_points()?, name).iter().any(|used| used.top) {
                return Ok(None);
            }
            return Err(Error::Used { doing: "copy into", name: name.clone(), point });
        }
        if !entered {
            self.enter()?;
        }
        let root = open_layer(layer)?;
        let rootfs = self.rootfs()?;
        let below = Root::open(rootfs, Links::Refuse).map_err(Error::tree("open", rootfs))?;
        let opaque = format!("{}opaque", layer.store.form().prefix());
        let target =
            Inside { root: &root, below: Some(&below), opaque: Some(&opaque), store: layer.store.root() };
        source.copy_into(inside, &target, keep_owner).map(Some).map_err(refused(layer.store.root()))
    }

    fn lock_one_layer(&self, name: &LayerName, access: Access) -> Result<Locked> {
        let mut locked = self.lock(std::slice::from_ref(name), access)?;
        locked.pop().ok_or_else(|| Error::UnknownLayer { name: name.clone() })
    }
}

/// A failed copy into a store: a full and a read-only one are told apart.
fn refused(store: &Path) -> impl FnOnce(CopyError) -> Error {
    let store = store.to_owned();
    move |error| match &error {
        CopyError::Tree(cause) => match cause.io_kind() {
            Some(io::ErrorKind::ReadOnlyFilesystem) => Error::ReadOnly { doing: "copy", store },
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Error::NoSpace { path: store },
            _ => Error::Copy(error),
        },
        _ => Error::Copy(error),
    }
}

/// The merged files, also when the merge point is unmounted meanwhile.
fn open_merged(joined: &Joined) -> Result<Root> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(&joined.root, ".", flags, Mode::empty());
    Ok(Root::from_fd(root.map_err(Error::io("open", &joined.path))?, Links::Refuse))
}

fn open_layer(layer: &Layer) -> Result<Root> {
    if layer.archived {
        return Err(Error::Archived { name: layer.name.clone() });
    }
    Root::open(&layer.path, Links::Refuse).map_err(Error::tree("open", &layer.path))
}
