//! `service.oo.yaml`: blocks that share one long-lived program.

use serde_json::{Value, json};

use crate::Handles;
use crate::fields::{Fields, Notes};
use crate::handle::read_handles;
use crate::yaml::Yaml;

/// A service.
#[derive(Debug, Clone)]
pub(crate) struct ServiceManifest {
    /// What runs it.
    pub(crate) executor: ServiceExecutor,
    /// Its blocks.
    pub(crate) blocks: Vec<ServiceBlock>,
}

/// What runs a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceExecutor {
    /// `python` or `nodejs`.
    pub name: String,
    /// The file.
    pub entry: Option<String>,
    /// The function in it.
    pub function: Option<String>,
    /// `block_start`, `session_start` or `app_start`; nothing depends on it.
    pub start_at: String,
    /// `block_end`, `session_end`, `app_end` or `never`.
    pub stop_at: String,
    /// How long an idle one that stops at the end of a block lives on, in seconds.
    pub keep_alive: Option<u64>,
}

/// A block of a service.
#[derive(Debug, Clone)]
pub(crate) struct ServiceBlock {
    /// Its name.
    pub(crate) name: String,
    /// Its input handles.
    pub(crate) inputs: Option<Handles>,
    /// Its output handles.
    pub(crate) outputs: Option<Handles>,
}

impl ServiceExecutor {
    /// As it is sent to executors.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "entry": self.entry,
            "function": self.function,
            "start_at": self.start_at,
            "stop_at": self.stop_at,
            "keep_alive": self.keep_alive,
        })
    }

    /// Whether it may outlive a session.
    #[must_use]
    pub fn is_global(&self) -> bool {
        matches!(self.stop_at.as_str(), "app_end" | "never")
    }

    fn read(fields: &Fields<'_>, notes: &mut Notes) -> Option<Self> {
        let name = fields.required("name", "the executor of the service", notes)?;
        let start = ["block_start", "session_start", "app_start"];
        let stop = ["session_end", "block_end", "app_end", "never"];
        Some(Self {
            name,
            entry: fields.text("entry", notes),
            function: fields.text("function", notes),
            start_at: one_of(fields, "start_at", &start, notes),
            stop_at: one_of(fields, "stop_at", &stop, notes),
            keep_alive: fields.integer("keep_alive", 0..=i64::MAX, notes).and_then(|n| u64::try_from(n).ok()),
        })
    }
}

/// One of `known`; the first where there is none or another.
fn one_of(fields: &Fields<'_>, key: &str, known: &[&str], notes: &mut Notes) -> String {
    let text = fields.get(key).and_then(Yaml::text);
    if let Some(text) = text.filter(|text| known.contains(text)) {
        return text.to_owned();
    }
    if let Some(value) = fields.get(key) {
        let message = format!("`{key}` is not one of {}; `{}` is taken", known.join(", "), known[0]);
        notes.mistake(&value.place, message);
    }
    known[0].to_owned()
}

impl ServiceManifest {
    pub(crate) fn read(yaml: &Yaml, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(yaml, "the service", notes)?;
        if fields.get("executor").is_none() {
            notes.error(fields.place, "the service has no `executor`; a map with a `name` was expected");
        }
        let executor = fields.map("executor", notes).and_then(|map| ServiceExecutor::read(&map, notes));
        let mut blocks = Vec::new();
        for block in fields.list("blocks", notes) {
            let Some(block) = Fields::of(block, "blocks", notes) else { continue };
            let Some(name) = block.required("name", "a block of the service", notes) else { continue };
            blocks.push(ServiceBlock {
                name,
                inputs: read_handles(&block, "inputs_def", true, notes),
                outputs: read_handles(&block, "outputs_def", false, notes),
            });
        }
        Some(Self { executor: executor?, blocks })
    }
}
