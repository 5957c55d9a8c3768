//! What is marked for installation so far, and what follows from it.

use super::request::Wanted;
use crate::universe::{Kind, Link, NameId, PackageId, Provide, Universe};
use crate::version::compare;

/// The mark of one name. There is never anything installed before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// The version that may be installed, unless it was given up.
    pub(super) candidate: Option<PackageId>,
    /// The version that is to be installed.
    pub(super) install: Option<PackageId>,
    /// Whether the name is marked for installation; with a version, but for an oddity noted in [`super::mark`].
    pub(super) marked: bool,
    /// Whether the decision is not to be touched any more, for or against.
    pub(super) protected: bool,
    /// Whether it was taken for another package and not asked for.
    pub(super) automatic: bool,
    /// The candidate that was given up, and when.
    given_up: Option<(PackageId, u32)>,
    /// When relations on this name were last looked at again.
    refreshed: u32,
}

/// The marks of all names.
#[derive(Clone)]
pub(super) struct Marks<'u> {
    pub(super) universe: &'u Universe,
    marks: Vec<Mark>,
    /// The names in the order in which they were first marked, some of them no more.
    touched: Vec<NameId>,
    /// Each package that provides something with each name that it provides, sorted.
    provided: std::rc::Rc<[(PackageId, NameId)]>,
    clock: u32,
}

impl<'u> Marks<'u> {
    pub(super) fn new(universe: &'u Universe) -> Self {
        let mut marks = vec![Mark::default(); universe.name_count()];
        let mut provided = Vec::new();
        for name in universe.names_in_order() {
            marks[name.index()].candidate = universe.candidate_of(name);
            provided.extend(universe.provides_of(name).map(|provide| (provide.owner, name)));
        }
        provided.sort_unstable();
        Self { universe, marks, touched: Vec::new(), provided: provided.into(), clock: 0 }
    }

    pub(super) fn get(&self, name: NameId) -> &Mark {
        &self.marks[name.index()]
    }

    pub(super) fn get_mut(&mut self, name: NameId) -> &mut Mark {
        &mut self.marks[name.index()]
    }

    /// Marks what was asked for, so that everything that follows takes it into account.
    pub(super) fn request(&mut self, wanted: &Wanted) {
        for name in &wanted.excluded {
            self.get_mut(*name).protected = true;
        }
        for id in &wanted.packages {
            let name = self.universe.owner_name(*id);
            let mark = self.get_mut(name);
            mark.candidate = Some(*id);
            mark.protected = true;
            self.set_installed(name);
            self.get_mut(name).automatic = false;
        }
        for (id, suite) in &wanted.from_suite {
            self.prefer_suite(*id, suite);
        }
    }

