//! What relations between packages mean for the order of unpacking and configuring.

use std::collections::{BTreeSet, HashMap};

use archive::dependency::{Alternative, alternatives, groups};

use crate::database::Control;

/// Whether the relation field `field` names the package `name` at `version`.
pub(crate) fn names_version(field: &str, name: &str, version: &str) -> bool {
    let accepts =
        |found: &Alternative<'_>| found.constraint.is_none_or(|constraint| constraint.accepts(version));
    alternatives(field).flatten().any(|found| found.name == name && accepts(&found))
}

/// The numbers of those of `unpacked` that can be configured before any other package is there: everything that they
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
    let waits = |number: usize, control: &Control| {
        alternatives(&control.pre_depends)
            .flatten()
            .filter_map(|found| providers.get(found.name))
            .any(|numbers| numbers.iter().any(|other| *other != number))
    };
    let free: BTreeSet<usize> = waiting
        .iter()
        .filter(|(number, control)| !waits(*number, control))
        .map(|(number, _)| *number)
        .collect();
    if free.is_empty() { waiting.iter().map(|(number, _)| *number).take(1).collect() } else { free }
}

fn satisfied(control: &Control, providers: &HashMap<&str, Vec<usize>>, ready: &BTreeSet<usize>) -> bool {
    let is_ready = |found: &Alternative<'_>| {
        providers.get(found.name).is_some_and(|numbers| numbers.iter().any(|number| ready.contains(number)))
    };
    // A field that cannot be parsed was refused when the set was solved.
    let fields = [&control.pre_depends, &control.depends].map(|field| groups(field).unwrap_or_default());
    fields.iter().flatten().all(|group| group.iter().any(is_ready))
}

/// By name, real or provided: the packages that have it.
fn providers<'c>(packages: &[(usize, &'c Control)]) -> HashMap<&'c str, Vec<usize>> {
    let mut providers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, control) in packages {
        providers.entry(control.name()).or_default().push(*number);
        for provided in alternatives(&control.provides).flatten() {
            providers.entry(provided.name).or_default().push(*number);
        }
    }
    providers
}
