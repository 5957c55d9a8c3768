//! Mends what marking left broken: apt's scored problem resolver.
//!
//! Packages are looked at from the highest score to the lowest. A broken one is kept out, or what it conflicts with
//! is, whichever scores lower; what was asked for stays. That goes round until nothing changes any more.

use super::library_order;
use super::marks::{Marks, groups};
use super::request::Wanted;
use crate::universe::{Kind, Link, NameId, PackageId};

mod scores;

/// apt goes round so often at most (`pkgProblemResolver::MaxCounter`).
const MAX_ROUNDS: usize = 20;

impl Marks<'_> {
    /// Tries to mend what is broken; whether that succeeded shows in [`Marks::broken_count`].
    pub(super) fn repair(&mut self, wanted: &Wanted) {
        let order = self.universe.names_in_apt_order();
        for name in &order {
            // The oddity of [`super::mark`]: a version without a mark.
            if !self.get(*name).marked && self.is_broken(*name) {
                self.mark_alone(*name, 0);
            }
        }
        let mut asked = vec![false; self.universe.name_count()];
        for id in &wanted.packages {
            asked[self.universe.owner_name(*id).index()] = true;
        }
        for name in &wanted.excluded {
            asked[name.index()] = true;
        }
        let garbage = self.garbage();
        let scores = scores::scores(self, &order, &asked);
        let upgradable = vec![true; asked.len()];
        Repair { marks: self, order, scores, asked, upgradable, garbage }.run();
    }
}

struct Repair<'m, 'u> {
    marks: &'m mut Marks<'u>,
    order: Vec<NameId>,
    scores: Vec<i32>,
    asked: Vec<bool>,
    /// Whether a package has not been tried as an upgrade yet.
    upgradable: Vec<bool>,
    /// What nothing needed before the repair began.
    garbage: Vec<NameId>,
}

/// What to do with a package when no alternative of a group worked out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fallback {
    Remove,
    Keep,
}

/// How the visit of a group ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The next group has its turn.
    Next,
    /// This package is done with for this round.
    Stop,
}

/// The visit of one broken package.
struct Visit {
    name: NameId,
    id: PackageId,
    fallback: Fallback,
    /// What to take out in favour of this package.
    kills: Vec<NameId>,
    round: usize,
}

impl Repair<'_, '_> {
    fn run(&mut self) {
        let scores = self.scores.clone();
        library_order::sort(&mut self.order, &|a, b| scores[a.index()] > scores[b.index()]);
        let order = std::mem::take(&mut self.order);
        for round in 0..MAX_ROUNDS {
            let mut changed = false;
            for name in &order {
                let broken = self.marks.get(*name).install.filter(|_| self.marks.is_broken(*name));
                if let Some(id) = broken {
                    let visit =
                        Visit { name: *name, id, fallback: Fallback::Remove, kills: Vec::new(), round };
                    changed |= self.visit(visit);
                }
            }
            if !changed {
                break;
            }
        }
    }

    fn score(&self, name: NameId) -> i32 {
        self.scores[name.index()]
    }

    /// Deals with a broken package; returns whether anything changed.
    fn visit(&mut self, mut visit: Visit) -> bool {
        let mut changed = false;
        let universe = self.marks.universe;
        for group in groups(universe.links_of(visit.id)).filter(|group| group[0].kind.is_critical()) {
            visit.fallback = Fallback::Remove;
            let kills_before = visit.kills.len();
            let several = group.len() > 1;
            let (mut open, mut outcome) = (several, Outcome::Next);
            for link in group {
                if self.marks.holds(visit.id, group) {
                    open = false;
                    continue;
                }
                outcome = self.visit_link(&mut visit, group, link, several, &mut changed);
                if outcome == Outcome::Stop {
                    break;
                }
            }
            if open && visit.kills.len() == kills_before {
                changed |= self.give_in(&visit);
            }
            if outcome == Outcome::Stop {
                break;
            }
        }
        self.apply_kills(&visit) || changed
    }

    /// No alternative of a group worked out.
    fn give_in(&mut self, visit: &Visit) -> bool {
        match visit.fallback {
            Fallback::Remove if self.marks.get(visit.name).protected => return false,
            Fallback::Remove => self.remove(visit.name),
            Fallback::Keep => self.marks.unmark(visit.name),
        };
        true
    }

