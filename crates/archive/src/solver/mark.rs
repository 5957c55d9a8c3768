//! Marks a package and, depth first, what it needs.
//!
//! A package that was asked for, and one that is the only way to satisfy such a package, is *protected*: its decision
//! stands, what it needs inherits the protection where there is no choice, and what it conflicts with is ruled out for
//! good. Any other package is given up as soon as one of its relations cannot be satisfied, and the next alternative
//! has its turn.

use super::marks::{Marks, groups, is_need};
use super::request::Wanted;
use crate::universe::{Link, NameId, PackageId};

/// apt does not look deeper.
const MAX_DEPTH: usize = 3000;

/// What stands behind an attempt to mark a package.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It was asked for.
    User,
    /// Another package needs it.
    Need,
}

/// A relation of the package at hand that has to be dealt with.
type Groups<'u> = Vec<&'u [Link]>;

impl<'u> Marks<'u> {
    /// Follows everything that was asked for through its dependencies.
    pub(super) fn follow_requests(&mut self, wanted: &Wanted) {
        for id in &wanted.packages {
            self.mark_deep(self.universe.owner_name(*id), 0, Cause::User);
        }
    }

    fn mark_deep(&mut self, name: NameId, depth: usize, cause: Cause) -> bool {
        let id = match self.admit(name, depth, cause, true) {
            Admission::Refused => return false,
            Admission::Settled => return true,
            Admission::Open(id) => id,
        };
        let protected = self.get(name).protected;
        // What was asked for goes on even when something fails, so that the repair has the whole picture.
        let stubborn = protected || cause == Cause::User;
        if cause == Cause::User {
            self.set_marked(name);
            self.get_mut(name).automatic = false;
        }
        let (needs, conflicts) = self.open_relations(id, protected);
        let mut done = self.rule_out(id, &conflicts, protected, cause);
        if !done && !stubborn {
            return false;
        }
        if cause == Cause::Need {
            self.set_marked(name);
        }
        // While its needs are followed, nothing may unmark the package itself.
        self.get_mut(name).protected = true;
        done &= self.satisfy(id, &needs, protected, cause, depth);
        self.get_mut(name).protected = protected;
        if !done && !stubborn {
            self.unset_installed(name);
            self.give_up_candidate(name);
        }
        done
    }

    /// Whether a package may be marked at all, or is already.
    fn admit(&mut self, name: NameId, depth: usize, cause: Cause, deep: bool) -> Admission {
        let mark = *self.get(name);
        let locked = cause == Cause::Need && !mark.marked && mark.protected;
        if depth > MAX_DEPTH || locked {
            return Admission::Refused;
        }
        let Some(candidate) = mark.candidate else { return Admission::Refused };
        if mark.marked && !mark.protected && !self.is_broken(name) {
            return Admission::Settled;
        }
        if deep && !self.is_possible(candidate) {
            if !mark.protected {
                // apt forgets to unmark the version here; the repair then works with what is left.
                self.give_up_candidate(name);
                self.get_mut(name).marked = false;
            }
            return Admission::Refused;
        }
        Admission::Open(candidate)
    }

    /// Whether each need has something that is marked or could be, on the face of it.
    fn is_possible(&self, id: PackageId) -> bool {
        groups(self.universe.links_of(id)).filter(|group| is_need(group[0].kind)).all(|group| {
            group.iter().any(|link| self.installed_match(id, link) || self.candidate_match(id, link))
        })
    }

    fn set_marked(&mut self, name: NameId) {
        let mark = *self.get(name);
        if !(mark.protected && mark.install == mark.candidate) {
            self.set_installed(name);
        }
    }

    /// The needs and the conflicts that have to be dealt with: those that do not hold, or all for a protected package.
    fn open_relations(&self, id: PackageId, protected: bool) -> (Groups<'u>, Groups<'u>) {
        groups(self.universe.links_of(id))
            .filter(|group| group[0].kind.is_critical() && (protected || !self.holds(id, group)))
            .partition(|group| !group[0].kind.is_negative())
    }

    /// Unmarks what the package conflicts with; for a protected package for good.
    fn rule_out(&mut self, id: PackageId, conflicts: &Groups<'u>, protected: bool, cause: Cause) -> bool {
        let mut done = true;
        for conflict in conflicts.iter().flat_map(|group| group.iter()) {
            for other in self.possible(id, std::slice::from_ref(conflict)) {
                let name = self.universe.owner_name(other);
                if self.get(name).candidate != Some(other) {
                    continue;
                }
                if self.get(name).marked && !self.unmark(name) {
                    done = false;
                    if !protected && cause == Cause::Need {
                        return false;
                    }
                } else if protected {
                    self.give_up_candidate(name);
                    self.get_mut(name).protected = true;
                }
            }
        }
        done
    }

    /// Takes a mark away, unless it is protected.
    pub(super) fn unmark(&mut self, name: NameId) -> bool {
        let mark = self.get(name);
        if mark.marked && mark.protected {
            return false;
        }
        if mark.marked {
            self.unset_installed(name);
        }
        true
    }

    fn satisfy(
        &mut self,
        id: PackageId,
        needs: &Groups<'u>,
        protected: bool,
        cause: Cause,
        depth: usize,
    ) -> bool {
        let mut done = true;
        for group in needs {
            let satisfied = self.holds(id, group);
            let success = match (satisfied, protected) {
                (true, false) => true,
                (true, true) => self.pass_protection_on(id, group, depth),
                (false, _) => self.take_first(id, group, protected, depth),
            };
            done &= success;
            if !success && !satisfied && !protected && cause == Cause::Need {
                return false;
            }
        }
        done
    }

    /// Protects what satisfies a need when nothing else could.
    fn pass_protection_on(&mut self, id: PackageId, group: &[Link], depth: usize) -> bool {
        let mut possible = self.possible(id, group);
        possible.sort_unstable();
        possible.dedup();
        let [only] = possible[..] else { return true };
        let name = self.universe.owner_name(only);
        if self.get(name).protected {
            return true;
        }
        self.get_mut(name).protected = true;
        self.mark_deep(name, depth + 1, Cause::Need)
    }

    /// Marks the first package that can be, of those that would satisfy a need.
    fn take_first(&mut self, id: PackageId, group: &[Link], protected: bool, depth: usize) -> bool {
        let possible = self.possible(id, group);
        for choice in &possible {
            let name = self.universe.owner_name(*choice);
            if self.get(name).candidate != Some(*choice) {
                continue;
            }
            if protected && possible.len() == 1 {
                if !self.mark_alone(name, depth + 1) {
                    continue;
                }
                self.get_mut(name).protected = true;
            }
            if self.mark_deep(name, depth + 1, Cause::Need) {
                return true;
            }
        }
        false
    }

    /// Marks a package for another one's sake with everything that it needs; `false` when that is impossible.
    pub(super) fn mark_needed(&mut self, name: NameId) -> bool {
        self.mark_deep(name, 1, Cause::Need)
    }

    /// Marks a package for another one's sake, but nothing that it needs in turn.
    pub(super) fn mark_alone(&mut self, name: NameId, depth: usize) -> bool {
        match self.admit(name, depth, Cause::Need, false) {
            Admission::Refused => false,
            Admission::Settled => true,
            Admission::Open(_) => {
                self.set_marked(name);
                true
            }
        }
    }
}

/// The outcome of [`Marks::admit`].
enum Admission {
    /// It cannot be marked.
    Refused,
    /// It is marked and fine.
    Settled,
    /// It has to be marked, in this version.
    Open(PackageId),
}
