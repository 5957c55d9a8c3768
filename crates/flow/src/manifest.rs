//! What stands in manifests, one type for each kind of them.

mod condition;
mod connection;
mod node;
mod service;
mod task;

use std::collections::BTreeMap;
use std::path::Path;

use crate::fields::{Fields, Notes};
use crate::handle::read_handles;
use crate::yaml::{self, Yaml};
use crate::{Handles, Problem};

pub use condition::{Case, Condition, Expression, Join};
pub(crate) use connection::{Connection, Source};
pub(crate) use node::{NodeKind, NodeManifest, SlotProviderManifest, TaskSource};
pub use service::ServiceExecutor;
pub(crate) use service::ServiceManifest;
pub(crate) use task::TaskManifest;
pub use task::{Executor, ExecutorOptions};

/// `flow.oo.yaml`, `subflow.oo.yaml`, `slotflow.oo.yaml`.
#[derive(Debug, Clone)]
pub(crate) struct FlowManifest {
    pub(crate) description: Option<String>,
    pub(crate) nodes: Vec<NodeManifest>,
    pub(crate) inputs: Handles,
    pub(crate) outputs: Handles,
    pub(crate) outputs_from: Vec<Connection>,
    pub(crate) forward_previews: Vec<String>,
    pub(crate) injection: BTreeMap<String, String>,
}

impl FlowManifest {
    pub(crate) fn read(yaml: &Yaml, notes: &mut Notes) -> Self {
        let mut flow = Self {
            description: None,
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            outputs_from: Vec::new(),
            forward_previews: Vec::new(),
            injection: BTreeMap::new(),
        };
        let Some(fields) = Fields::of(yaml, "the flow", notes) else { return flow };
        flow.description = fields.text("description", notes);
        flow.inputs = read_handles(&fields, "inputs_def", true, notes).unwrap_or_default();
        flow.outputs = read_handles(&fields, "outputs_def", false, notes).unwrap_or_default();
        flow.outputs_from = Connection::read_list(&fields, "outputs_from", notes);
        for name in fields.list("forward_previews", notes) {
            match name.text() {
                Some(name) => flow.forward_previews.push(name.to_owned()),
                None => notes.expected(name, "forward_previews", "a list of node ids"),
            }
        }
        for (package, script) in fields.map("injection", notes).iter().flat_map(Fields::pairs) {
            match script.text() {
                Some(script) => drop(flow.injection.insert(package.key_text(), script.to_owned())),
                None => notes.expected(script, "injection", "a script by package"),
            }
        }
        for node in fields.list("nodes", notes) {
            let Some(node) = NodeManifest::read(node, notes) else { continue };
            match flow.nodes.iter_mut().find(|other| other.id == node.id) {
                Some(other) => {
                    let message =
                        format!("the node `{}` stands twice in this flow; this one counts", node.id);
                    notes.mistake(&node.place, message);
                    *other = node;
                }
                None => flow.nodes.push(node),
            }
        }
        flow
    }
}

/// `package.oo.yaml`, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageManifest {
    /// The name that others know it by.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Packages it uses, and the versions of them that it wants.
    pub dependencies: BTreeMap<String, Option<String>>,
    /// The script that prepares a layer for it.
    pub bootstrap: Option<String>,
}

impl PackageManifest {
    /// Takes what is there; what is not as expected counts as absent, because the file is not part of any flow.
    #[must_use]
    pub fn read(yaml: &Yaml) -> Self {
        let mut notes = Notes::default();
        let Some(fields) = Fields::of(yaml, "the package", &mut notes) else { return Self::default() };
        let dependencies = fields.map("dependencies", &mut notes).map(|map| {
            let pairs = map.pairs().iter();
            pairs.map(|(name, version)| (name.key_text(), version.text().map(str::to_owned))).collect()
        });
        Self {
            name: fields.text("name", &mut notes),
            version: fields.text("version", &mut notes),
            dependencies: dependencies.unwrap_or_default(),
            bootstrap: fields
                .map("scripts", &mut notes)
                .and_then(|scripts| scripts.text("bootstrap", &mut notes)),
        }
    }
}

/// What is wrong with the text of a manifest by itself, whatever it refers to. The kind goes by the name of the file.
#[must_use]
pub fn manifest_problems(file: &Path, bytes: &[u8]) -> Vec<Problem> {
    let yaml = match yaml::parse(file, bytes) {
        Ok(yaml) => yaml,
        Err(problems) => return problems.0,
    };
    let mut notes = Notes::default();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.starts_with("task.oo") || name.starts_with("block.oo") {
        let _ = TaskManifest::read(&yaml, &mut notes);
    } else if name.starts_with("service.oo") {
        let _ = ServiceManifest::read(&yaml, &mut notes);
    } else if name.starts_with("package.oo") {
        let _ = PackageManifest::read(&yaml);
    } else {
        FlowManifest::read(&yaml, &mut notes);
    }
    notes.0
}
