//! Nodes of a flow.

use crate::fields::{Fields, Notes};
use crate::handle::{Handle, read_handles};
use crate::yaml::{Data, Yaml};
use crate::{Handles, Place};

use super::{Condition, Connection, TaskManifest};

/// A node as it is written.
#[derive(Debug, Clone)]
pub(crate) struct NodeManifest {
    /// Its name in the flow.
    pub(crate) id: String,
    /// For people.
    pub(crate) description: Option<String>,
    /// Where its inputs come from.
    pub(crate) inputs_from: Vec<Connection>,
    /// How many of its jobs may run at once; `None` for any number.
    pub(crate) concurrency: Option<usize>,
    /// How long a job may take, in seconds.
    pub(crate) timeout: Option<u64>,
    /// Its part of the progress of the flow.
    pub(crate) weight: f64,
    /// Whether it counts as not there.
    pub(crate) ignore: bool,
    /// Input handles that it adds.
    pub(crate) inputs: Handles,
    /// Output handles that it adds.
    pub(crate) outputs: Handles,
    /// The node in whose process it runs.
    pub(crate) inject_node: Option<String>,
    /// The package into whose layer it goes, and the script that prepares that.
    pub(crate) inject_package: Option<(String, Option<String>)>,
    /// What it is.
    pub(crate) kind: NodeKind,
    /// Where it stands.
    pub(crate) place: Place,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    /// A task.
    Task(TaskSource),
    /// A flow in a flow.
    Subflow {
        /// Which.
        reference: String,
        /// What fills its slots.
        slots: Vec<SlotProviderManifest>,
        /// Where the reference stands.
        place: Place,
    },
    /// A hole, to be filled by who uses the flow.
    Slot {
        /// What goes in.
        inputs: Handles,
        /// What comes out.
        outputs: Handles,
    },
    /// A block of a service.
    Service {
        /// `PACKAGE::SERVICE::BLOCK`.
        reference: String,
        /// Where the reference stands.
        place: Place,
    },
    /// Which way a value goes.
    Condition(Condition),
    /// Constants.
    Values(Handles),
}

/// A task by reference, or as it is.
#[derive(Debug, Clone)]
pub(crate) enum TaskSource {
    /// By reference.
    Reference {
        /// The reference.
        text: String,
        /// Where it stands.
        place: Place,
    },
    /// As it is.
    Inline(Box<TaskManifest>),
}

/// What fills a slot.
#[derive(Debug, Clone)]
pub(crate) struct SlotProviderManifest {
    /// The slot node of the subflow.
    pub(crate) slot: String,
    /// `task`, `subflow` or `slotflow`.
    pub(crate) kind: crate::Search,
    /// Which.
    pub(crate) reference: String,
    /// Inputs that a slotflow takes beside those of the slot.
    pub(crate) inputs: Handles,
    /// Where those come from.
    pub(crate) inputs_from: Vec<Connection>,
    /// Where it stands.
    pub(crate) place: Place,
}

impl NodeManifest {
    pub(crate) fn read(yaml: &Yaml, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(yaml, "nodes", notes)?;
        let id = fields.required("node_id", "a node", notes);
        let kind = NodeKind::read(&fields, notes);
        let timeout = fields.integer("timeout", 0..=i64::MAX, notes).and_then(|n| u64::try_from(n).ok());
        let inject = fields.map("inject", notes);
        let node = Self {
            id: id?,
            description: fields.text("description", notes),
            inputs_from: Connection::read_list(&fields, "inputs_from", notes),
            concurrency: concurrency(&fields, notes),
            timeout,
            weight: fields.number("progress_weight", notes).unwrap_or(1.0),
            ignore: fields.flag("ignore", notes),
            inputs: read_handles(&fields, "inputs_def", true, notes).unwrap_or_default(),
            outputs: read_handles(&fields, "outputs_def", false, notes).unwrap_or_default(),
            inject_node: inject.and_then(|inject| inject.text("node_id", notes)),
            inject_package: inject
                .and_then(|inject| Some((inject.text("package", notes)?, inject.text("script", notes)))),
            kind: kind?,
            place: fields.place.clone(),
        };
        Some(node)
    }
}

