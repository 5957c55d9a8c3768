//! `--nodes`: some nodes of a flow, and what they need.

use std::collections::BTreeSet;

use crate::{Flow, InputSource};

/// Nodes that are to run, by number, in the order of the flow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Those that need no other node of the selection.
    pub start: Vec<usize>,
    /// Those between.
    pub middle: Vec<usize>,
    /// Those that were asked for and need others.
    pub end: Vec<usize>,
}

impl Selection {
    /// All of them, in the order of the flow.
    #[must_use]
    pub fn all(&self) -> BTreeSet<usize> {
        self.start.iter().chain(&self.middle).chain(&self.end).copied().collect()
    }
}

/// The nodes with the ids `wanted` and all that they need. `has_value` tells which inputs of nodes have a kept value: those need
/// nothing, unless it would come from a node that is wanted itself.
///
/// # Errors
/// With the ids that no node has.
pub fn select(
    flow: &Flow,
    wanted: &[String],
    has_value: impl Fn(usize, &str) -> bool,
) -> Result<Selection, Vec<String>> {
    let unknown: Vec<String> = wanted.iter().filter(|id| flow.node(id).is_none()).cloned().collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let wanted: BTreeSet<usize> = wanted.iter().filter_map(|id| flow.node(id)).collect();
    let mut set = wanted.clone();
    let mut left: Vec<usize> = wanted.iter().copied().collect();
    while let Some(node) = left.pop() {
        for need in needs(flow, node, &wanted, &has_value) {
            if set.insert(need) {
                left.push(need);
            }
        }
    }
    let mut selection = Selection::default();
    for node in set {
        let list = match () {
            () if needs(flow, node, &wanted, &has_value).is_empty() => &mut selection.start,
            () if wanted.contains(&node) => &mut selection.end,
            () => &mut selection.middle,
        };
        list.push(node);
    }
    Ok(selection)
}

/// The nodes that one needs. One that feeds itself does not need itself.
fn needs(
    flow: &Flow,
    node: usize,
    wanted: &BTreeSet<usize>,
    has_value: &impl Fn(usize, &str) -> bool,
) -> BTreeSet<usize> {
    let mut needs = BTreeSet::new();
    for input in &flow.nodes[node].inputs {
        let from = input.sources.iter().filter_map(|source| match source {
            InputSource::Node(from, _) => Some(*from),
            InputSource::Flow(_) => None,
        });
        let from: BTreeSet<usize> = from.filter(|from| *from != node).collect();
        if from.is_disjoint(wanted) && has_value(node, &input.handle.name) {
            continue;
        }
        needs.extend(from);
    }
    needs
}
