//! YAML as pnpm writes it: maps, lists and texts, without anchors, aliases and tags of its own.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// How deep values may be nested. Those of locks go down to five.
const MAX_DEPTH: usize = 32;

/// A list or map whose end has not come yet.
struct Open {
    is_map: bool,
    items: Vec<Value>,
}

/// The only document in `text`. Scalars are texts, but for `true`, `false` and nothing at all.
///
/// The message of an error begins with the line.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let refuse = |what: &str| Err(format!("line {}: {what}", span.start.line()));
        let done = match event {
            Event::Scalar(text, style, 0, _) => scalar(&text, style),
            Event::SequenceStart(0, _) | Event::MappingStart(0, _) => {
                if open.len() == MAX_DEPTH {
                    return refuse(&format!("values are nested more than {MAX_DEPTH} deep"));
                }
                open.push(Open { is_map: matches!(event, Event::MappingStart(..)), items: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop().map(Open::close) {
                Some(Ok(value)) => value,
                Some(Err(message)) => return refuse(&message),
                None => continue,
            },
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                return refuse("anchors and aliases are not known here");
            }
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.items.push(done),
            None if document.is_some() => return refuse("a second document is not known here"),
            None => document = Some(done),
        }
    }
    Ok(document.unwrap_or(Value::Null))
}

impl Open {
    fn close(self) -> Result<Value, String> {
        if !self.is_map {
            return Ok(Value::Array(self.items));
        }
        let mut map = Map::new();
        let mut items = self.items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let Value::String(key) = key else { return Err("a key is no text".to_owned()) };
            if map.contains_key(&key) {
                return Err(format!("the key `{key}` stands twice in the map that ends here"));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (text, style) {
        ("" | "~" | "null", ScalarStyle::Plain) => Value::Null,
        ("true", ScalarStyle::Plain) => true.into(),
        ("false", ScalarStyle::Plain) => false.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pnpm_writes() {
        let text =
            "a: '9.0'\nb:\n  '@x/y@1.0.0':\n    r: {i: sha512-a=, t: true}\n    c: [arm64, 'x']\n  z@1: {}\n";
        let expected = serde_json::json!({
            "a": "9.0",
            "b": { "@x/y@1.0.0": { "r": { "i": "sha512-a=", "t": true }, "c": ["arm64", "x"] }, "z@1": {} },
        });
        assert_eq!(read(text), Ok(expected));
        assert_eq!(read(""), Ok(Value::Null));
    }

    #[test]
    fn everything_else_is_refused_with_its_line() {
        let deep = "[".repeat(40);
        let cases = [
            ("an alias", "a: &x 1\nb: *x\n", "line 1: anchors"),
            ("no YAML", "a: 1\n b: [\n", "line "),
            ("twice", "a: 1\na: 2\n", "`a` stands twice"),
            ("two documents", "a: 1\n---\nb: 1\n", "second document"),
            ("too deep", deep.as_str(), "nested more than 32"),
            ("a list as a key", "? [a]\n: b\n", "a key is no text"),
        ];
        for (summary, text, words) in cases {
            let message = read(text).expect_err(summary);
            assert!(message.contains(words), "{summary}: {message}");
        }
    }
}
