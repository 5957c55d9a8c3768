//! Nodes that never ran, and what they waited for.

use crate::{Flow, Input, InputSource, NodeBlock};

/// A node that did not run although no condition kept it from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starved {
    /// Its number.
    pub node: usize,
    /// Why, as a sentence without a capital: which inputs never got a value, and from where one was to come.
    pub why: String,
}

/// What is known of a run of a flow, or of any run of it.
pub struct Evidence<'e> {
    /// Whether a node ran.
    pub ran: &'e dyn Fn(usize) -> bool,
    /// Whether an output handle of a node gave a value.
    pub emitted: &'e dyn Fn(usize, &str) -> bool,
    /// Whether an input handle of the flow got a value.
    pub given: &'e dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Evidence<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Evidence")
    }
}

impl Evidence<'_> {
    fn has_value(&self, input: &Input) -> bool {
        input.constant.is_some()
            || input.sources.iter().any(|source| match source {
                InputSource::Node(node, handle) => (self.emitted)(*node, handle),
                InputSource::Flow(handle) => (self.given)(handle),
            })
    }

    fn missing<'f>(&self, flow: &'f Flow, node: usize) -> Vec<&'f Input> {
        flow.nodes[node].inputs.iter().filter(|input| !self.has_value(input)).collect()
    }
}

/// The nodes that never ran, but for those that lie behind a way that a condition did not take.
#[must_use]
pub fn starved(flow: &Flow, evidence: &Evidence<'_>) -> Vec<Starved> {
    let idle: Vec<usize> = (0..flow.nodes.len()).filter(|node| !(evidence.ran)(*node)).collect();
    let mut excused = vec![false; flow.nodes.len()];
    loop {
        let more =
            idle.iter().copied().find(|node| !excused[*node] && is_excused(flow, evidence, &excused, *node));
        match more {
            Some(node) => excused[node] = true,
            None => break,
        }
    }
    let left = idle.into_iter().filter(|node| !excused[*node]);
    left.map(|node| Starved { node, why: why(flow, evidence, node) }).collect()
}

/// Whether an input waits for a condition that went another way, or for a node that does.
fn is_excused(flow: &Flow, evidence: &Evidence<'_>, excused: &[bool], node: usize) -> bool {
    evidence.missing(flow, node).iter().any(|input| {
        input.sources.iter().any(|source| match source {
            InputSource::Node(from, _) => {
                let is_condition = matches!(flow.nodes[*from].block, NodeBlock::Condition(_));
                excused[*from] || (is_condition && (evidence.ran)(*from))
            }
            InputSource::Flow(_) => false,
        })
    })
}

fn why(flow: &Flow, evidence: &Evidence<'_>, node: usize) -> String {
    let missing = evidence.missing(flow, node);
    if missing.is_empty() {
        return match flow.nodes[node].concurrency {
            Some(0) => "it has `concurrency: 0`".to_owned(),
            _ => "its inputs never had values all at once".to_owned(),
        };
    }
    let reasons: Vec<String> = missing.iter().map(|input| reason(flow, input)).collect();
    reasons.join("; ")
}

fn reason(flow: &Flow, input: &Input) -> String {
    let name = &input.handle.name;
    if input.sources.is_empty() {
        return format!("input `{name}` has neither a source nor a value in `inputs_from`");
    }
    let sources: Vec<String> = input
        .sources
        .iter()
        .map(|source| match source {
            InputSource::Node(from, handle) => {
                format!("output `{handle}` of node `{}`", flow.nodes[*from].id)
            }
            InputSource::Flow(handle) => format!("input `{handle}` of the flow"),
        })
        .collect();
    format!("input `{name}` got no value from {}", sources.join(" or "))
}

/// For each node whether it can run at all, when every block gives all of its outputs and the flow gets all of its inputs.
pub(crate) fn reachable(flow: &Flow) -> Vec<bool> {
    let mut can_run = vec![false; flow.nodes.len()];
    loop {
        let known = can_run.clone();
        let emitted = |node: usize, _: &str| known[node];
        let given = |_: &str| true;
        let evidence = Evidence { ran: &|_| false, emitted: &emitted, given: &given };
        let is_new = |node: &usize| {
            !known[*node]
                && flow.nodes[*node].concurrency != Some(0)
                && evidence.missing(flow, *node).is_empty()
        };
        let more: Vec<usize> = (0..flow.nodes.len()).filter(is_new).collect();
        if more.is_empty() {
            return can_run;
        }
        for node in more {
            can_run[node] = true;
        }
    }
}
