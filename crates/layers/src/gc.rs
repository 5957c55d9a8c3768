//! Removing what killed processes and restarts of the machine have left.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;

use crate::lock::StoreLock;
use crate::record::UNFINISHED;
use crate::store::{LEASES, MERGED, MOVING, Role, WORK};
use crate::usage::{Usage, is_mount_point};
use crate::{Engine, Error, PointName, Result, lease, staging, unpacked};

/// How many things were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Garbage {
    /// Unfinished and half-removed layers, and those with empty files that a killed run made to mount on.
    pub unfinished: usize,
    /// Leases of merge points that are not live, and the folders where they were mounted.
    pub leases: usize,
    /// Work folders of mounts that have ended.
    pub works: usize,
    /// Archived layers that were unpacked and are not mounted.
    pub unpacked: usize,
}

impl Engine {
    /// Removes what belongs to no layer, no live merge point and no running command.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] when the runtime store is; other stores that cannot be written are left alone.
    pub fn gc(&self) -> Result<Garbage> {
        self.runtime().writable("remove what is left over")?;
        let mut garbage = Garbage { unpacked: unpacked::sweep(self)?, ..Garbage::default() };
        for store in self.stores() {
            if store.role() != Role::ReadOnly && store.writable("remove what is left over").is_ok() {
                garbage.unfinished += staging::sweep(store)?;
            }
        }
        for (name, in_both) in self.moving()? {
            // One that is in both stores is still needed to tell that.
            let mark = self.runtime().path(MOVING).join(name);
            garbage.unfinished += usize::from(!in_both && fs::remove_file(mark).is_ok());
        }
        let gate = self.runtime().lock()?;
        let usage = Usage::of(self, &gate)?;
        for point in &usage.stale {
            lease::remove(self.runtime(), point)?;
            garbage.leases += 1;
        }
        for path in self.unfinished_leases(&gate)? {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            garbage.leases += 1;
        }
        for path in self.idle_merged(&usage)? {
            // A folder with something in it was never ours.
            garbage.leases += usize::from(fs::remove_dir(&path).is_ok());
        }
        for list in self.idle_runs(&usage, &gate)? {
            self.tidy_run(&list, &gate);
            garbage.unfinished += usize::from(!list.exists());
        }
        for path in self.idle_works(&usage, &gate)? {
            staging::remove_tree(&path)?;
            garbage.works += 1;
        }
        Ok(garbage)
    }

    /// Leases that were not given their name.
    pub(crate) fn unfinished_leases(&self, _gate: &StoreLock) -> Result<Vec<std::path::PathBuf>> {
        let folder = self.runtime().path(LEASES);
        let ours = |name: &OsString| name.to_string_lossy().starts_with(UNFINISHED);
        Ok(staging::names(&folder)?.into_iter().filter(ours).map(|name| folder.join(name)).collect())
    }

    /// Folders of merge points that are not live.
    pub(crate) fn idle_merged(&self, usage: &Usage) -> Result<Vec<std::path::PathBuf>> {
        let folder = self.runtime().path(MERGED);
        let mut idle: Vec<_> = staging::names(&folder)?.into_iter().map(|name| folder.join(name)).collect();
        idle.retain(|path| !usage.points.iter().any(|point| point.path == *path) && !is_mount_point(path));
        Ok(idle)
    }

    /// Work folders of no mount, not even of one that was detached and lives on in a process.
    pub(crate) fn idle_works(&self, usage: &Usage, _gate: &StoreLock) -> Result<Vec<std::path::PathBuf>> {
        let folder = self.runtime().path(WORK);
        let mut idle: Vec<_> = staging::names(&folder)?.into_iter().map(|name| folder.join(name)).collect();
        // The kernel marks the work folder of a mount as it does the upper.
        idle.retain(|path| {
            !usage.works.contains(path) && sandbox::overlay::upper_in_use(path).is_ok_and(|used| !used)
        });
        Ok(idle)
    }

    /// Removes work folders of mounts that have ended, in passing: of `point` all but the one in its lease, and of the
    /// others those without a lease. That needs no look at what is mounted, nor at the leases of others.
    pub(crate) fn sweep_works(&self, point: Option<&PointName>, _gate: &StoreLock) {
        let folder = self.runtime().path(WORK);
        let (Ok(works), Ok(leased)) = (staging::names(&folder), lease::points(self.runtime())) else {
            return;
        };
        let current = point.and_then(|point| lease::read(self.runtime(), point).ok().flatten());
        let leased: HashSet<&str> = leased.iter().map(PointName::as_str).collect();
        for work in works {
            let Some((of, _)) = work.to_str().and_then(|work| work.rsplit_once('.')) else { continue };
            let is_leased = match (point, &current) {
                (Some(point), Some((lease, _))) if point.as_str() == of => *work == *lease.work,
                _ => leased.contains(of),
            };
            let path = folder.join(&work);
            // One that was detached may live on in a process. Who cannot ask leaves it to `gc`.
            if !is_leased && sandbox::overlay::upper_in_use(&path).is_ok_and(|used| !used) {
                let _ = staging::remove_tree(&path);
            }
        }
    }
}
