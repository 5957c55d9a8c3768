//! The four directions, with the locks and namespaces that each needs.

use std::ffi::OsString;
use std::path::PathBuf;

use tree::{Links, Root};

use super::{Copied, HostFolder, HostSource, Inside};
use crate::store::Role;
use crate::{Access, Engine, Error, Layer, LayerName, Locked, PointName, Result, inspect};

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
    /// process enters its own namespace, or that of the merge point, on the way.
    ///
    /// # Errors
    /// [`Error::Used`] when the layer is a lower one of a live merge point; [`Error::ReadOnly`] when it is in a store
    /// that is not written to; [`Error::Copy`] when the copying fails, of which what was copied by then stays.
    pub fn copy(&self, transfer: &Transfer, keep_owner: bool) -> Result<Copied> {
        match transfer {
            Transfer::HostToLayer { source, layer, inside } => {
                let source = HostSource::open(source).map_err(Error::Copy)?;
                let uses = inspect::uses(&self.merge_points()?, layer);
                match uses.iter().find(|used| used.top) {
                    Some(used) => self.copy_into_merged(&source, &used.point, inside, keep_owner),
                    None => self.copy_into_layer(&source, layer, inside, keep_owner),
                }
            }
            Transfer::HostToMerged { source, point, inside } => self.copy_into_merged(
                &HostSource::open(source).map_err(Error::Copy)?,
                point,
                inside,
                keep_owner,
            ),
            Transfer::LayerToHost { layer, inside, folder } => {
                let folder = HostFolder::open(folder).map_err(Error::Copy)?;
                self.enter()?;
                let locked = self.lock_one_layer(layer, Access::Shared)?;
                let root = open_layer(&locked.layer)?;
                folder.copy_from(&root, inside, keep_owner).map_err(Error::Copy)
            }
            Transfer::MergedToHost { point, inside, folder } => {
                let folder = HostFolder::open(folder).map_err(Error::Copy)?;
                let path = self.join(point)?;
                let root = Root::open(&path, Links::Refuse).map_err(Error::tree("open", &path))?;
                folder.copy_from(&root, inside, keep_owner).map_err(Error::Copy)
            }
        }
    }

    fn copy_into_merged(
        &self,
        source: &HostSource,
        point: &PointName,
        inside: &OsString,
        keep_owner: bool,
    ) -> Result<Copied> {
        let path = self.join(point)?;
        let root = Root::open(&path, Links::Refuse).map_err(Error::tree("open", &path))?;
        let target = Inside { root: &root, below: None, opaque: None, store: self.runtime().root() };
        source.copy_into(inside, &target, keep_owner).map_err(Error::Copy)
    }

    fn copy_into_layer(
        &self,
        source: &HostSource,
        name: &LayerName,
        inside: &OsString,
        keep_owner: bool,
    ) -> Result<Copied> {
        self.enter()?;
        let locked = self.lock_one_layer(name, Access::Exclusive)?;
        let layer = &locked.layer;
        if layer.store.role() != Role::Runtime {
            return Err(Error::ReadOnly { doing: "copy into a layer", store: layer.store.root().to_owned() });
        }
        if let Some(point) = self.used_by(layer)? {
            return Err(Error::Used { doing: "copy into", name: name.clone(), point });
        }
        let root = open_layer(layer)?;
        let rootfs = self.rootfs()?;
        let below = Root::open(rootfs, Links::Refuse).map_err(Error::tree("open", rootfs))?;
        let opaque = format!("{}opaque", layer.store.form().prefix());
        let target =
            Inside { root: &root, below: Some(&below), opaque: Some(&opaque), store: layer.store.root() };
        source.copy_into(inside, &target, keep_owner).map_err(Error::Copy)
    }

    fn lock_one_layer(&self, name: &LayerName, access: Access) -> Result<Locked> {
        let mut locked = self.lock(std::slice::from_ref(name), access)?;
        locked.pop().ok_or_else(|| Error::UnknownLayer { name: name.clone() })
    }
}

fn open_layer(layer: &Layer) -> Result<Root> {
    if layer.archived {
        return Err(Error::Archived { name: layer.name.clone() });
    }
    Root::open(&layer.path, Links::Refuse).map_err(Error::tree("open", &layer.path))
}
