//! Pictures of flows.

mod mermaid;
mod place;
mod svg;

use crate::{Flow, InputSource, NodeBlock};

pub use mermaid::mermaid;
pub use svg::svg;

/// A line between two boxes: from a node or the inputs, to a node or the outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    label: String,
}

/// A box.
#[derive(Debug, Clone)]
struct Shape {
    title: String,
    subtitle: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Task,
    Flow,
    Slot,
    Service,
    Condition,
    Edge,
}

/// Boxes and lines of a flow: the nodes by number, then the inputs and the outputs of the flow where it has some.
fn shapes(flow: &Flow) -> (Vec<Shape>, Vec<Edge>) {
    let mut shapes: Vec<Shape> = flow.nodes.iter().map(shape).collect();
    let mut edges = Vec::new();
    let inputs = shapes.len();
    let side = |title: &str| Shape { title: title.to_owned(), subtitle: String::new(), kind: Kind::Edge };
    let has_inputs = !flow.inputs.is_empty();
    if has_inputs {
        shapes.push(side("inputs"));
    }
    let outputs = shapes.len();
    if !flow.outputs.is_empty() {
        shapes.push(side("outputs"));
    }
    for (number, node) in flow.nodes.iter().enumerate() {
        for input in &node.inputs {
            for source in &input.sources {
                let (from, handle) = match source {
                    InputSource::Node(from, handle) => (*from, handle),
                    InputSource::Flow(handle) => (inputs, handle),
                };
                edges.push(Edge { from, to: number, label: label(handle, &input.handle.name) });
            }
        }
        let mut handles: Vec<_> = node.targets.iter().collect();
        handles.sort_by_key(|(handle, _)| *handle);
        for (handle, targets) in handles {
            edges.extend(outgoing(number, handle, targets, outputs));
        }
    }
    let mut handles: Vec<_> = flow.from_inputs.iter().collect();
    handles.sort_by_key(|(handle, _)| *handle);
    for (handle, targets) in handles.into_iter().filter(|_| has_inputs) {
        edges.extend(outgoing(inputs, handle, targets, outputs));
    }
    edges.retain(|edge| edge.to < shapes.len());
    (shapes, edges)
}

fn outgoing<'a>(
    from: usize,
    handle: &'a str,
    targets: &'a [crate::Target],
    outputs: usize,
) -> impl Iterator<Item = Edge> + 'a {
    targets.iter().filter_map(move |target| match target {
        crate::Target::Output(name) => Some(Edge { from, to: outputs, label: label(handle, name) }),
        crate::Target::Node { .. } => None,
    })
}

fn label(from: &str, to: &str) -> String {
    if from == to { from.to_owned() } else { format!("{from} → {to}") }
}

fn shape(node: &crate::Node) -> Shape {
    let (kind, subtitle) = match &node.block {
        NodeBlock::Task { task, inline: false } => (Kind::Task, task.name()),
        NodeBlock::Task { .. } => (Kind::Task, String::new()),
        NodeBlock::Flow { .. } => (Kind::Flow, "subflow".to_owned()),
        NodeBlock::Slot => (Kind::Slot, "slot".to_owned()),
        NodeBlock::Service(service) => (Kind::Service, service.block.clone()),
        NodeBlock::Condition(_) => (Kind::Condition, "condition".to_owned()),
    };
    let subtitle = if subtitle == node.id { String::new() } else { subtitle };
    Shape { title: node.id.clone(), subtitle, kind }
}
