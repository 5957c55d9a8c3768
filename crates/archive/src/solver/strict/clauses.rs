//! Turns the relations of packages into clauses, when a package is first thought of.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use super::Variable;
use super::search::{Decision, Search};
use crate::solver::marks::groups;
use crate::universe::{Link, NameId, PackageId, Universe};
use crate::version::compare;

/// In which order open choices are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Among packages that are all current.
    New,
    /// Of relations that need not hold.
    Optional,
    /// Where a choice is a leftover of an older source version.
    Obsolete,
    /// Which version of a name.
    Version,
}

/// The reason implies one of the solutions; if negative, none of them.
#[derive(Debug)]
pub(super) struct Clause<'u> {
    pub(super) reason: Variable,
    pub(super) solutions: Vec<Variable>,
    pub(super) optional: bool,
    pub(super) negative: bool,
    pub(super) rank: Rank,
    /// The relation behind it, by the package that has it.
    relation: Option<(PackageId, &'u [Link])>,
}

impl Clause<'_> {
    fn new(reason: Variable, rank: Rank) -> Self {
        Self { reason, solutions: Vec::new(), optional: false, negative: false, rank, relation: None }
    }
}

/// The packages of each source package, with its version.
pub(super) type Sources<'u> = HashMap<&'u str, Vec<(PackageId, &'u str)>>;

/// Groups all packages by their source.
pub(super) fn sources(universe: &Universe) -> Sources<'_> {
    let mut sources: Sources<'_> = HashMap::new();
    for package in universe.packages() {
        let source = package.source();
        sources.entry(source.name).or_default().push((package.id(), source.version));
    }
    sources
}

