//! Handles: where values enter and leave blocks.

use serde_json::{Map, Value, json};

use crate::Place;
use crate::fields::{Fields, Notes};
use crate::yaml::Yaml;

/// An input or output handle of a block.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// What values may be, as JSON Schema; `contentMediaType` marks special types.
    pub schema: Option<Value>,
    /// For user interfaces.
    pub kind: Option<Value>,
    /// Whether `null` will do.
    pub nullable: Option<bool>,
    /// The default: absent, or a value that may be `null`. Used for what is run from outside of a flow only.
    pub value: Option<Value>,
    /// Whether it was added by the node and is not the block's own.
    pub is_additional: bool,
    /// Whether the value goes through a file that a cache may keep.
    pub for_cache: bool,
    /// Where it stands.
    pub place: Place,
}

/// The handles of one side of a block, in order.
pub type Handles = Vec<Handle>;

impl Handle {
    /// A handle of which only the name is known.
    #[must_use]
    pub fn named(name: &str, place: &Place) -> Self {
        Self {
            name: name.to_owned(),
            description: None,
            schema: None,
            kind: None,
            nullable: None,
            value: None,
            is_additional: false,
            for_cache: false,
            place: place.clone(),
        }
    }

    /// Reads one from a manifest; `takes_value` for input handles.
    pub(crate) fn read(fields: &Fields<'_>, takes_value: bool, notes: &mut Notes) -> Option<Self> {
        let name = fields.required("handle", "a handle", notes)?;
        let nullable = fields.get("nullable").map(|_| fields.flag("nullable", notes));
        let mut value = fields.raw("value").filter(|_| takes_value).map(Yaml::to_json);
        if value.is_none() && takes_value && nullable == Some(true) {
            value = Some(Value::Null);
        }
        Some(Self {
            name,
            description: fields.text("description", notes),
            schema: fields.get("json_schema").map(Yaml::to_json),
            kind: fields.get("kind").map(Yaml::to_json),
            nullable,
            value,
            is_additional: false,
            for_cache: false,
            place: fields.place.clone(),
        })
    }

    /// A handle that somebody adds while a flow runs; `None` without a name.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let name = value.get("handle")?.as_str()?;
        let nullable = value.get("nullable").and_then(Value::as_bool);
        let default = value.get("value").cloned().or_else(|| (nullable == Some(true)).then_some(Value::Null));
        Some(Self {
            description: value.get("description").and_then(Value::as_str).map(str::to_owned),
            schema: value.get("json_schema").cloned(),
            kind: value.get("kind").cloned(),
            nullable,
            value: default,
            is_additional: true,
            ..Self::named(name, &Place::file("request".as_ref()))
        })
    }

    /// The special type that the schema names, such as `oomol/bin`.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.schema.as_ref()?.get("contentMediaType")?.as_str()
    }

    /// As it is sent to executors; `is_input` decides the name of the cache's mark.
    #[must_use]
    pub fn to_json(&self, is_input: bool) -> Value {
        let mut map = Map::new();
        map.insert("handle".to_owned(), json!(self.name));
        let optional = [
            ("description", self.description.as_ref().map(|text| json!(text))),
            ("json_schema", self.schema.clone()),
            ("kind", self.kind.clone()),
            ("nullable", self.nullable.map(Value::Bool)),
            ("value", self.value.clone()),
            ("is_additional", self.is_additional.then_some(Value::Bool(true))),
            (
                if is_input { "_deserialize_from_cache" } else { "_serialize_for_cache" },
                self.for_cache.then_some(Value::Bool(true)),
            ),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        }
        Value::Object(map)
    }
}

/// Reads a list of handles and leaves out groups, which are for user interfaces. `None` when the key is not there, which is
/// another thing than an empty list: without output handles every output is dropped.
pub(crate) fn read_handles(
    fields: &Fields<'_>,
    key: &str,
    takes_value: bool,
    notes: &mut Notes,
) -> Option<Handles> {
    fields.get(key)?;
    let mut handles: Handles = Vec::new();
    for item in fields.list(key, notes) {
        let Some(item) = Fields::of(item, key, notes) else { continue };
        if item.raw("handle").is_none() && item.raw("group").is_some() {
            continue;
        }
        let Some(handle) = Handle::read(&item, takes_value, notes) else { continue };
        match handles.iter_mut().find(|other| other.name == handle.name) {
            Some(other) => {
                notes.mistake(&handle.place, format!("`{key}` has the handle `{}` twice", handle.name));
                *other = handle;
            }
            None => handles.push(handle),
        }
    }
    Some(handles)
}
