//! Which merge points are live, and which layers they have: asked of the kernel.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use sandbox::holder::{Held, Holder};
use sandbox::mounts::Mounted;

use crate::lease::{self, Lease};
use crate::lock::StoreLock;
use crate::store::{MERGED, UNPACKED};
use crate::{Engine, Error, Layer, LayerName, PointName, Result};

/// A live merge point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergePoint {
    /// Its name.
    pub name: PointName,
    /// Its layers, lowest first; the last one is written to. The rootfs below them is not named.
    pub layers: Vec<LayerName>,
    /// Where it is mounted.
    pub path: PathBuf,
    /// In whose namespace.
    pub place: Place,
}

/// In which mount namespace a merge point is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In that of this process.
    Here,
    /// In that of a process of an ordinary user that keeps it; [`Engine::join`] goes there.
    Holder {
        /// Its process id.
        pid: i32,
    },
    /// In one that cannot be reached from here, as that of another container.
    Elsewhere,
}

/// What is in use at one moment, while the runtime store is locked.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) points: Vec<MergePoint>,
    /// By folder: the merge point that has it, or where else it is mounted.
    used: HashMap<PathBuf, String>,
    /// Work folders of live mounts.
    pub(crate) works: Vec<PathBuf>,
    /// Merge points whose lease proves nothing any more.
    pub(crate) stale: Vec<PointName>,
}

/// What is known of one merge point.
pub(crate) enum State {
    /// Nothing is mounted; there may be a stale lease.
    Free { stale: bool },
    /// Mounted in this namespace.
    Here(Box<Mounted>, Option<Lease>),
    /// Kept by a process.
    Held(Lease, Holder),
    /// Live where we are not.
    Elsewhere(Lease),
}

impl Usage {
    /// Looks at the mount table and at all leases. The lock of the runtime store keeps others from mounting meanwhile,
    /// and from asking the kernel the same question, which would disturb both.
    pub(crate) fn of(engine: &Engine, lock: &StoreLock) -> Result<Self> {
        let mounted = sandbox::mounts::overlays_beneath(Path::new("/"))
            .map_err(Error::sandbox("find out what is mounted"))?;
        let mut usage =
            Self { points: Vec::new(), used: HashMap::new(), works: Vec::new(), stale: Vec::new() };
        let merged = engine.runtime().path(MERGED);
        let mut here = HashMap::new();
        for mount in mounted {
            let name = point_name(&merged, &mount.target);
            let user = name.as_ref().map_or_else(|| mount.target.display().to_string(), ToString::to_string);
            for path in mount.lowers.iter().chain(&mount.upper) {
                usage.used.entry(path.clone()).or_insert_with(|| user.clone());
            }
            usage.works.extend(mount.work.clone());
            if let Some(name) = name {
                // Of several mounts at one place the last is the one that is seen.
                here.insert(name, mount);
            }
        }
        for point in lease::points(engine.runtime())? {
            if here.contains_key(&point) {
                continue;
            }
            match engine.leased(&point, lock)? {
                State::Held(lease, holder) => {
                    let pid = holder.pid().as_raw_nonzero().get();
                    usage.add_lease(engine, point, lease, Place::Holder { pid });
                }
                State::Elsewhere(lease) => usage.add_lease(engine, point, lease, Place::Elsewhere),
                State::Free { .. } | State::Here(..) => usage.stale.push(point),
            }
        }
        for (name, mount) in here {
            let layers = mount.lowers.iter().rev().chain(&mount.upper);
            let layers = layers.filter_map(|path| engine.layer_name(path)).collect();
            usage.points.push(MergePoint { name, layers, path: mount.target, place: Place::Here });
        }
        usage.points.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(usage)
    }

    fn add_lease(&mut self, engine: &Engine, name: PointName, lease: Lease, place: Place) {
        for layer in &lease.layers {
            self.used.entry(layer.path.clone()).or_insert_with(|| name.to_string());
        }
        let store = engine.runtime();
        self.works.push(store.path(crate::store::WORK).join(&lease.work));
        let path = store.path(MERGED).join(&name);
        let layers = lease.layers.into_iter().map(|layer| layer.name).collect();
        self.points.push(MergePoint { name, layers, path, place });
    }

    /// The merge point, or other mount, that has this folder.
    pub(crate) fn user_of(&self, path: &Path) -> Option<&str> {
        self.used.get(path).map(String::as_str)
    }

    /// The layers that are in use, by merge points of this runtime store or by any other mount.
    pub(crate) fn layers(&self, engine: &Engine) -> HashSet<LayerName> {
        let named = self.points.iter().flat_map(|point| point.layers.iter().cloned());
        named.chain(self.used.keys().filter_map(|path| engine.layer_name(path))).collect()
    }

    /// An error when the folder of a layer is in use.
    pub(crate) fn refuse(&self, doing: &'static str, name: &LayerName, path: &Path) -> Result<()> {
        match self.user_of(path) {
            Some(point) => Err(Error::Used { doing, name: name.clone(), point: point.to_owned() }),
            None => Ok(()),
        }
    }

