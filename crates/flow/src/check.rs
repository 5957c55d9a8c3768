//! Every mistake in a flow that can be seen without running it.

use std::path::Path;

use crate::manifest::Executor;
use crate::starved::{Evidence, reachable, starved};
use crate::{Flow, Loader, NodeBlock, Place, Problem, ServiceUse, Task};

/// What is wrong with all that a loader has loaded, in the order of files and lines.
#[must_use]
pub fn check(loader: &Loader) -> Vec<Problem> {
    let mut problems: Vec<Problem> = loader.mistakes().to_vec();
    for (_, flow) in loader.flows() {
        check_flow(loader, flow, &mut problems);
    }
    problems
        .sort_by(|left, right| left.place.cmp(&right.place).then_with(|| left.message.cmp(&right.message)));
    problems.dedup();
    problems
}

/// What is wrong with a task by itself.
#[must_use]
pub fn check_task(loader: &Loader, task: &Task) -> Vec<Problem> {
    let place = Place::file(task.path.as_deref().unwrap_or(&task.dir));
    let entry = entry_problem(loader, task).into_iter();
    entry.map(|message| Problem::mistake(place.clone(), message)).collect()
}

fn check_flow(loader: &Loader, flow: &Flow, problems: &mut Vec<Problem>) {
    let can_run = reachable(flow);
    let evidence =
        Evidence { ran: &|node| can_run[node], emitted: &|node, _| can_run[node], given: &|_| true };
    for found in starved(flow, &evidence) {
        let node = &flow.nodes[found.node];
        // That one has been told at its own line.
        if node.concurrency != Some(0) {
            let message = format!("node `{}` can never run: {}", node.id, found.why);
            problems.push(Problem::mistake(node.place.clone(), message));
        }
    }
    for node in &flow.nodes {
        let mut mistake = |message: String| problems.push(Problem::mistake(node.place.clone(), message));
        match &node.block {
            NodeBlock::Task { task, .. } => entry_problem(loader, task).into_iter().for_each(&mut mistake),
            NodeBlock::Service(service) => {
                service_problem(loader, service).into_iter().for_each(&mut mistake);
            }
            NodeBlock::Condition(condition) => {
                let expressions = condition.cases.iter().flat_map(|case| &case.expressions);
                for expression in expressions {
                    if node.inputs.iter().all(|input| input.handle.name != expression.input) {
                        let message = format!(
                            "node `{}` has no input `{}`; it counts as `null`",
                            node.id, expression.input
                        );
                        problems.push(Problem::mistake(expression.place.clone(), message));
                    }
                }
            }
            NodeBlock::Flow { flow: inner, slots, .. } => {
                for slot in
                    loader.flow(*inner).nodes.iter().filter(|node| matches!(node.block, NodeBlock::Slot))
                {
                    if !slots.contains_key(&slot.id) {
                        mistake(format!(
                            "node `{}` leaves the slot `{}` of its subflow empty",
                            node.id, slot.id
                        ));
                    }
                }
            }
            NodeBlock::Slot => {}
        }
        if let Some(other) = node.inject_node.as_ref().filter(|other| flow.node(other).is_none()) {
            let message = format!("`inject` names the node `{other}`, which is not in this flow");
            problems.push(Problem::mistake(node.place.clone(), message));
        }
    }
    for name in flow.forward_previews.iter().filter(|name| flow.node(name).is_none()) {
        let message = format!("`forward_previews` names the node `{name}`, which is not in this flow");
        problems.push(Problem::mistake(Place::file(&flow.path), message));
    }
}

/// A file that a task needs and that is not there.
fn entry_problem(loader: &Loader, task: &Task) -> Option<String> {
    let Executor::Process { name, options } = &task.executor else { return None };
    let default = if name == "python" { "index.py" } else { "main.ts" };
    let entry = options.entry.as_deref().unwrap_or(default);
    missing_file(loader, &task.dir, entry)
        .map(|path| format!("the entry `{path}` of this {name} block is not there"))
}

fn service_problem(loader: &Loader, service: &ServiceUse) -> Option<String> {
    let entry = service.service.executor.entry.as_deref()?;
    let missing = missing_file(loader, &service.service.dir, entry)?;
    Some(format!("the entry `{missing}` of this service is not there"))
}

fn missing_file(loader: &Loader, dir: &Path, entry: &str) -> Option<String> {
    let path = dir.join(entry);
    (!loader.files().is_file(&path)).then(|| path.display().to_string())
}
