//! Values that are not JSON: their envelopes (section 1.7 of the contract).
//!
//! The engine passes them on as they are; what they mean is the executors' business. It only has to know which of them can be
//! kept for a later session.

use serde_json::Value;

use crate::Handle;

/// The key that marks an envelope.
const MARK: &str = "__OOMOL_TYPE__";

/// Whether a value of this handle means the same in a later session.
#[must_use]
pub fn can_be_cached(value: &Value, handle: &Handle, path_exists: impl Fn(&str) -> bool) -> bool {
    if let Some(mark) = value.get(MARK) {
        let path = value.get("serialize_path").and_then(Value::as_str);
        return mark == "oomol/var" && path.is_some_and(path_exists);
    }
    match handle.media_type() {
        Some("oomol/bin" | "oomol/secret") => false,
        Some("oomol/var") => !value.is_object() && !value.is_array(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Place;

    #[test]
    fn what_can_be_cached() {
        let var = |path: Value| json!({ MARK: "oomol/var", "value": {}, "serialize_path": path });
        let cases = [
            (json!({"a": 1}), None, true),
            (json!({ MARK: "oomol/bin", "value": "/x" }), None, false),
            (json!("x"), Some("oomol/secret"), false),
            (json!("x"), Some("oomol/bin"), false),
            (json!(1), Some("oomol/var"), true),
            (json!({}), Some("oomol/var"), false),
            (var(json!(null)), Some("oomol/var"), false),
            (var(json!("/there")), Some("oomol/var"), true),
            (var(json!("/gone")), Some("oomol/var"), false),
        ];
        for (value, media, expected) in cases {
            let mut handle = Handle::named("h", &Place::file("f".as_ref()));
            handle.schema = media.map(|media| json!({ "contentMediaType": media }));
            assert_eq!(
                can_be_cached(&value, &handle, |path| path == "/there"),
                expected,
                "{value} {media:?}"
            );
        }
    }
}