impl<'u> Search<'_, 'u> {
    /// Registers the clauses of a variable and of everything that it may lead to.
    pub(super) fn discover(&mut self, start: Variable) {
        let mut open = VecDeque::from([start]);
        while let Some(mut variable) = open.pop_front() {
            if let Variable::Package(id) = variable {
                // The name first: relations that all its versions share are then registered once.
                let name = Variable::Name(self.universe().owner_name(id));
                if !self.state(name).discovered {
                    variable = name;
                }
            }
            if std::mem::replace(&mut self.state_mut(variable).discovered, true) {
                continue;
            }
            match variable {
                Variable::Name(name) => self.discover_name(name),
                Variable::Package(id) => self.discover_package(id),
            }
            for clause in &self.state(variable).clauses {
                let ruled_out = |solution: &&Variable| {
                    let state = self.state(**solution);
                    state.decision == Decision::No && state.depth == 0
                };
                open.extend(self.clauses[*clause].solutions.iter().filter(|solution| !ruled_out(solution)));
            }
        }
    }

    fn discover_name(&mut self, name: NameId) {
        let variable = Variable::Name(name);
        let mut versions: Vec<_> = self.universe().versions_of(name).collect();
        versions.sort_by(|a, b| self.prefer(name, *a, *b));
        let solutions = versions.iter().copied().map(Variable::Package).collect();
        self.register(Clause { solutions, ..Clause::new(variable, Rank::Version) });
        let mut all = self.universe().versions_of(name);
        let Some(first) = all.next() else { return };
        let others: Vec<_> = all.collect();
        for group in groups(self.universe().links_of(first)) {
            let shared = others.iter().all(|other| {
                groups(self.universe().links_of(*other)).any(|links| self.same(first, group, *other, links))
            });
            if shared {
                let clause = self.translate(first, group, variable);
                self.register(clause);
            }
        }
    }

    fn discover_package(&mut self, id: PackageId) {
        let variable = Variable::Package(id);
        let name = self.universe().owner_name(id);
        let solutions = vec![Variable::Name(name)];
        self.register(Clause { solutions, ..Clause::new(variable, Rank::Version) });
        let others: Vec<_> = self.universe().versions_of(name).filter(|other| *other != id).collect();
        for other in others {
            let solutions = vec![Variable::Package(other)];
            self.register(Clause { solutions, negative: true, ..Clause::new(variable, Rank::Version) });
        }
        for group in groups(self.universe().links_of(id)) {
            let of_name = &self.state(Variable::Name(name)).clauses;
            let mut relations = of_name.iter().filter_map(|clause| self.clauses[*clause].relation);
            if !relations.any(|(other, links)| self.same(id, group, other, links)) {
                let clause = self.translate(id, group, variable);
                self.register(clause);
            }
        }
    }

    fn register(&mut self, clause: Clause<'u>) {
        let number = self.clauses.len();
        for solution in &clause.solutions {
            self.state_mut(*solution).watchers.push(number);
        }
        self.state_mut(clause.reason).clauses.push(number);
        self.clauses.push(clause);
    }

    /// Whether two packages have the same relation.
    fn same(&self, a: PackageId, a_links: &[Link], b: PackageId, b_links: &[Link]) -> bool {
        let universe = self.universe();
        a_links.len() == b_links.len()
            && a_links.iter().zip(b_links).all(|(x, y)| {
                (x.target, x.kind, x.relation) == (y.target, y.kind, y.relation)
                    && universe.link_version(a, x) == universe.link_version(b, y)
            })
    }

    fn translate(&self, id: PackageId, group: &'u [Link], reason: Variable) -> Clause<'u> {
        let kind = group[0].kind;
        if !kind.is_critical() {
            return Clause { optional: true, ..Clause::new(reason, Rank::Optional) };
        }
        let mut solutions = Vec::new();
        for link in group {
            if !kind.is_negative() && self.any_version_will_do(id, link) {
                solutions.push(Variable::Name(link.target));
                continue;
            }
            let mut targets = self.marks.all_targets(id, link);
            // Even for the other alternatives apt 3.0 compares with the target of the first.
            targets.sort_by(|a, b| self.prefer(group[0].target, *a, *b));
            solutions.extend(targets.into_iter().map(Variable::Package));
        }
        let obsolete = !kind.is_negative() && solutions.iter().any(|solution| self.is_obsolete(*solution));
        let rank = if obsolete { Rank::Obsolete } else { Rank::New };
        Clause {
            solutions,
            negative: kind.is_negative(),
            relation: Some((id, group)),
            ..Clause::new(reason, rank)
        }
    }

    fn any_version_will_do(&self, id: PackageId, link: &Link) -> bool {
        let universe = self.universe();
        let mut versions = universe.versions_of(link.target).peekable();
        universe.provides_of(link.target).next().is_none()
            && versions.peek().is_some()
            && versions.all(|version| self.marks.accepts(id, link, universe.version_of(version)))
    }

    /// Whether a newer version of the source of a package builds others, but not this one.
    fn is_obsolete(&self, variable: Variable) -> bool {
        let universe = self.universe();
        let name = match variable {
            Variable::Name(name) => name,
            Variable::Package(id) => universe.owner_name(id),
        };
        let Some(candidate) = universe.candidate_of(name) else { return true };
        let source = universe.package(candidate).source();
        let siblings = self.sources.get(source.name).map_or(&[][..], Vec::as_slice);
        siblings.iter().any(|(sibling, version)| {
            universe.owner_name(*sibling) != name
                && compare(version, source.version).is_gt()
                && universe.pin_of(*sibling) > 0
                && universe.pin_of(*sibling) >= universe.pin_of(candidate)
        })
    }

    /// The preference of apt's second solver, which knows no protection and breaks ties by name.
    fn prefer(&self, target: NameId, a: PackageId, b: PackageId) -> Ordering {
        let universe = self.universe();
        let (a_name, b_name) = (universe.owner_name(a), universe.owner_name(b));
        if a_name == b_name {
            let by_pin = universe.pin_of(b).cmp(&universe.pin_of(a));
            return by_pin.then_with(|| compare(universe.version_of(b), universe.version_of(a)));
        }
        let first = |holds: &dyn Fn(NameId) -> bool| holds(b_name).cmp(&holds(a_name));
        first(&|name| name == target)
            .then_with(|| first(&|name| universe.is_essential(name)))
            .then_with(|| first(&|name| universe.is_important(name)))
            .then_with(|| universe.priority_of(a).cmp(&universe.priority_of(b)))
            .then_with(|| universe.name_of(a_name).cmp(universe.name_of(b_name)))
    }
}