/// How many jobs at once: 1 unless said, any number when it is negative.
fn concurrency(fields: &Fields<'_>, notes: &mut Notes) -> Option<usize> {
    let range = i64::from(i32::MIN)..=i64::from(i32::MAX);
    match fields.integer("concurrency", range, notes) {
        None => Some(1),
        Some(number) => {
            if let (0, Some(value)) = (number, fields.raw("concurrency")) {
                notes.mistake(
                    &value.place,
                    "with `concurrency: 0` the node never runs; say `ignore: true` for that",
                );
            }
            usize::try_from(number).ok()
        }
    }
}

impl NodeKind {
    /// The keys that tell what a node is, in the order in which they count.
    const KEYS: [&'static str; 6] = ["task", "subflow", "slot", "service", "conditions", "values"];

    fn read(fields: &Fields<'_>, notes: &mut Notes) -> Option<Self> {
        let Some((key, value)) = Self::KEYS.iter().find_map(|key| Some((*key, fields.get(key)?))) else {
            let keys = Self::KEYS.map(|key| format!("`{key}`")).join(", ");
            notes.error(fields.place, format!("this node is of no known kind; one of {keys} was expected"));
            return None;
        };
        match key {
            "task" => Self::read_task(value, notes),
            "subflow" => {
                let reference = fields.text("subflow", notes)?;
                let slots = fields.list("slots", notes).iter();
                let slots = slots.filter_map(|slot| SlotProviderManifest::read(slot, notes)).collect();
                Some(Self::Subflow { reference, slots, place: value.place.clone() })
            }
            "slot" => {
                let slot = fields.map("slot", notes)?;
                Some(Self::Slot {
                    inputs: read_handles(&slot, "inputs_def", true, notes).unwrap_or_default(),
                    outputs: read_handles(&slot, "outputs_def", false, notes).unwrap_or_default(),
                })
            }
            "service" => {
                let reference = fields.text("service", notes)?;
                Some(Self::Service { reference, place: value.place.clone() })
            }
            "conditions" => Some(Self::Condition(Condition::read(&fields.map("conditions", notes)?, notes))),
            _ => {
                let items = fields.list("values", notes).iter();
                let fields = items.filter_map(|item| Fields::of(item, "values", notes)).collect::<Vec<_>>();
                Some(Self::Values(fields.iter().filter_map(|item| Handle::read(item, true, notes)).collect()))
            }
        }
    }

    fn read_task(value: &Yaml, notes: &mut Notes) -> Option<Self> {
        let source = match (&value.data, value.text()) {
            (_, Some(text)) => TaskSource::Reference { text: text.to_owned(), place: value.place.clone() },
            (Data::Map(_), None) => TaskSource::Inline(Box::new(TaskManifest::read(value, notes)?)),
            _ => {
                notes.expected(value, "task", "a reference or a map that describes a task");
                return None;
            }
        };
        Some(Self::Task(source))
    }
}

impl SlotProviderManifest {
    fn read(yaml: &Yaml, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(yaml, "slots", notes)?;
        let slot = fields.required("slot_node_id", "what fills a slot", notes);
        let kinds = [
            ("task", crate::Search::Task),
            ("subflow", crate::Search::Subflow),
            ("slotflow", crate::Search::Slotflow),
        ];
        let Some((key, kind)) = kinds.into_iter().find(|(key, _)| fields.get(key).is_some()) else {
            notes
                .error(fields.place, "nothing fills this slot; `task`, `subflow` or `slotflow` was expected");
            return None;
        };
        let reference = fields.text(key, notes)?;
        if key == "slotflow" && !reference.starts_with("self::") {
            let place = fields.raw(key).map_or(fields.place, |value| &value.place);
            notes.error(place, format!("`slotflow` must be `self::NAME`, not `{reference}`"));
        }
        Some(Self {
            slot: slot?,
            kind,
            reference,
            inputs: read_handles(&fields, "inputs_def", true, notes).unwrap_or_default(),
            inputs_from: Connection::read_list(&fields, "inputs_from", notes),
            place: fields.place.clone(),
        })
    }
}
