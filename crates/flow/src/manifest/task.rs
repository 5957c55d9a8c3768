//! Task blocks: `task.oo.yaml`, `block.oo.yaml`, or a map under `task`.

use serde_json::{Map, Value, json};

use crate::Handles;
use crate::fields::{Fields, Notes};
use crate::handle::read_handles;
use crate::yaml::{Data, Yaml};

/// A task block.
#[derive(Debug, Clone)]
pub(crate) struct TaskManifest {
    /// For people.
    pub(crate) description: Option<String>,
    /// What runs it.
    pub(crate) executor: Executor,
    /// Its input handles.
    pub(crate) inputs: Option<Handles>,
    /// Its output handles; without the list every output is dropped.
    pub(crate) outputs: Option<Handles>,
    /// Whether nodes may add input handles.
    pub(crate) additional_inputs: bool,
    /// Whether nodes may add output handles.
    pub(crate) additional_outputs: bool,
}

/// What runs a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executor {
    /// A process that runs many blocks and is told which by messages.
    Process {
        /// `python` or `nodejs`.
        name: String,
        /// What to run.
        options: ExecutorOptions,
    },
    /// `sh -c`.
    Shell,
    /// A program that is started for each job and speaks by messages.
    Program {
        /// The program.
        bin: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A request to a server.
    Connector {
        /// What is asked for.
        action: String,
    },
}

/// What an executor process is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutorOptions {
    /// The file.
    pub entry: Option<String>,
    /// The function in it.
    pub function: Option<String>,
    /// Whether in a process of its own.
    pub spawn: bool,
}

impl ExecutorOptions {
    /// As it is sent to executors.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        if let Some(entry) = &self.entry {
            map.insert("entry".to_owned(), json!(entry));
        }
        if let Some(function) = &self.function {
            map.insert("function".to_owned(), json!(function));
        }
        map.insert("spawn".to_owned(), json!(self.spawn));
        Value::Object(map)
    }
}

const EXECUTORS: &str = "`python`, `nodejs`, `shell`, `rust` or `connector`";

impl TaskManifest {
    pub(crate) fn read(yaml: &Yaml, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(yaml, "the task", notes)?;
        if fields.get("executor").is_none() {
            notes.error(
                fields.place,
                format!("the task has no `executor`; a map with the name {EXECUTORS} was expected"),
            );
        }
        let executor = fields.map("executor", notes).and_then(|map| Executor::read(&map, notes));
        let task = Self {
            description: fields.text("description", notes),
            executor: Executor::Shell,
            inputs: read_handles(&fields, "inputs_def", true, notes),
            outputs: read_handles(&fields, "outputs_def", false, notes),
            additional_inputs: admits(&fields, "additional_inputs", notes),
            additional_outputs: admits(&fields, "additional_outputs", notes),
        };
        Some(Self { executor: executor?, ..task })
    }
}

/// `true`, or a map that says what is admitted to user interfaces.
fn admits(fields: &Fields<'_>, key: &str, notes: &mut Notes) -> bool {
    match fields.get(key).map(|value| &value.data) {
        Some(Data::Map(_)) => true,
        _ => fields.flag(key, notes),
    }
}

impl Executor {
    fn read(fields: &Fields<'_>, notes: &mut Notes) -> Option<Self> {
        let name = fields.required("name", "the executor", notes)?;
        let options = fields.map("options", notes);
        match name.as_str() {
            "python" | "nodejs" => {
                let options = options.map(|options| ExecutorOptions {
                    entry: options.text("entry", notes),
                    function: options.text("function", notes),
                    spawn: options.flag("spawn", notes),
                });
                Some(Self::Process { name, options: options.unwrap_or_default() })
            }
            "shell" => Some(Self::Shell),
            "rust" => {
                let bin = options.as_ref().and_then(|options| options.text("bin", notes));
                let args = options.filter(|options| options.get("args").is_some()).map(|options| {
                    let items = options.list("args", notes).iter();
                    let mut args = Vec::new();
                    for item in items {
                        match item.text() {
                            Some(text) => args.push(text.to_owned()),
                            None => notes.expected(item, "args", "a list of texts"),
                        }
                    }
                    args
                });
                Some(Self::Program {
                    bin: bin.unwrap_or_else(|| "cargo".to_owned()),
                    args: args.unwrap_or_else(|| vec!["run".to_owned(), "--".to_owned()]),
                })
            }
            "connector" => {
                let place = fields.place;
                let action = options.and_then(|options| options.text("action", notes));
                if action.is_none() {
                    notes.error(place, "the connector has no `action` in its `options`; a text was expected");
                }
                Some(Self::Connector { action: action? })
            }
            other => {
                let place = fields.raw("name").map_or(fields.place, |value| &value.place);
                notes.error(place, format!("there is no executor `{other}`; {EXECUTORS} was expected"));
                None
            }
        }
    }
}
