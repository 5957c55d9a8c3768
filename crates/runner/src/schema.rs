//! JSON Schema, as far as blocks' handles use it: `type`, `enum`, `const`, `anyOf`, `items`, `properties`, `required`, bounds.
//!
//! Only requests that say `strict` are checked (section 3.7 of the contract). What a schema says beyond this is not checked.

use serde_json::Value;

/// How deep schemas are followed.
const MAX_DEPTH: usize = 50;

/// Checks a value.
///
/// # Errors
/// With what is wrong, to follow the name of the value.
pub(crate) fn check(value: &Value, schema: &Value) -> Result<(), String> {
    check_at(value, schema, "", 0)
}

fn check_at(value: &Value, schema: &Value, path: &str, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let fail = |what: String| {
        let at = if path.is_empty() { String::new() } else { format!("at `{path}` ") };
        Err(format!("{at}{what}, not {}", crate::log::cut(&value.to_string())))
    };
    if let Some(types) = schema.get("type") {
        let names: Vec<&str> = match types {
            Value::String(name) => vec![name],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !names.is_empty() && !names.iter().any(|name| is_of(value, name)) {
            return fail(format!("must be of type {}", names.join(" or ")));
        }
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|known| !known.contains(value)) {
        return fail("must be one of the values of its `enum`".to_owned());
    }
    if schema.get("const").is_some_and(|known| known != value) {
        return fail("must be the value of its `const`".to_owned());
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(ways)) = schema.get(key)
            && !ways.iter().any(|way| check_at(value, way, path, depth + 1).is_ok())
        {
            return fail(format!("must be as one of its `{key}`"));
        }
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let is_outside = |own: f64| {
        number("minimum").is_some_and(|least| own < least) || number("maximum").is_some_and(|most| own > most)
    };
    if value.as_f64().is_some_and(is_outside) {
        return fail("must lie within its bounds".to_owned());
    }
    if let (Value::Array(items), Some(schema)) = (value, schema.get("items")) {
        for (index, item) in items.iter().enumerate() {
            check_at(item, schema, &format!("{path}[{index}]"), depth + 1)?;
        }
    }
    if let Value::Object(map) = value {
        for name in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !map.contains_key(name) {
                return fail(format!("must have a `{name}`"));
            }
        }
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if let Some(inner) = map.get(name) {
                check_at(inner, schema, &format!("{path}.{name}"), depth + 1)?;
            }
        }
    }
    Ok(())
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_checked() {
        let schema = json!({
            "type": "object", "required": ["n"],
            "properties": { "n": { "type": "integer", "minimum": 1 }, "l": { "items": { "enum": ["a"] } } },
        });
        let cases = [
            (json!({ "n": 1, "l": ["a"] }), None),
            (json!({}), Some("must have a `n`")),
            (json!({ "n": 0 }), Some("at `.n` must lie within its bounds")),
            (json!({ "n": "1" }), Some("at `.n` must be of type integer")),
            (json!({ "n": 1, "l": ["a", "b"] }), Some("at `.l[1]` must be one of")),
            (json!([]), Some("must be of type object")),
        ];
        for (value, expected) in cases {
            let result = check(&value, &schema);
            let is_right = match (&result, expected) {
                (Ok(()), None) => true,
                (Err(why), Some(expected)) => why.starts_with(expected),
                _ => false,
            };
            assert!(is_right, "{value}: {result:?}");
        }
    }
}
