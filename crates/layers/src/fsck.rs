//! Whether the stores are as they should be.

use std::fmt;
use std::path::PathBuf;

use crate::lock::LayerLock;
use crate::name::BASE_ROOTFS;
use crate::store::{LAYERS, MOVING, Role, STAGING, TRASH, UNPACKED};
use crate::usage::Usage;
use crate::{Engine, Ids, LayerName, Result, lease, overlay_form, staging};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub problem: Problem,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it has been put right.
    pub repaired: bool,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A store does not say in which form its overlay marks are, or not in a way that can be understood.
    NoRecord,
    /// The root filesystem is missing.
    NoRootfs,
    /// Something in the folder of layers that cannot be one.
    NotALayer,
    /// What a killed process was making.
    Unfinished,
    /// What a killed process was removing.
    HalfRemoved,
    /// A lease of a merge point that is not live.
    StaleLease,
    /// The folder of a merge point that is not live.
    IdleMergePoint,
    /// The work folder of a mount that has ended.
    IdleWork,
    /// A list of what a killed run made in a layer, to mount on.
    IdleRun,
    /// An archived layer that was unpacked and is not mounted.
    IdleUnpacked,
    /// A layer that is in the runtime store and in the external one: a move was interrupted. The one in the runtime store
    /// is used; moving it again finishes the move.
    InTwoStores,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoRecord => "the store has no record of its form that can be read",
            Self::NoRootfs => "the root filesystem is missing; run `ovmlayer setup` with its tar",
            Self::NotALayer => "this is no layer; move it elsewhere",
            Self::Unfinished => "left by a command that was killed while it made something",
            Self::HalfRemoved => "left by a command that was killed while it removed something",
            Self::StaleLease => "the lease of a merge point that is not live",
            Self::IdleMergePoint => "the folder of a merge point that is not live",
            Self::IdleWork => "the work folder of a mount that has ended",
            Self::IdleRun => "lists empty files in a layer, left by a `run` that was killed",
            Self::IdleUnpacked => "an unpacked archive that is not mounted",
            Self::InTwoStores => {
                "a layer of this name is in the external store too; run `ovmlayer move` again"
            }
        })
    }
}

impl Engine {
    /// Looks for what is not as it should be, and with `repair` puts right what can be.
    ///
    /// Layers are never touched, except that the move of one that was interrupted is finished. Records that are damaged
    /// are found and replaced where the engine was opened by [`Engine::open_for_repair`].
    ///
    /// # Errors
    /// When something cannot be read, or repaired.
    pub fn fsck(&self, repair: bool) -> Result<Vec<Finding>> {
        let mut findings = self.inspect()?;
        if !repair || findings.is_empty() {
            return Ok(findings);
        }
        for store in self.stores() {
            let is_this = |finding: &Finding| finding.path == store.root();
            if findings.iter().any(|finding| finding.problem == Problem::NoRecord && is_this(finding)) {
                store.write_record(overlay_form::of_layers(store)?, Ids::current()?)?;
            }
        }
        // The rest takes stores of which the form is known.
        let engine = Self::with_config(self.environment(), self.config().clone())?;
        for finding in findings.iter().filter(|finding| finding.problem == Problem::InTwoStores) {
            let name = finding.path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.and_then(|name| LayerName::new(name).ok()) {
                // One in use is left for later.
                let _ = engine.move_to_external(&name);
            }
        }
        engine.gc()?;
        let left = engine.inspect()?;
        for finding in &mut findings {
            finding.repaired =
                !left.iter().any(|other| other.path == finding.path && other.problem == finding.problem);
        }
        Ok(findings)
    }

    fn inspect(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut found = |problem, path| findings.push(Finding { problem, path, repaired: false });
        if self.rootfs().is_err() {
            found(Problem::NoRootfs, self.config().rootfs.clone());
        }
        for store in self.stores() {
            if !store.is_recorded() && store.role() != Role::ReadOnly {
                found(Problem::NoRecord, store.root().to_owned());
            }
            let layers = store.path(LAYERS);
            let rootfs = self.config().rootfs.as_path();
            for name in staging::names(&layers)? {
                let path = layers.join(&name);
                let good = name.to_str().is_some_and(|name| LayerName::new(name).is_ok());
                let is_rootfs = name.to_str() == Some(BASE_ROOTFS) || path == rootfs;
                let is_layer = good && path.symlink_metadata().is_ok_and(|status| status.is_dir());
                if !is_rootfs && !is_layer {
                    found(Problem::NotALayer, path);
                }
            }
            if store.role() == Role::ReadOnly {
                continue;
            }
            for (folder, problem) in [(STAGING, Problem::Unfinished), (TRASH, Problem::HalfRemoved)] {
                for name in staging::names(&store.path(folder))? {
                    let path = store.path(folder).join(name);
                    let gate = store.lock()?;
                    if LayerLock::now(&path).is_some() {
                        found(problem, path);
                    }
                    drop(gate);
                }
            }
        }
        for (name, in_both) in self.moving()? {
            if in_both {
                found(Problem::InTwoStores, self.runtime().layer_path(&name));
            } else {
                found(Problem::Unfinished, self.runtime().path(MOVING).join(name));
            }
        }
        let gate = self.runtime().lock()?;
        let usage = Usage::of(self, &gate)?;
        for point in &usage.stale {
            found(Problem::StaleLease, lease::path(self.runtime(), point));
        }
        for path in self.unfinished_leases(&gate)? {
            found(Problem::StaleLease, path);
        }
        for path in self.idle_merged(&usage)? {
            found(Problem::IdleMergePoint, path);
        }
        for path in self.idle_works(&usage, &gate)? {
            found(Problem::IdleWork, path);
        }
        for path in self.idle_runs(&usage, &gate)? {
            found(Problem::IdleRun, path);
        }
        for name in staging::names(&self.runtime().path(UNPACKED))? {
            let path = self.runtime().path(UNPACKED).join(name);
            if usage.user_of(&path).is_none() && LayerLock::now(&path).is_some() {
                found(Problem::IdleUnpacked, path);
            }
        }
        Ok(findings)
    }
}
