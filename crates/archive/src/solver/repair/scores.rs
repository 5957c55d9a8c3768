//! The scores by which apt decides which of two packages has to go.

use std::collections::BTreeSet;

use super::super::marks::Marks;
use crate::universe::{Kind, Link, NameId, PackageId};

/// By priority, from none over required to extra.
const BY_PRIORITY: [i32; 6] = [0, 3, 2, 1, -1, -2];
/// For what the system cannot do without, in the base score and again in the end.
const ESSENTIAL: (i32, i32) = (100, 5000);
/// For what was asked for or ruled out.
const ASKED: i32 = 10_000;

/// The score of every name, zero for most.
pub(super) fn scores(marks: &Marks<'_>, order: &[NameId], asked: &[bool]) -> Vec<i32> {
    let universe = marks.universe;
    let vital = |name: NameId| universe.is_essential(name) || universe.is_important(name);
    let mut scores = vec![0; universe.name_count()];
    let installed = marks.installed();
    for id in &installed {
        let name = universe.owner_name(*id);
        scores[name.index()] +=
            BY_PRIORITY[usize::from(universe.priority_of(*id)).min(BY_PRIORITY.len() - 1)];
        if vital(name) {
            scores[name.index()] += ESSENTIAL.0;
        }
        for link in universe.links_of(*id) {
            add_for_link(marks, &mut scores, *id, link);
        }
    }
    let base = scores.clone();
    inherit(marks, &mut scores, &base, &installed);
    pass_to_providers(marks, &mut scores, &base, order);
    for name in order {
        if asked[name.index()] {
            scores[name.index()] += ASKED;
        }
        if vital(*name) {
            scores[name.index()] += ESSENTIAL.1;
        }
    }
    scores
}

/// One point for being needed or recommended, one less for being in the way.
fn add_for_link(marks: &Marks<'_>, scores: &mut [i32], id: PackageId, link: &Link) {
    let points = match link.kind {
        Kind::PreDepends | Kind::Depends | Kind::Recommends => 1,
        Kind::Conflicts | Kind::Breaks => -1,
        Kind::Suggests | Kind::Replaces | Kind::Enhances => return,
    };
    let universe = marks.universe;
    let itself = universe.owner_name(id);
    let ignores = |name: NameId| link.kind.is_negative() && name == itself;
    if !ignores(link.target) {
        let fits = |chosen: PackageId| marks.accepts(id, link, universe.version_of(chosen));
        if link.relation.is_some() && !marks.get(link.target).install.is_some_and(fits) {
            return;
        }
        scores[link.target.index()] += points;
    }
    let providers: BTreeSet<_> = universe
        .provides_of(link.target)
        .filter(|provide| marks.accepts_provide(id, link, provide))
        .map(|provide| (provide.owner, universe.owner_name(provide.owner)))
        .filter(|(owner, name)| !ignores(*name) && marks.get(*name).install == Some(*owner))
        .collect();
    for (_, name) in providers {
        scores[name.index()] += points;
    }
}

/// What a good package needs or recommends takes over its score.
fn inherit(marks: &Marks<'_>, scores: &mut [i32], base: &[i32], installed: &[PackageId]) {
    for id in installed {
        let score = base[marks.universe.owner_name(*id).index()];
        for link in marks.universe.links_of(*id) {
            let passes = matches!(link.kind, Kind::PreDepends | Kind::Depends | Kind::Recommends);
            if passes && score > 0 && marks.get(link.target).install.is_some() {
                scores[link.target.index()] += score;
            }
        }
    }
}

/// What a name has inherited goes on to those that provide it.
fn pass_to_providers(marks: &Marks<'_>, scores: &mut [i32], base: &[i32], order: &[NameId]) {
    let universe = marks.universe;
    for name in order {
        let gained = (scores[name.index()] - base[name.index()]).abs();
        if gained == 0 {
            continue;
        }
        let providers: BTreeSet<_> = universe
            .provides_of(*name)
            .filter(|provide| !provide.implicit)
            .map(|provide| (provide.owner, universe.owner_name(provide.owner)))
            .filter(|(owner, name)| marks.get(*name).install == Some(*owner))
            .collect();
        for (_, provider) in providers {
            scores[provider.index()] += gained;
        }
    }
}
