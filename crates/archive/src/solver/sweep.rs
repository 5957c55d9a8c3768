//! Drops what was marked on the way but is needed by nothing.

use std::collections::HashMap;

use super::marks::{Marks, groups, is_need};
use crate::universe::{Kind, Link, NameId, PackageId};
use crate::version::compare;

impl Marks<'_> {
    /// Drops every package that nothing needs, recommends or suggests any more.
    pub(super) fn sweep(&mut self) {
        let mut dropped = Vec::new();
        for name in self.garbage() {
            let mark = self.get(name);
            let kept = mark.protected || self.universe.is_essential(name) || self.universe.is_important(name);
            if !kept && mark.automatic {
                self.unset_installed(name);
                dropped.push(name);
            }
        }
        // Only one of several providers may have been followed, so see whether something was dropped too many.
        while self.broken_count() > 0 {
            let needed = dropped.iter().position(|name| self.is_depended_on(*name));
            let Some(position) = needed else { break };
            let name = dropped.remove(position);
            self.mark_alone(name, 0);
        }
    }

    /// The marked names that cannot be reached from what was asked for, in apt's order.
    pub(super) fn garbage(&self) -> Vec<NameId> {
        let mut reached = vec![false; self.universe.name_count()];
        let mut queue: Vec<_> =
            self.installed_names().into_iter().filter(|name| self.is_root(*name)).collect();
        while let Some(name) = queue.pop() {
            if !self.get(name).marked || std::mem::replace(&mut reached[name.index()], true) {
                continue;
            }
            let Some(id) = self.get(name).install else { continue };
            for link in self.universe.links_of(id) {
                let followed = is_need(link.kind) || matches!(link.kind, Kind::Recommends | Kind::Suggests);
                if followed {
                    queue.extend(self.followed(id, link).into_iter().map(|id| self.universe.owner_name(id)));
                }
            }
        }
        let unreached = |name: &NameId| self.get(*name).marked && !reached[name.index()];
        self.installed_names().into_iter().filter(unreached).collect()
    }

    fn is_root(&self, name: NameId) -> bool {
        !self.get(name).automatic
            || self.get(name).protected
            || self.universe.is_essential(name)
            || self.universe.is_important(name)
            || is_never_dropped(self.universe.name_of(name))
    }

    /// The marked packages that satisfy a link; of several built from one source only those of its latest version.
    fn followed(&self, owner: PackageId, link: &Link) -> Vec<PackageId> {
        let direct = self
            .get(link.target)
            .install
            .filter(|id| self.accepts(owner, link, self.universe.version_of(*id)));
        let provides = self.universe.provides_of(link.target).filter(|provide| {
            let chosen = self.get(self.universe.owner_name(provide.owner)).install;
            chosen == Some(provide.owner) && self.accepts_provide(owner, link, provide)
        });
        let found: Vec<_> = direct.into_iter().chain(provides.map(|provide| provide.owner)).collect();
        if found.len() < 2 {
            return found;
        }
        let mut latest = HashMap::new();
        for id in &found {
            let source = self.universe.package(*id).source();
            let version = latest.entry(source.name).or_insert(source.version);
            if compare(source.version, version).is_gt() {
                *version = source.version;
            }
        }
        let is_latest = |id: &PackageId| {
            let source = self.universe.package(*id).source();
            latest.get(source.name) == Some(&source.version)
        };
        found.into_iter().filter(is_latest).collect()
    }

    /// Whether something marked has a need that the candidate of this name matches.
    fn is_depended_on(&self, name: NameId) -> bool {
        let Some(candidate) = self.get(name).candidate else { return false };
        let mentions = |owner: PackageId, link: &Link| {
            let direct =
                link.target == name && self.accepts(owner, link, self.universe.version_of(candidate));
            let mut provides = self.universe.provides_of(link.target);
            direct || provides.any(|p| p.owner == candidate && self.accepts_provide(owner, link, p))
        };
        self.installed().into_iter().any(|owner| {
            let mut needs = groups(self.universe.links_of(owner)).flatten().filter(|link| is_need(link.kind));
            needs.any(|link| mentions(owner, link))
        })
    }
}

/// What apt's default configuration (`APT::NeverAutoRemove`) never takes for unneeded: kernels and their firmware.
fn is_never_dropped(name: &str) -> bool {
    let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.starts_with("firmware-linux")
        || name == "linux-firmware"
        || name.strip_prefix("linux-image-").is_some_and(|flavour| match flavour.split_once('-') {
            Some((first, second)) => word(first) && word(second),
            None => word(flavour),
        })
}
