//! Says in a user's words why a request cannot be satisfied.

use super::marks::{Marks, groups, is_need};
use super::request::Wanted;
use crate::universe::{Link, NameId, PackageId, Universe};

/// Why there is no solution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsatisfiable {
    /// No index has a package of this name.
    #[error("no package named `{name}`{}", did_you_mean(.similar))]
    NoSuchPackage {
        /// The name that was asked for.
        name: String,
        /// Names that look like it, most alike first.
        similar: Vec<String>,
    },
    /// There is a package of this name, but not the version that was asked for.
    #[error("no version of `{name}` {wanted}; there is {}", .known.join(", "))]
    NoSuchVersion {
        /// The name.
        name: String,
        /// What was asked for: a version, or `in` a suite.
        wanted: String,
        /// The versions there are, with their suites.
        known: Vec<String>,
    },
    /// The name is that of several packages that provide it.
    #[error("`{name}` is provided by several packages; choose one of {}", .providers.join(", "))]
    Virtual {
        /// The name.
        name: String,
        /// The packages.
        providers: Vec<String>,
    },
    /// The package was asked for in an architecture that is not at hand.
    #[error("`{name}:{wanted}` cannot be installed into a root for {ours}")]
    Architecture {
        /// The name.
        name: String,
        /// The architecture asked for.
        wanted: String,
        /// The architecture of the universe.
        ours: String,
    },
    /// The dependencies cannot be satisfied.
    #[error("{}", .reasons.join("; "))]
    Conflict {
        /// Each says one thing that is in the way; never empty.
        reasons: Vec<String>,
    },
}

fn did_you_mean(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!(" (did you mean {}?)", similar.join(", ")) }
}

/// How many reasons are told, how many similar names, and how far a chain of reasons is followed.
const MAX_REASONS: usize = 8;
const MAX_SIMILAR: usize = 3;
const MAX_DEPTH: usize = 6;

/// Explains what is broken among the marks of a request that could not be satisfied.
pub(super) fn explain(marks: &Marks<'_>, wanted: &Wanted) -> Unsatisfiable {
    let teller = Teller { marks, wanted };
    let broken = marks.installed_names().into_iter().filter(|name| marks.is_broken(*name));
    let mut reasons: Vec<_> =
        broken.filter_map(|name| marks.get(name).install).flat_map(|id| teller.about(id)).collect();
    reasons.sort();
    reasons.dedup();
    reasons.truncate(MAX_REASONS);
    if reasons.is_empty() {
        reasons.push("the packages asked for cannot be installed together".to_owned());
    }
    Unsatisfiable::Conflict { reasons }
}

struct Teller<'a, 'u> {
    marks: &'a Marks<'u>,
    wanted: &'a Wanted,
}

impl Teller<'_, '_> {
    fn name(&self, id: PackageId) -> &str {
        self.marks.universe.package(id).name()
    }

    /// What is wrong with a package that is to be installed.
    fn about(&self, id: PackageId) -> Vec<String> {
        let links = self.marks.universe.links_of(id);
        let failed =
            groups(links).filter(|group| group[0].kind.is_critical() && !self.marks.holds(id, group));
        let tell = |group: &[Link]| match group[0].kind.is_negative() {
            true => self.conflict(id, &group[0]),
            false => Some(self.lead_to(id) + &self.lack(id, group, 0)),
        };
        failed.filter_map(tell).collect()
    }

    /// "a conflicts with b, which c needs"; told once when the conflict is mutual.
    fn conflict(&self, id: PackageId, link: &Link) -> Option<String> {
        let universe = self.marks.universe;
        let other = self
            .marks
            .installed()
            .into_iter()
            .find(|other| *other != id && self.is_meant(id, link, *other))?;
        let mut back = universe.links_of(other).iter().filter(|link| link.kind.is_negative());
        let mutual = back.any(|link| {
            universe.owner_name(id) != universe.owner_name(other) && self.is_meant(other, link, id)
        });
        if mutual && other < id {
            return None;
        }
        let (mut first, second) = (self.reason(id), self.reason(other));
        if !first.is_empty() {
            first.push(',');
        }
        Some(format!("{}{first} conflicts with {}{second}", self.name(id), self.name(other)))
    }

    /// ", which c needs"; nothing for what was asked for.
    fn reason(&self, id: PackageId) -> String {
        if self.wanted.packages.contains(&id) {
            return String::new();
        }
        self.dependent(id)
            .map_or_else(String::new, |dependent| format!(", which {} needs", self.name(dependent)))
    }

    /// A package to be installed that needs this one.
    fn dependent(&self, id: PackageId) -> Option<PackageId> {
        let needs = |owner: PackageId| {
            let mut links = self.marks.universe.links_of(owner).iter().filter(|link| is_need(link.kind));
            links.any(|link| self.is_meant(owner, link, id))
        };
        self.marks.installed().into_iter().find(|owner| *owner != id && needs(*owner))
    }

    /// The chain from what was asked for to a package: "a needs b, ".
    fn lead_to(&self, id: PackageId) -> String {
        let mut chain = vec![id];
        while let Some(last) = chain.last().copied().filter(|last| !self.wanted.packages.contains(last)) {
            match self.dependent(last).filter(|next| !chain.contains(next) && chain.len() < MAX_DEPTH) {
                Some(next) => chain.push(next),
                None => break,
            }
        }
        chain
            .windows(2)
            .rev()
            .map(|pair| format!("{} needs {}, ", self.name(pair[1]), self.name(pair[0])))
            .collect()
    }

