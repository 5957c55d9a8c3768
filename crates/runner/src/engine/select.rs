//! Beginning with a part of a flow, and with values of an earlier run (section 2.8 of the contract).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use flow::{Flow, FlowId};
use serde_json::json;

use crate::Error;
use crate::cache::{Cache, Values};
use crate::report::{Field, Subject};
use crate::stack::Stack;

use super::state::JobId;
use super::{Engine, kept};

impl Engine<'_> {
    /// The flow with the values that the command line gives to its nodes, and the nodes that are to run.
    pub(super) fn select(&mut self, id: FlowId) -> Result<(Arc<Flow>, Option<BTreeSet<usize>>), Error> {
        let mut flow = self.setup.loader.flow(id);
        let options = self.setup.options;
        if !options.nodes_inputs.is_empty() {
            let mut changed = (*flow).clone();
            for (node, values) in &options.nodes_inputs {
                let Some(node) = changed.node(node) else { continue };
                for input in &mut changed.nodes[node].inputs {
                    if let Some(value) = values.get(&input.handle.name).filter(|_| !input.is_connected()) {
                        input.constant = Some(value.clone());
                    }
                }
            }
            flow = Arc::new(changed);
        }
        let Some(wanted) = &options.nodes else { return Ok((flow, None)) };
        let kept = self.earlier(&flow.path);
        let has_value = |node: usize, handle: &str| {
            kept.get(&flow.nodes[node].id)
                .and_then(|handles| handles.get(handle))
                .is_some_and(|list| !list.is_empty())
        };
        let selection = flow::select(&flow, wanted, has_value).map_err(|nodes| {
            let known: Vec<String> = flow.nodes.iter().map(|node| format!("`{}`", node.id)).collect();
            Error::NoSuchNode { nodes, known: known.join(", ") }
        })?;
        let ids = |list: &[usize]| json!(list.iter().map(|node| &flow.nodes[*node].id).collect::<Vec<_>>());
        let subject = Subject {
            job: self.root.clone().unwrap_or_else(|| "".into()),
            stack: Stack::root(),
            path: Some(flow.path.as_path().into()),
            flow: Some(flow.kind),
            is_requested: false,
        };
        let fields = [
            ("start_nodes", Field::Json(ids(&selection.start))),
            ("mid_nodes", Field::Json(ids(&selection.middle))),
            ("end_nodes", Field::Json(ids(&selection.end))),
        ];
        self.report("FlowNodesWillRun", &subject, &fields);
        Ok((flow, Some(selection.all())))
    }

    fn earlier(&self, flow: &Path) -> Values {
        let options = self.setup.options;
        if options.use_cache { Cache::new(&options.oocana_dir).load(flow) } else { Values::new() }
    }

    /// Puts the values of an earlier run before the nodes of the root flow; those that a node of this run gives anew are left
    /// out when that node was asked for.
    pub(super) fn preload(&mut self, id: &JobId) {
        let wanted = self.setup.options.nodes.clone().unwrap_or_default();
        let Some(flow) = self.flows.get(id).map(|job| Arc::clone(&job.flow)) else { return };
        let kept = self.earlier(&flow.path);
        let Some(job) = self.flows.get_mut(id) else { return };
        for (number, node) in flow.nodes.iter().enumerate() {
            let Some(handles) = kept.get(&node.id) else { continue };
            for (input, definition) in
                node.inputs.iter().enumerate().filter(|(_, input)| input.is_connected())
            {
                let comes_anew = definition.sources.iter().any(|source| match source {
                    flow::InputSource::Node(from, _) => wanted.contains(&flow.nodes[*from].id),
                    flow::InputSource::Flow(_) => false,
                });
                let values = handles.get(&definition.handle.name).filter(|_| !comes_anew);
                job.nodes[number].queues[input].extend(values.into_iter().flatten().cloned());
            }
        }
    }

    /// Keeps the last values of the root flow for a later run.
    pub(super) fn save_cache(&mut self) {
        let Some(path) = self.root_flow.clone() else { return };
        let mut values = Values::new();
        for ((node, input), value) in std::mem::take(&mut self.kept).into_values() {
            let (node, input) = (&path.nodes[node], &path.nodes[node].inputs[input]);
            let outline = kept::outline(&value);
            if flow::special::can_be_cached(&outline, &input.handle, |path| Path::new(path).exists()) {
                values.entry(node.id.clone()).or_default().insert(input.handle.name.clone(), vec![value]);
            }
        }
        if values.is_empty() {
            return;
        }
        let cache = Cache::new(&self.setup.options.oocana_dir);
        if let Err(error) = cache.save(&path.path, &values) {
            self.log(&format!("the values of this run cannot be kept: {error}"));
        }
    }
}
