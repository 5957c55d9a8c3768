//! What relations between packages mean for the order of unpacking and configuring.

use std::collections::{BTreeSet, HashMap};

use archive::Version;
use archive::dependency::{Relation, Relations};

use crate::database::Control;

/// Whether the relation field `field` names the package `name` at `version`.
pub(crate) fn names_version(field: &str, name: &str, version: &str) -> bool {
    let version = Version::new(version);
    relations(field).iter().flatten().any(|relation| relation.name == name && relation.accepts(&version))
}

/// The numbers of those of `unpacked` that can be configured before `waiting` packages are there: everything that they
/// depend on, directly or not, is unpacked.
pub(crate) fn configurable(unpacked: &[(usize, &Control)]) -> BTreeSet<usize> {
    let mut ready: BTreeSet<usize> = unpacked.iter().map(|(number, _)| *number).collect();
    let providers = providers(unpacked);
    loop {
        let stuck: Vec<usize> = unpacked
            .iter()
            .filter(|(number, control)| ready.contains(number) && !satisfied(control, &providers, &ready))
            .map(|(number, _)| *number)
            .collect();
        if stuck.is_empty() {
            return ready;
        }
        for number in stuck {
            ready.remove(&number);
        }
    }
}

/// The members of `waiting` that may be unpacked next: those that no other waiting package has to be configured for.
/// When packages wait for each other in a circle, the first one goes.
pub(crate) fn next_batch(waiting: &[(usize, &Control)]) -> BTreeSet<usize> {
    let providers = providers(waiting);
    let free: BTreeSet<usize> = waiting
        .iter()
        .filter(|(number, control)| {
            let needed = relations(&control.pre_depends);
            !needed.iter().flatten().any(|relation| {
                providers.get(relation.name.as_str()).is_some_and(|found| found.iter().any(|other| other != number))
            })
        })
        .map(|(number, _)| *number)
        .collect();
    if free.is_empty() { waiting.iter().map(|(number, _)| *number).take(1).collect() } else { free }
}

fn satisfied(control: &Control, providers: &HashMap<String, Vec<usize>>, ready: &BTreeSet<usize>) -> bool {
    let groups = [&control.pre_depends, &control.depends].into_iter().flat_map(|field| relations(field));
    groups.into_iter().all(|alternatives| {
        alternatives.iter().any(|relation| {
            providers.get(relation.name.as_str()).is_some_and(|found| found.iter().any(|number| ready.contains(number)))
        })
    })
}

/// By name, real or provided: the packages that have it.
fn providers(packages: &[(usize, &Control)]) -> HashMap<String, Vec<usize>> {
    let mut providers: HashMap<String, Vec<usize>> = HashMap::new();
    for (number, control) in packages {
        providers.entry(control.name().to_owned()).or_default().push(*number);
        for relation in relations(&control.provides).into_iter().flatten() {
            providers.entry(relation.name).or_default().push(*number);
        }
    }
    providers
}

/// The groups of alternatives of a relation field; a field that cannot be parsed was refused when the set was solved.
fn relations(field: &str) -> Vec<Vec<Relation>> {
    Relations::parse(field).map(Relations::into_groups).unwrap_or_default()
}