    /// "a needs b (>= 2), but trixie has only b 1".
    fn lack(&self, id: PackageId, group: &[Link], depth: usize) -> String {
        let shown: Vec<_> = group.iter().map(|link| self.show(id, link)).collect();
        let mut excuses: Vec<_> = group.iter().map(|link| self.excuse(id, link, depth)).collect();
        excuses.dedup();
        format!("{} needs {}, but {}", self.name(id), shown.join(" or "), excuses.join(" and "))
    }

    fn show(&self, id: PackageId, link: &Link) -> String {
        let name = self.marks.universe.name_of(link.target);
        match link.relation {
            Some(relation) => format!("{name} ({relation} {})", self.marks.universe.link_version(id, link)),
            None => name.to_owned(),
        }
    }

    /// Why nothing satisfies a link.
    fn excuse(&self, id: PackageId, link: &Link, depth: usize) -> String {
        let universe = self.marks.universe;
        let name = universe.name_of(link.target);
        let fitting = self.fitting(id, link);
        if let Some(candidate) = fitting.first() {
            return self.obstacle(*candidate, depth);
        }
        let versions: Vec<_> = universe.versions_of(link.target).map(|id| universe.package(id)).collect();
        match versions.first() {
            Some(package) => format!("{} has only {name} {}", package.origin().id, package.version()),
            None if universe.provides_of(link.target).next().is_some() => {
                format!("no package provides {name} in such a version")
            }
            None => format!("there is no package named {name}"),
        }
    }

    /// The versions that satisfy a link, whatever came of them.
    fn fitting(&self, id: PackageId, link: &Link) -> Vec<PackageId> {
        let universe = self.marks.universe;
        let direct = universe.versions_of(link.target).filter(|other| self.is_meant(id, link, *other));
        direct
            .chain(universe.provides_of(link.target).map(|p| p.owner).filter(|o| self.is_meant(id, link, *o)))
            .collect()
    }

    /// Why a package that would do cannot be installed.
    fn obstacle(&self, id: PackageId, depth: usize) -> String {
        let universe = self.marks.universe;
        let name = self.name(id);
        let owner = universe.owner_name(id);
        if self.wanted.excluded.contains(&owner) {
            return format!("{name} was to be left out");
        }
        if universe.candidate_of(owner) != Some(id) || self.chosen_otherwise(owner, id) {
            return format!("{name} {} is not the version chosen", universe.version_of(id));
        }
        if let Some(enemy) = self.enemy(id) {
            return format!("{name} conflicts with {}{}", self.name(enemy), self.reason(enemy));
        }
        let mut needs = groups(universe.links_of(id)).filter(|group| is_need(group[0].kind));
        let hopeless = |group: &&[Link]| {
            group.iter().all(|link| self.fitting(id, link).iter().all(|other| self.is_out(*other)))
        };
        match needs.find(hopeless) {
            Some(group) if depth < MAX_DEPTH => self.lack(id, group, depth + 1),
            _ => format!("{name} cannot be installed"),
        }
    }

    fn chosen_otherwise(&self, name: NameId, id: PackageId) -> bool {
        self.marks.get(name).install.is_some_and(|chosen| chosen != id)
    }

    /// Whether a package was ruled out or given up.
    fn is_out(&self, id: PackageId) -> bool {
        self.marks.get(self.marks.universe.owner_name(id)).candidate != Some(id)
    }

    /// A package to be installed that this one conflicts with, or the other way round.
    fn enemy(&self, id: PackageId) -> Option<PackageId> {
        let universe = self.marks.universe;
        let hits = |from: PackageId, to: PackageId| {
            let mut negative = universe.links_of(from).iter().filter(|link| link.kind.is_negative());
            negative.any(|link| self.is_meant(from, link, to))
        };
        let others = self
            .marks
            .installed()
            .into_iter()
            .filter(|other| universe.owner_name(*other) != universe.owner_name(id));
        others.into_iter().find(|other| hits(id, *other) || hits(*other, id))
    }

    /// Whether a link of `owner` matches a package.
    fn is_meant(&self, owner: PackageId, link: &Link, id: PackageId) -> bool {
        let universe = self.marks.universe;
        let direct = universe.owner_name(id) == link.target
            && self.marks.accepts(owner, link, universe.version_of(id));
        let mut provides = universe.provides_of(link.target);
        direct || provides.any(|p| p.owner == id && self.marks.accepts_provide(owner, link, p))
    }
}

/// The names of packages that someone may have meant, most alike first.
pub(super) fn similar_names(universe: &Universe, name: &str) -> Vec<String> {
    let limit = (name.len() / 3).clamp(1, 3);
    let close = |id: NameId| {
        let other = universe.name_of(id);
        let longer = other.strip_prefix(name).is_some_and(|rest| rest.len() <= 4);
        let distance = if longer { 1 } else { distance(name, other, limit)? };
        universe.versions_of(id).next()?;
        Some((distance, other))
    };
    let mut found: Vec<_> = universe.names_in_order().filter_map(close).collect();
    found.sort_unstable();
    found.truncate(MAX_SIMILAR);
    found.into_iter().map(|(_, other)| other.to_owned()).collect()
}

/// How many characters must be put in, left out, changed or swapped with the next, when not more than `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y)).min(row[j] + 1).min(last[j + 1] + 1);
            if i > 0 && j > 0 && (*x, *y) == (b[j - 1], a[i - 1]) {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        if row.iter().min().is_some_and(|least| *least > limit) {
            return None;
        }
        (before, last) = (last, row);
    }
    last.last().copied().filter(|distance| *distance <= limit)
}