    fn visit_link(
        &mut self,
        visit: &mut Visit,
        group: &[Link],
        link: &Link,
        several: bool,
        changed: &mut bool,
    ) -> Outcome {
        let targets = self.marks.all_targets(visit.id, link);
        let negative = link.kind.is_negative();
        if targets.is_empty() && !negative && !self.marks.get(visit.name).protected {
            if several {
                return Outcome::Next;
            }
            *changed = true;
            self.marks.unmark(visit.name);
            return Outcome::Stop;
        }
        for target in targets {
            let other = self.marks.universe.owner_name(target);
            if negative && self.marks.get(other).install != Some(target) {
                continue;
            }
            if !negative || self.score(visit.name) <= self.score(other) {
                if self.marks.get(visit.name).protected {
                    if self.upgrade(other) {
                        let limit = self.score(visit.name);
                        self.scores[other.index()] = self.score(other).min(limit);
                        break;
                    }
                    continue;
                }
                self.hold_back(visit, link, several, other);
                *changed = true;
                return if several { Outcome::Next } else { Outcome::Stop };
            }
            let fixed_by_candidate = group.iter().all(|link| !self.marks.candidate_match(visit.id, link));
            if link.kind == Kind::Breaks && fixed_by_candidate {
                self.marks.mark_alone(other, 0);
                continue;
            }
            if !(self.marks.get(other).protected) {
                visit.kills.push(other);
            }
        }
        Outcome::Next
    }

    /// Keeps the package itself out rather than change the other one.
    fn hold_back(&mut self, visit: &mut Visit, link: &Link, several: bool, other: NameId) {
        let name = visit.name;
        let was_marked = self.marks.get(name).marked;
        self.marks.unmark(name);
        if !self.marks.is_broken(name) {
            visit.fallback = Fallback::Keep;
            if several && was_marked {
                self.marks.mark_alone(name, 0);
            }
        } else if !self.upgrade(name) {
            let target = link.target;
            let open = self.marks.get(target);
            if !several || self.garbage.binary_search(&name).is_ok() {
                self.remove(name);
                if visit.round > 1 {
                    self.scores[name.index()] = self.score(name).max(self.score(other));
                }
            } else if open.candidate.is_some() {
                self.try_installing(target);
            }
        }
    }

    /// Marks an alternative in the hope that this breaks nothing.
    fn try_installing(&mut self, target: NameId) {
        let before = self.marks.broken_count();
        self.marks.mark_needed(target);
        if self.marks.is_broken(target) || self.marks.broken_count() > before {
            self.remove(target);
        }
    }

    /// Takes a package out unless it must stay.
    fn remove(&mut self, name: NameId) -> bool {
        let mark = self.marks.get(name);
        if mark.install.is_none() {
            return true;
        }
        let universe = self.marks.universe;
        let stays =
            mark.protected || universe.is_essential(name) || universe.is_important(name) || !mark.automatic;
        if !stays {
            self.marks.unset_installed(name);
        }
        !stays
    }

    fn apply_kills(&mut self, visit: &Visit) -> bool {
        let mut changed = false;
        if self.marks.get(visit.name).install.is_none() {
            return false;
        }
        for other in &visit.kills {
            let found = self.marks.unmark(*other);
            if (!found || visit.round > 1) && self.score(visit.name) > self.score(*other) {
                self.scores[other.index()] = self.score(visit.name);
                changed = true;
            }
            changed |= found;
        }
        changed
    }

    /// Marks a package and, on the way, those that its broken relations lack; undoes its own mark on failure.
    fn upgrade(&mut self, name: NameId) -> bool {
        let mark = *self.marks.get(name);
        if !self.upgradable[name.index()] || mark.candidate.is_none() || self.asked[name.index()] {
            return false;
        }
        self.upgradable[name.index()] = false;
        if !self.marks.mark_alone(name, 0) {
            return false;
        }
        let Some(id) = self.marks.get(name).install else { return false };
        let universe = self.marks.universe;
        for group in groups(universe.links_of(id)).filter(|group| group[0].kind.is_critical()) {
            if !self.upgrade_for(id, group) {
                if mark.marked {
                    self.remove(name);
                } else {
                    self.marks.unmark(name);
                }
                return false;
            }
        }
        true
    }

    fn upgrade_for(&mut self, id: PackageId, group: &[Link]) -> bool {
        let mut success = true;
        for link in group {
            if self.marks.holds(id, group) {
                break;
            }
            let other = self.smart_target(id, link);
            if self.marks.get(other).protected {
                success = false;
            } else if self.marks.candidate_match(id, link) != link.kind.is_negative() {
                success = self.upgrade(other);
                if success {
                    break;
                }
            } else if link.kind.is_negative() {
                // The next round will deal with the conflict.
                break;
            } else {
                success = false;
            }
        }
        success
    }

    /// The target of a link, or its only hope when it is virtual: the provider that apt met last.
    fn smart_target(&self, id: PackageId, link: &Link) -> NameId {
        let universe = self.marks.universe;
        let itself = universe.owner_name(id);
        if universe.versions_of(link.target).next().is_some() {
            return link.target;
        }
        let mut providers =
            universe.provides_of(link.target).map(|provide| universe.owner_name(provide.owner));
        providers.find(|name| *name != itself).unwrap_or(link.target)
    }
}
