//! Unmounting merge points, and going where they are mounted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lease::{self, Lease};
use crate::lock::StoreLock;
use crate::store::{MERGED, WORK};
use crate::usage::State;
use crate::{Engine, Error, PointName, Result, staging};

/// More mounts than this are never stacked at one place by us.
const STACKED: usize = 64;

/// What became of a request to unmerge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmerged {
    /// The merge point is gone.
    Gone,
    /// It is gone from here, and ends when the processes have ended that still use it.
    Detached,
    /// There was none.
    Unknown,
}

impl Engine {
    /// Unmounts a merge point, in whatever mount namespace it is mounted; its name can be used again at once. One that
    /// does not exist is no error.
    ///
    /// For an ordinary user the process that keeps the mount is ended; that works outside of [`Engine::enter`] too.
    ///
    /// # Errors
    /// [`Error::Elsewhere`] when it is kept by a process that cannot be reached.
    pub fn unmerge(&self, point: &PointName) -> Result<Unmerged> {
        let gate = self.runtime().lock()?;
        let target = self.runtime().path(MERGED).join(point);
        let (done, lease) = match self.state(point, &gate)? {
            State::Free { stale } => {
                if stale {
                    self.forget(point, None, &gate)?;
                }
                // A killed process may have left the empty folder.
                let _ = fs::remove_dir(&target);
                return Ok(Unmerged::Unknown);
            }
            State::Elsewhere(lease) => (self.unmount_elsewhere(point, &target, &lease)?, Some(lease)),
            State::Held(lease, holder) => {
                holder.release().map_err(Error::sandbox(format!("unmount merge point `{point}`")))?;
                (Unmerged::Gone, Some(lease))
            }
            State::Here(mount, lease) => {
                let done = unmount_all(&target)?;
                // Without a lease the mount itself tells which work folder was its own.
                if let Some(work) = mount.work.filter(|_| done == Unmerged::Gone && lease.is_none()) {
                    self.remove_work(&work);
                }
                (done, lease)
            }
        };
        // What still has the detached mount needs the work folder; later it is left to `gc`.
        self.forget(point, lease.as_ref().filter(|_| done == Unmerged::Gone), &gate)?;
        // With it go the copies of the mount that other namespaces got at their beginning.
        let _ = fs::remove_dir(&target);
        Ok(done)
    }

    /// Unmounts what is mounted in other namespaces: the kernel detaches a mount wherever its folder is removed from.
    fn unmount_elsewhere(&self, point: &PointName, target: &Path, lease: &Lease) -> Result<Unmerged> {
        let elsewhere = || Error::Elsewhere { point: point.clone() };
        if lease.holder || fs::remove_dir(target).is_err() {
            return Err(elsewhere());
        }
        let Some(top) = lease.layers.last() else { return Ok(Unmerged::Gone) };
        let used = sandbox::overlay::upper_in_use(&top.path).map_err(|_| elsewhere())?;
        Ok(if used { Unmerged::Detached } else { Unmerged::Gone })
    }

    /// Removes the lease and the work folder of a merge point that is not mounted any more.
    fn forget(&self, point: &PointName, lease: Option<&Lease>, _gate: &StoreLock) -> Result<()> {
        self.forget_runs(point);
        if let Some(lease) = lease {
            self.remove_work(&self.runtime().path(WORK).join(&lease.work));
        }
        lease::remove(self.runtime(), point)
    }

    /// Removes a work folder of this store; no record makes us remove anything else. One that belongs to ids that take
    /// a namespace to remove is left to `gc`.
    fn remove_work(&self, work: &Path) {
        if work.parent() == Some(&self.runtime().path(WORK)) && work.file_name().is_some() {
            let _ = staging::remove_tree(work);
        }
    }

    /// Where a live merge point is mounted. An ordinary user's process goes into the namespaces of the process that
    /// keeps it, and is root there; that takes a process with one thread that has not called [`Engine::enter`].
    ///
    /// # Errors
    /// [`Error::UnknownPoint`]; [`Error::Elsewhere`].
    pub fn join(&self, point: &PointName) -> Result<PathBuf> {
        let gate = self.runtime().lock()?;
        let state = self.state(point, &gate)?;
        drop(gate);
        match state {
            State::Here(mount, _) => Ok(mount.target),
            State::Held(_, holder) => {
                holder.join().map_err(Error::sandbox(format!("enter merge point `{point}`")))?;
                Ok(self.runtime().path(MERGED).join(point))
            }
            State::Elsewhere(_) => Err(Error::Elsewhere { point: point.clone() }),
            State::Free { .. } => Err(Error::UnknownPoint { point: point.clone() }),
        }
    }
}

/// Unmounts everything at a place; what is busy ends when its last user does.
fn unmount_all(target: &Path) -> Result<Unmerged> {
    let mut done = Unmerged::Gone;
    for round in 0..STACKED {
        let unmounted = match sandbox::mounts::unmount(target, false) {
            Err(sandbox::Error::Busy { .. }) => {
                done = Unmerged::Detached;
                sandbox::mounts::unmount(target, true)
            }
            other => other,
        };
        match unmounted {
            Ok(()) => {}
            Err(sandbox::Error::NotMounted { .. }) if round > 0 => break,
            Err(error) => return Err(Error::sandbox(format!("unmount `{}`", target.display()))(error)),
        }
    }
    Ok(done)
}
