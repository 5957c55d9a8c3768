//! `inputs_from` and `outputs_from`: where values come from.

use serde_json::{Value, json};

use crate::Place;
use crate::fields::{Fields, Notes};
use crate::yaml::{Data, Yaml};

/// The sources of one handle.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The handle.
    pub(crate) handle: String,
    /// A constant: absent, or a value that may be `null`.
    pub(crate) value: Option<Value>,
    /// Where values come from; each is an alternative.
    pub(crate) sources: Vec<Source>,
    /// Parts of the value that are secrets, as executors take them.
    pub(crate) secrets: Vec<Value>,
    /// Whether values go through files that a cache may keep.
    pub(crate) for_cache: bool,
    /// Where it stands.
    pub(crate) place: Place,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// From an output of a node.
    Node {
        /// The node.
        node: String,
        /// Its output handle.
        handle: String,
        /// Where this stands.
        place: Place,
    },
    /// From an input of the flow.
    Flow {
        /// The input handle.
        handle: String,
        /// Where this stands.
        place: Place,
    },
}

impl Connection {
    pub(crate) fn read_list(fields: &Fields<'_>, key: &str, notes: &mut Notes) -> Vec<Self> {
        let items = fields.list(key, notes).iter();
        let mut connections: Vec<Self> = Vec::new();
        for connection in items.filter_map(|item| Self::read(item, key, notes)).collect::<Vec<_>>() {
            match connections.iter_mut().find(|other| other.handle == connection.handle) {
                // The first one's value counts; sources add up.
                Some(other) => {
                    let message = format!("`{key}` has the handle `{}` twice", connection.handle);
                    notes.mistake(&connection.place, message);
                    other.sources.extend(connection.sources);
                    other.value = other.value.take().or(connection.value);
                }
                None => connections.push(connection),
            }
        }
        connections
    }

    fn read(yaml: &Yaml, key: &str, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(yaml, key, notes)?;
        let handle = fields.required("handle", &format!("an entry of `{key}`"), notes)?;
        let mut sources = Vec::new();
        for item in fields.list("from_node", notes) {
            let Some(source) = Fields::of(item, "from_node", notes) else { continue };
            let node = source.required("node_id", "a source", notes);
            let handle = source.required("output_handle", "a source", notes);
            if let (Some(node), Some(handle)) = (node, handle) {
                sources.push(Source::Node { node, handle, place: source.place.clone() });
            }
        }
        for item in fields.list("from_flow", notes) {
            let Some(source) = Fields::of(item, "from_flow", notes) else { continue };
            if let Some(handle) = source.required("input_handle", "a source", notes) {
                sources.push(Source::Flow { handle, place: source.place.clone() });
            }
        }
        let secrets = fields.list("schema_overrides", notes).iter().filter_map(secret).collect();
        Some(Self {
            handle,
            value: fields.raw("value").map(Yaml::to_json),
            sources,
            secrets,
            for_cache: fields.flag("serialize_for_cache", notes),
            place: fields.place.clone(),
        })
    }
}

/// An override of a schema that marks a secret; others are for user interfaces.
fn secret(yaml: &Yaml) -> Option<Value> {
    let Data::Map(_) = &yaml.data else { return None };
    let value = yaml.to_json();
    let schema = value.get("schema")?;
    if schema.get("contentMediaType")?.as_str()? != "oomol/secret" {
        return None;
    }
    Some(match value.get("path") {
        Some(path) => json!({ "path": path, "schema": schema }),
        None => json!({ "schema": schema }),
    })
}
