//! Mounting a stack of layers as a merge point.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::overlay::{MAX_LOWERS, Overlay, Upper};

use crate::lease::{self, Lease, Leased};
use crate::lock::{Access, LayerLock, StoreLock};
use crate::store::{MERGED, Role, WORK};
use crate::usage::State;
use crate::{Engine, Error, Ids, LayerName, Locked, PointName, Result, record, staging, unpacked};

/// Beyond so many layers every look-up of a file that does not exist becomes noticeably slower.
const DEEP: usize = 32;

/// How long a writable layer is waited for that is mounted nowhere any more, but in use by a process: namespaces that
/// are being set up have copies of all mounts for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked at meanwhile.
const INTERVAL: Duration = Duration::from_millis(20);

/// A merge point that was mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Where it is mounted; for an ordinary user only in the namespaces that [`Engine::join`] leads to.
    pub path: PathBuf,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What is going to be mounted.
struct Stack {
    locked: Vec<Locked>,
    /// Keeps what was unpacked of archived layers.
    _unpacked: Vec<LayerLock>,
    overlay: Overlay,
    target: PathBuf,
    work: PathBuf,
    lease: Lease,
}

impl Engine {
    /// Mounts `layers`, lowest first, above the rootfs at the merge point `point`. What is written goes to the last one.
    ///
    /// For an ordinary user a process is started that keeps the mount. Call this outside of [`Engine::enter`] and while
    /// there is one thread then.
    ///
    /// # Errors
    /// [`Error::PointExists`], [`Error::UnknownLayer`], [`Error::Twice`], [`Error::TopNotWritable`],
    /// [`Error::MixedForms`], [`Error::TooDeep`], [`Error::NoRootfs`]; [`Error::Used`] and [`Error::UpperInUse`] when the
    /// last layer is the last of another live mount. Nothing is mounted and nothing left then.
    pub fn merge(&self, layers: &[LayerName], point: &PointName) -> Result<Merged> {
        if layers.is_empty() {
            return Err(Error::NoLayers);
        }
        if layers.len() > MAX_LOWERS {
            return Err(Error::TooDeep { count: layers.len(), limit: MAX_LOWERS });
        }
        self.runtime().writable("mount a merge point")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stack = self.stack(layers, point)?;
            let gate = self.runtime().lock()?;
            match self.mount(stack, point, &gate) {
                Err(Error::UpperInUse { .. }) if Instant::now() < deadline => {}
                Err(error) => return Err(error),
                Ok(path) => {
                    return Ok(Merged { path, warnings: self.warnings(layers.len()) });
                }
            }
            drop(gate);
            std::thread::sleep(INTERVAL);
        }
    }

    /// Finds and locks the layers, and puts together what to mount.
    fn stack(&self, layers: &[LayerName], point: &PointName) -> Result<Stack> {
        let rootfs = self.rootfs()?.to_owned();
        let locked = self.lock(layers, Access::Shared)?;
        let mut paths = Vec::with_capacity(locked.len());
        let mut unpacked = Vec::new();
        for Locked { layer, lock } in &locked {
            if layer.archived {
                let (path, lock) = unpacked::provide(self, layer, lock)?;
                paths.push(path);
                unpacked.push(lock);
            } else {
                paths.push(layer.path.clone());
            }
        }
        let (Some(top), Some(upper)) = (locked.last(), paths.last()) else { return Err(Error::NoLayers) };
        if top.layer.store.role() != Role::Runtime {
            let store = top.layer.store.root().to_owned();
            return Err(Error::TopNotWritable { name: top.layer.name.clone(), store });
        }
        let form = top.layer.store.form();
        // What was unpacked has the form of the runtime store.
        let other = locked.iter().find(|one| !one.layer.archived && one.layer.store.form() != form);
        if let Some(other) = other {
            return Err(Error::MixedForms {
                first: other.layer.name.clone(),
                second: top.layer.name.clone(),
            });
        }
        let work = format!("{point}.{}", record::random_name());
        let work_path = self.runtime().path(WORK).join(&work);
        let overlay = Overlay {
            source: "ovmlayer".to_owned(),
            xattrs: form.xattrs(),
            lowers: paths[..paths.len() - 1].iter().rev().chain([&rootfs]).cloned().collect(),
            upper: Some(Upper { upper: upper.clone(), work: work_path.clone() }),
        };
        let namespace =
            sandbox::mounts::mount_namespace().map_err(Error::sandbox("tell this mount namespace"))?;
        let names = locked.iter().map(|one| one.layer.name.clone());
        let leased = names.zip(paths).map(|(name, path)| Leased { name, path }).collect();
        let env = self.environment();
        let lease = Lease::new(&env.boot_id, namespace.number(), !env.is_root(), leased, work);
        let target = self.runtime().path(MERGED).join(point);
        Ok(Stack { locked, _unpacked: unpacked, overlay, target, work: work_path, lease })
    }

    /// Mounts under the lock of the store. The lease comes first: without a mount it proves nothing and is removed
    /// by whoever meets it, while a mount without a lease is not seen from other namespaces.
    fn mount(&self, stack: Stack, point: &PointName, gate: &StoreLock) -> Result<PathBuf> {
        match self.state(point, gate)? {
            State::Free { .. } => {}
            State::Here(..) | State::Held(..) | State::Elsewhere(_) => {
                return Err(Error::PointExists { point: point.clone() });
            }
        }
        self.runtime().folder(WORK)?;
        self.runtime().folder(MERGED)?;
        let mounted = stack.lease.write(self.runtime(), point).and_then(|()| {
            make_folder(&stack.work)?;
            make_folder(&stack.target)?;
            if self.environment().is_root() {
                self.attach(&stack, gate)
            } else {
                self.hold(&stack, point, gate)
            }
        });
        if let Err(error) = mounted {
            let _ = fs::remove_dir(&stack.target);
            let _ = staging::remove_tree(&stack.work);
            // What remains is stale, and removed by whoever meets it.
            let _ = lease::remove(self.runtime(), point);
            return Err(error);
        }
        // A container that ended with the merge point took its mount along and left its work folder.
        self.sweep_works(Some(point), gate);
        Ok(stack.target)
    }

    /// Mounts in this namespace.
    fn attach(&self, stack: &Stack, gate: &StoreLock) -> Result<()> {
        if let Some(Upper { upper, .. }) = &stack.overlay.upper {
            self.tidy_layer(upper, gate);
        }
        match stack.overlay.mount(&stack.target) {
            Err(sandbox::Error::UpperInUse { .. }) => Err(self.top_in_use(stack, gate)?),
            mounted => mounted.map_err(Error::sandbox("mount the layers")),
        }
    }

    /// Starts a process that mounts in namespaces of its own, and keeps the mount.
    fn hold(&self, stack: &Stack, point: &PointName, gate: &StoreLock) -> Result<()> {
        let lease = lease::open(&lease::path(self.runtime(), point))?;
        let in_use = || stack.locked.last().map(|top| Error::UpperInUse { name: top.layer.name.clone() });
        match sandbox::holder::hold(&lease, || self.attach(stack, gate)) {
            Ok(_) => Ok(()),
            Err(sandbox::Error::Hold { message }) => Err(match in_use() {
                // An error of another process is text.
                Some(error) if error.to_string() == message => error,
                _ => Error::Holder { message },
            }),
            Err(source) => Err(Error::Sandbox { action: "keep the mount".to_owned(), source }),
        }
    }

    /// The error for a last layer that is mounted for writing already, whoever has it and wherever.
    fn top_in_use(&self, stack: &Stack, gate: &StoreLock) -> Result<Error> {
        let Some(Locked { layer, .. }) = stack.locked.last() else { return Ok(Error::NoLayers) };
        let name = &layer.name;
        // A merge point that has it last will not go away by waiting.
        let points = self.usage(gate)?.points;
        Ok(match points.into_iter().find(|point| point.layers.last() == Some(name)) {
            Some(point) => {
                Error::Used { doing: "write to", name: name.clone(), point: point.name.to_string() }
            }
            None => Error::UpperInUse { name: name.clone() },
        })
    }

    fn warnings(&self, depth: usize) -> Vec<String> {
        let mut warnings = Vec::new();
        if depth > DEEP {
            warnings.push(format!(
                "{depth} layers deep: looking for files gets slow; `ovmlayer flatten` makes one layer of several"
            ));
        }
        let ids = self.runtime().ids();
        if self.environment().is_root() && !ids.uids.is_empty() && Ids::current().is_ok_and(|now| now != *ids)
        {
            warnings.push(format!(
                "the store `{}` was made by a user with other ids: files have other owners when seen from here",
                self.runtime().root().display()
            ));
        }
        warnings
    }
}

fn make_folder(path: &std::path::Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("create the folder", path)(error))
        }
        _ => Ok(()),
    }
}
