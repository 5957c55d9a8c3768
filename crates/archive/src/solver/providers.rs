//! Which packages can satisfy a relation, in the order in which apt prefers them.

use std::cmp::Ordering;

use super::marks::Marks;
use crate::universe::{Link, NameId, PackageId};

impl Marks<'_> {
    /// The candidates that match a group of alternatives, best first.
    ///
    /// The alternatives count in the order in which they are written, the providers of each by [`Marks::prefer`].
    /// For a positive group, packages that are ruled out for good are left out.
    pub(super) fn possible(&self, owner: PackageId, group: &[Link]) -> Vec<PackageId> {
        let mut found = Vec::new();
        for link in group {
            let start = found.len();
            self.collect(owner, link, &mut found);
            found[start..].sort_by(|a, b| self.prefer(link.target, *a, *b));
        }
        found.dedup();
        if group.last().is_some_and(|link| !link.kind.is_negative()) {
            found.retain(|id| {
                let mark = self.get(self.universe.owner_name(*id));
                !mark.protected || mark.marked
            });
        }
        found
    }

    fn collect(&self, owner: PackageId, link: &Link, found: &mut Vec<PackageId>) {
        if !self.candidate_match(owner, link) {
            return;
        }
        let itself = self.universe.owner_name(owner);
        let ignores = |name: NameId| link.kind.is_negative() && name == itself;
        if let Some(candidate) = self.get(link.target).candidate
            && !ignores(link.target)
            && self.accepts(owner, link, self.universe.version_of(candidate))
        {
            found.push(candidate);
        }
        for provide in self.universe.provides_of(link.target) {
            let name = self.universe.owner_name(provide.owner);
            let chosen = self.get(name).candidate == Some(provide.owner);
            if chosen && !ignores(name) && self.accepts_provide(owner, link, provide) {
                found.push(provide.owner);
            }
        }
    }

    /// Every version, candidate or not, that a link matches.
    pub(super) fn all_targets(&self, id: PackageId, link: &Link) -> Vec<PackageId> {
        let universe = self.universe;
        let itself = universe.owner_name(id);
        let ignores = |name: NameId| link.kind.is_negative() && name == itself;
        let versions = universe
            .versions_of(link.target)
            .filter(|version| !ignores(link.target) && self.accepts(id, link, universe.version_of(*version)));
        let provides = universe.provides_of(link.target).filter(|provide| {
            !ignores(universe.owner_name(provide.owner)) && self.accepts_provide(id, link, provide)
        });
        versions.chain(provides.map(|provide| provide.owner)).collect()
    }

    /// apt's preference among packages that match a link on `target`.
    fn prefer(&self, target: NameId, a: PackageId, b: PackageId) -> Ordering {
        let (a_name, b_name) = (self.universe.owner_name(a), self.universe.owner_name(b));
        let first = |holds: &dyn Fn(NameId) -> bool| holds(b_name).cmp(&holds(a_name));
        // What is decided anyway, else the package of that very name, else one that the system cannot do without.
        first(&|name| self.get(name).protected)
            .then_with(|| first(&|name| name == target))
            .then_with(|| first(&|name| self.universe.is_essential(name)))
            .then_with(|| first(&|name| self.universe.is_important(name)))
            .then_with(|| self.universe.priority_of(a).cmp(&self.universe.priority_of(b)))
            // Then nothing is left to go by but chance: the name that apt met later.
            .then_with(|| b_name.cmp(&a_name))
    }
}