    /// As [`Usage::refuse`]; an archived layer is in use when what was unpacked of it is.
    pub(crate) fn refuse_layer(&self, doing: &'static str, layer: &Layer) -> Result<()> {
        if !layer.archived {
            return self.refuse(doing, &layer.name, &layer.path);
        }
        match self.points.iter().find(|point| point.layers.contains(&layer.name)) {
            Some(point) => {
                Err(Error::Used { doing, name: layer.name.clone(), point: point.name.to_string() })
            }
            None => Ok(()),
        }
    }
}

impl Engine {
    /// The merge points that are live now, sorted by name.
    ///
    /// # Errors
    /// When the mount table or the runtime store cannot be read.
    pub fn merge_points(&self) -> Result<Vec<MergePoint>> {
        let lock = self.runtime().lock()?;
        Ok(self.usage(&lock)?.points)
    }

    /// The name of the live merge point that has the layer, if there is one.
    ///
    /// # Errors
    /// As [`Engine::merge_points`].
    pub fn used_by(&self, layer: &Layer) -> Result<Option<String>> {
        let lock = self.runtime().lock()?;
        match self.usage(&lock)?.refuse_layer("use", layer) {
            Err(Error::Used { point, .. }) => Ok(Some(point)),
            other => other.map(|()| None),
        }
    }

    /// What is in use; stale leases are removed on the way.
    pub(crate) fn usage(&self, lock: &StoreLock) -> Result<Usage> {
        let usage = Usage::of(self, lock)?;
        for point in &usage.stale {
            // In a store that cannot be written they stay, and mean nothing.
            let _ = lease::remove(self.runtime(), point);
        }
        Ok(usage)
    }

    /// What is known of one merge point.
    pub(crate) fn state(&self, point: &PointName, lock: &StoreLock) -> Result<State> {
        let target = self.runtime().path(MERGED).join(point);
        if !is_mount_point(&target) {
            return self.leased(point, lock);
        }
        let merged = sandbox::mounts::overlays_beneath(&self.runtime().path(MERGED))
            .map_err(Error::sandbox("find out what is mounted"))?;
        match merged.into_iter().rfind(|mount| mount.target == target) {
            Some(mount) => {
                let lease = lease::read(self.runtime(), point)?.map(|(lease, _)| lease);
                Ok(State::Here(Box::new(mount), lease))
            }
            None => self.leased(point, lock),
        }
    }

    /// What the lease of a merge point that is not mounted here proves.
    fn leased(&self, point: &PointName, _lock: &StoreLock) -> Result<State> {
        let path = lease::path(self.runtime(), point);
        let Some((lease, file)) = lease::read(self.runtime(), point)? else {
            return Ok(State::Free { stale: path.exists() });
        };
        let stale = Ok(State::Free { stale: true });
        if lease.boot != self.environment().boot_id {
            return stale;
        }
        if lease.holder {
            let held = sandbox::holder::holder_of(&file)
                .map_err(Error::sandbox(format!("find who keeps merge point `{point}`")))?;
            return match held {
                Held::Here(holder) => Ok(State::Held(lease, holder)),
                Held::Elsewhere => Ok(State::Elsewhere(lease)),
                Held::Free => stale,
            };
        }
        let here = sandbox::mounts::mount_namespace().map_err(Error::sandbox("tell this mount namespace"))?;
        if lease.namespace == here.number() {
            return stale;
        }
        let Some(top) = lease.layers.last() else { return stale };
        match sandbox::overlay::upper_in_use(&top.path) {
            Ok(true) => Ok(State::Elsewhere(lease)),
            Ok(false) => stale,
            // Who may not mount cannot ask: then it is taken for live, which it is unless its namespace has ended.
            Err(_) if !rustix::process::geteuid().is_root() => Ok(State::Elsewhere(lease)),
            Err(error) => {
                Err(Error::sandbox(format!("find out whether merge point `{point}` is live"))(error))
            }
        }
    }

    /// The layer that a mounted folder is of; `None` for the rootfs and everything else.
    fn layer_name(&self, path: &Path) -> Option<LayerName> {
        let name = path.file_name()?.to_str()?;
        let parent = path.parent()?;
        if parent == self.runtime().path(UNPACKED) {
            return LayerName::new(name.rsplit_once('.')?.0).ok();
        }
        let ours = self.stores().iter().any(|store| parent == store.path(crate::store::LAYERS));
        LayerName::new(name).ok().filter(|_| ours)
    }
}

/// The merge point that is mounted at `target`.
fn point_name(merged: &Path, target: &Path) -> Option<PointName> {
    let name = target.strip_prefix(merged).ok()?.to_str()?;
    PointName::new(name).ok()
}

/// Whether something is mounted on a folder.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::empty())
        .is_ok_and(|status| status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
