//! Unmounting merge points, and going where they are mounted.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::lease::{self, Lease};
use crate::lock::StoreLock;
use crate::store::{MERGED, WORK};
use crate::usage::State;
use crate::{Engine, Error, LayerName, PointName, Result, staging};

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

/// A merge point that was gone into.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Where it is mounted, as long as it is.
    pub(crate) path: PathBuf,
    /// Leads there also when it has been unmounted meanwhile, opened with `O_PATH`.
    pub(crate) root: OwnedFd,
    /// The layer that is written to.
    pub(crate) top: PathBuf,
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
            State::Elsewhere(lease) => {
                let done = self.unmount_elsewhere(point, &target, &lease)?;
                self.tidy_unmounted(done, &lease, &gate);
                (done, Some(lease))
            }
            State::Held(lease, holder) => {
                holder.release().map_err(Error::sandbox(format!("unmount merge point `{point}`")))?;
                // Who is in the namespaces goes on, and needs the work folder for it.
                let busy = lease.layers.last().is_some_and(|top| self.is_at_work(&top.path));
                let done = if busy { Unmerged::Detached } else { Unmerged::Gone };
                self.tidy_unmounted(done, &lease, &gate);
                (done, Some(lease))
            }
            State::Here(mount, lease) => {
                if let Some(top) = &mount.upper {
                    self.tidy_merged(top, &target, &gate);
                }
                let done = unmount_all(&target)?;
                // Without a lease the mount itself tells which work folder was its own.
                if let Some(work) = mount.work.filter(|_| done == Unmerged::Gone && lease.is_none()) {
                    self.remove_work(&work);
                }
                (done, lease)
            }
        };
        // What still has the detached mount needs the work folder; later it is swept by whoever comes next.
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
    fn forget(&self, point: &PointName, lease: Option<&Lease>, gate: &StoreLock) -> Result<()> {
        if let Some(lease) = lease {
            self.remove_work(&self.runtime().path(WORK).join(&lease.work));
        }
        lease::remove(self.runtime(), point)?;
        self.sweep_works(Some(point), gate);
        Ok(())
    }

    /// Removes what killed runs have left in the layer that was written to, once nothing is mounted any more.
    fn tidy_unmounted(&self, done: Unmerged, lease: &Lease, gate: &StoreLock) {
        if let Some(top) = lease.layers.last().filter(|_| done == Unmerged::Gone) {
            self.tidy_layer(&top.path, gate);
        }
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
        match self.join_with_top(point, None)? {
            Some(joined) => Ok(joined.path),
            None => Err(Error::UnknownPoint { point: point.clone() }),
        }
    }

    /// As [`Engine::join`], and keeps what is found. With `top`, a merge point in which another layer is written to is
    /// not gone into, and gives `None`.
    pub(crate) fn join_with_top(&self, point: &PointName, top: Option<&LayerName>) -> Result<Option<Joined>> {
        // Under the lock nobody unmounts it, or mounts something else there, before it is open.
        let gate = self.runtime().lock()?;
        let wanted = |path: &Path| top.is_none_or(|top| path.ends_with(top));
        let upper = |lease: &Lease| lease.layers.last().map(|top| top.path.clone()).unwrap_or_default();
        let path = self.runtime().path(MERGED).join(point);
        let upper = match self.state(point, &gate)? {
            State::Here(mount, lease) => {
                let upper = mount.upper.or_else(|| lease.as_ref().map(upper)).unwrap_or_default();
                if !wanted(&upper) {
                    return Ok(None);
                }
                upper
            }
            State::Held(lease, holder) => {
                let upper = upper(&lease);
                if !wanted(&upper) {
                    return Ok(None);
                }
                holder.join().map_err(Error::sandbox(format!("enter merge point `{point}`")))?;
                upper
            }
            State::Elsewhere(_) => return Err(Error::Elsewhere { point: point.clone() }),
            State::Free { .. } => return Err(Error::UnknownPoint { point: point.clone() }),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(Error::io("open", &path))?;
        Ok(Some(Joined { path, root, top: upper }))
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
