//! The last value of each input of the root flow, for a later run.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::Value;

/// How many bytes of values are kept, all together. The runner may not grow with the number of nodes that hand large values on.
const MAX_BYTES: usize = 16 << 20;

/// Values by node and input.
#[derive(Debug, Default)]
pub(super) struct Kept {
    values: HashMap<(usize, usize), Value>,
    bytes: usize,
}

impl Kept {
    /// Keeps a value in the place of the one before. What finds no room is not kept, and neither is the one before: a later run
    /// has to make it again.
    pub(super) fn insert(&mut self, node: usize, input: usize, value: &Value) {
        if let Some(old) = self.values.remove(&(node, input)) {
            self.bytes -= old.bytes().len();
        }
        let size = value.bytes().len();
        if self.bytes + size <= MAX_BYTES {
            self.bytes += size;
            // A copy: what lies in a message keeps all of that message alive.
            let own = Value::from_bytes(Bytes::copy_from_slice(value.bytes()));
            self.values.insert((node, input), own);
        }
    }

    pub(super) fn into_values(self) -> HashMap<(usize, usize), Value> {
        self.values
    }
}

/// What [`flow::special::can_be_cached`] looks at in a value, without the rest, which may be large.
pub(super) fn outline(value: &Value) -> Json {
    #[derive(Deserialize)]
    struct Special {
        #[serde(default, rename = "__OOMOL_TYPE__")]
        mark: Option<Json>,
        #[serde(default)]
        serialize_path: Option<Json>,
    }
    match value.bytes().first() {
        Some(b'{') => match serde_json::from_slice(value.bytes()) {
            Ok(Special { mark: Some(mark), serialize_path }) => {
                json!({ "__OOMOL_TYPE__": mark, "serialize_path": serialize_path })
            }
            _ => json!({}),
        },
        Some(b'[') => json!([]),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_not_kept() {
        let text = |size: usize| Value::of(&Json::String("x".repeat(size - 2)));
        let mut kept = Kept::default();
        kept.insert(0, 0, &text(MAX_BYTES - 10));
        kept.insert(1, 0, &text(11));
        kept.insert(2, 0, &text(10));
        let known = |kept: &Kept| {
            let mut keys: Vec<usize> = kept.values.keys().map(|(node, _)| *node).collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(known(&kept), [0, 2]);
        // One that is replaced makes room, and is gone even when the new one finds none.
        kept.insert(0, 0, &text(MAX_BYTES));
        assert_eq!((known(&kept), kept.bytes), (vec![2], 10));
        kept.insert(2, 0, &text(MAX_BYTES));
        assert_eq!((known(&kept), kept.bytes), (vec![2], MAX_BYTES));
    }

    #[test]
    fn outlines() {
        for (value, expected) in [
            (json!({ "a": [1, 2] }), json!({})),
            (json!([{ "__OOMOL_TYPE__": "oomol/var" }]), json!([])),
            (json!("text"), json!(null)),
            (
                json!({ "__OOMOL_TYPE__": "oomol/var", "value": {}, "serialize_path": "/p" }),
                json!({ "__OOMOL_TYPE__": "oomol/var", "serialize_path": "/p" }),
            ),
        ] {
            assert_eq!(outline(&Value::of(&value)), expected, "{value}");
        }
    }
}
