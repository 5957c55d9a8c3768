//! Slots: a subflow whose slots are filled by slotflows with further inputs becomes a flow of its own.
//!
//! The further inputs enter the subflow as hidden inputs and go to the slot node, which remembers the last value of each:
//! a constant then serves every time the slot runs.

use std::collections::HashMap;
use std::sync::Arc;

use crate::manifest::SlotProviderManifest;
use crate::reference::Reference;
use crate::{Handle, Handles, ProviderBlock, Search, SlotProvider, runtime_handle};

use super::loader::Head;
use super::{FlowId, Input, InputSource, Loader, Target};

/// A flow that is to be made of another one, once that is loaded.
pub(super) struct Derived {
    id: FlowId,
    base: FlowId,
    extra: Vec<(String, Handle)>,
}

/// A subflow with its slots filled.
pub(super) struct Filled {
    pub(super) flow: FlowId,
    pub(super) slots: Arc<HashMap<String, SlotProvider>>,
}

impl Loader {
    /// Fills the slots of `base` as a node of the flow at `path` says.
    pub(super) fn fill_slots(
        &mut self,
        base: FlowId,
        providers: &[SlotProviderManifest],
        path: &std::path::Path,
    ) -> Filled {
        let head = self.head(base);
        let mut slots = HashMap::new();
        let mut extra = Vec::new();
        for provider in providers {
            let Some((inputs, _)) = head.slots.get(&provider.slot) else {
                let message = format!("the subflow has no slot node `{}`", provider.slot);
                self.notes.mistake(&provider.place, message);
                continue;
            };
            let Some(found) = self.find(&provider.reference, provider.kind, path, &provider.place) else {
                continue;
            };
            let package = Reference::parse(&provider.reference).package().map(str::to_owned);
            let block = match provider.kind {
                Search::Task => self.task(&found, package.clone()).map(ProviderBlock::Task),
                Search::Slotflow => {
                    let own: Vec<Handle> = new_handles(&provider.inputs, inputs);
                    extra.extend(own.iter().map(|handle| (provider.slot.clone(), handle.clone())));
                    let inputs: Handles = inputs.iter().cloned().chain(own).collect();
                    self.load_slotflow(&found, inputs, &provider.place).map(ProviderBlock::Flow)
                }
                _ => self.load_flow(&found).map(ProviderBlock::Flow),
            };
            if let Some(block) = block {
                slots.insert(provider.slot.clone(), SlotProvider { block, package });
            }
        }
        let flow = if extra.is_empty() { base } else { self.reserve_derived(base, &head, extra) };
        Filled { flow, slots: Arc::new(slots) }
    }

    fn reserve_derived(&mut self, base: FlowId, head: &Head, extra: Vec<(String, Handle)>) -> FlowId {
        let hidden = extra.iter().map(|(slot, handle)| hidden_handle(slot, handle));
        let id = self.reserve(Head {
            inputs: head.inputs.iter().cloned().chain(hidden).collect(),
            outputs: head.outputs.clone(),
            slots: head.slots.clone(),
        });
        self.derived.push(Derived { id, base, extra });
        id
    }

    /// Makes the flows that were waiting for others.
    pub(super) fn derive(&mut self) {
        for derived in std::mem::take(&mut self.derived) {
            let Some(base) = self.loaded(derived.base) else { continue };
            let mut flow = (*base).clone();
            for (slot, handle) in derived.extra {
                let Some(node) = flow.node(&slot) else { continue };
                let hidden = hidden_handle(&slot, &handle);
                let target = Target::Node { node, input: flow.nodes[node].inputs.len() };
                flow.from_inputs.entry(hidden.name.clone()).or_default().push(target);
                flow.nodes[node].inputs.push(Input {
                    handle,
                    constant: None,
                    sources: vec![InputSource::Flow(hidden.name.clone())],
                    remembers: true,
                });
                flow.inputs.push(hidden);
            }
            self.put(derived.id, flow);
        }
    }
}

/// Those of `handles` that are not in `known`.
fn new_handles(handles: &[Handle], known: &[Handle]) -> Vec<Handle> {
    handles.iter().filter(|handle| known.iter().all(|known| known.name != handle.name)).cloned().collect()
}

fn hidden_handle(slot: &str, handle: &Handle) -> Handle {
    Handle { name: runtime_handle(slot, &handle.name), ..handle.clone() }
}