    /// Takes from a suite what a package of that suite needs and no candidate satisfies.
    fn prefer_suite(&mut self, id: PackageId, suite: &str) {
        let universe = self.universe;
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            for group in groups(universe.links_of(id)).filter(|group| is_need(group[0].kind)) {
                if group.iter().any(|link| self.candidate_match(id, link)) {
                    continue;
                }
                let mut targets = group.iter().flat_map(|link| self.all_targets(id, link));
                let found = targets.find(|target| {
                    let mark = self.get(universe.owner_name(*target));
                    !mark.protected && universe.origins_of(*target).any(|origin| origin.answers_to(suite))
                });
                if let Some(target) = found {
                    let name = universe.owner_name(target);
                    self.get_mut(name).candidate = Some(target);
                    self.refresh(name);
                    open.push(target);
                }
            }
        }
    }

    /// Marks a name for installation of its candidate.
    pub(super) fn set_installed(&mut self, name: NameId) {
        let mark = self.get_mut(name);
        mark.marked = true;
        mark.install = mark.candidate;
        mark.automatic = true;
        self.touched.push(name);
        self.refresh(name);
    }

    /// Takes the mark away again.
    pub(super) fn unset_installed(&mut self, name: NameId) {
        let mark = self.get_mut(name);
        mark.marked = false;
        mark.install = None;
        self.refresh(name);
    }

    /// Rules the candidate of a name out from now on.
    ///
    /// apt remembers for each relation whether a candidate satisfies it and does not look again here, so until a name
    /// is next marked or unmarked, relations on it still count with the candidate that is gone.
    pub(super) fn give_up_candidate(&mut self, name: NameId) {
        self.clock += 1;
        let clock = self.clock;
        let mark = self.get_mut(name);
        if let Some(candidate) = mark.candidate.take() {
            mark.given_up = Some((candidate, clock));
        }
    }

    fn refresh(&mut self, name: NameId) {
        self.clock += 1;
        let clock = self.clock;
        self.get_mut(name).refreshed = clock;
        let Some(candidate) = self.get(name).candidate else { return };
        let provided = std::rc::Rc::clone(&self.provided);
        let first = provided.partition_point(|(owner, _)| *owner < candidate);
        for (_, target) in provided[first..].iter().take_while(|(owner, _)| *owner == candidate) {
            self.get_mut(*target).refreshed = clock;
        }
    }

    /// What is to be installed, by name in apt's order.
    pub(super) fn installed(&self) -> Vec<PackageId> {
        self.installed_names().into_iter().filter_map(|name| self.get(name).install).collect()
    }

    /// The names for which something is to be installed, in apt's order.
    pub(super) fn installed_names(&self) -> Vec<NameId> {
        let mut names: Vec<_> =
            self.touched.iter().copied().filter(|n| self.get(*n).install.is_some()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether something that is to be installed matches a link, be it good or bad.
    pub(super) fn installed_match(&self, owner: PackageId, link: &Link) -> bool {
        self.matches(owner, link, |name| self.get(name).install)
    }

    /// Whether a candidate matches a link, as of when apt last looked; see [`Marks::give_up_candidate`].
    pub(super) fn candidate_match(&self, owner: PackageId, link: &Link) -> bool {
        let looked = self.get(link.target).refreshed;
        self.matches(owner, link, |name| {
            let mark = self.get(name);
            mark.given_up
                .filter(|(_, when)| *when > looked)
                .map_or(mark.candidate, |(candidate, _)| Some(candidate))
        })
    }

    fn matches(&self, owner: PackageId, link: &Link, chosen: impl Fn(NameId) -> Option<PackageId>) -> bool {
        let itself = self.universe.owner_name(owner);
        let ignores = |name: NameId| link.kind.is_negative() && name == itself;
        let direct = chosen(link.target).filter(|_| !ignores(link.target));
        direct.is_some_and(|id| self.accepts(owner, link, self.universe.version_of(id)))
            || self.universe.provides_of(link.target).any(|provide| {
                let name = self.universe.owner_name(provide.owner);
                !ignores(name)
                    && chosen(name) == Some(provide.owner)
                    && self.accepts_provide(owner, link, provide)
            })
    }

    /// Whether the versions fit; an empty version, as of most virtual packages, only fits where none is asked for.
    pub(super) fn accepts(&self, owner: PackageId, link: &Link, version: &str) -> bool {
        link.relation.is_none_or(|relation| {
            !version.is_empty() && relation.accepts(compare(version, self.universe.link_version(owner, link)))
        })
    }

    pub(super) fn accepts_provide(&self, owner: PackageId, link: &Link, provide: &Provide) -> bool {
        link.relation.is_none()
            || !provide.version.is_empty()
                && self.accepts(owner, link, self.universe.provided_version(provide))
    }

    /// Whether a group of alternatives holds: one of them if it is positive, none if it is negative.
    pub(super) fn holds(&self, owner: PackageId, group: &[Link]) -> bool {
        group.iter().any(|link| self.installed_match(owner, link) != link.kind.is_negative())
    }

    /// Whether what is to be installed for a name lacks something or conflicts.
    pub(super) fn is_broken(&self, name: NameId) -> bool {
        let Some(id) = self.get(name).install else { return false };
        groups(self.universe.links_of(id)).any(|group| group[0].kind.is_critical() && !self.holds(id, group))
    }

    pub(super) fn broken_count(&self) -> usize {
        self.installed_names().into_iter().filter(|name| self.is_broken(*name)).count()
    }
}

/// The groups of alternatives among the links of a package.
pub(super) fn groups(links: &[Link]) -> impl Iterator<Item = &[Link]> {
    links.chunk_by(|link, _| link.or_next)
}

/// Whether a kind says what a package needs to work.
pub(super) fn is_need(kind: Kind) -> bool {
    kind.is_critical() && !kind.is_negative()
}
