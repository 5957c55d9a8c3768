//! YAML with the place of every value, bounded in size, depth and expansion.
//!
//! The core schema of YAML 1.2 (section 10.3.2). Tags other than those of the core schema are ignored; `<<` is a key like any other.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use crate::{Place, Problem, Problems};

/// The largest manifest, in bytes. The largest known in the wild are below 1 MiB.
pub const MAX_SIZE: usize = 32 << 20;

/// How deep values may be nested. Everything that walks values may recurse.
const MAX_DEPTH: usize = 100;

/// How many values a manifest may hold, with aliases expanded: a few lines of aliases can stand for billions.
const MAX_VALUES: usize = 2_000_000;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub struct Yaml {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Data {
    /// Null, true, false, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Yaml>),
    /// Keys and values, in order.
    Map(Vec<(Yaml, Yaml)>),
}

impl Yaml {
    /// What to call it in a message.
    #[must_use]
    pub fn kind(&self) -> String {
        match &self.data {
            Data::Scalar(Value::Null) => "nothing".to_owned(),
            Data::Scalar(Value::String(text)) => format!("the text `{}`", shorten(text)),
            Data::Scalar(value) => format!("`{value}`"),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }

    /// The text, when it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// As JSON. Keys that are not texts become what JSON would show of them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key.key_text(), value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// A key as a text.
    #[must_use]
    pub fn key_text(&self) -> String {
        self.text().map_or_else(|| self.to_json().to_string(), str::to_owned)
    }
}

/// At most 60 characters of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// Reads the first document of `bytes`; an empty one is `null`.
///
/// # Errors
/// When it is not UTF-8, not YAML, too large or too deep; the problem carries the place.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Yaml, Problems> {
    if bytes.len() > MAX_SIZE {
        let message = format!("is larger than {MAX_SIZE} bytes; a manifest is a small file");
        return Err(Problems::of_file(file, message));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Problems::of_file(file, "is not UTF-8 text; a manifest is YAML"));
    };
    // Two separators that YAML counts as line breaks and JavaScript programs write into texts.
    let text = text.replace(['\u{2028}', '\u{2029}'], "");
    Builder { file: file.into(), anchors: HashMap::new(), values: 0 }.document(&text)
}

struct Builder {
    file: Arc<Path>,
    anchors: HashMap<usize, Yaml>,
    values: usize,
}

/// A list or map whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    is_map: bool,
    items: Vec<Yaml>,
}

impl Builder {
    fn document(mut self, text: &str) -> Result<Yaml, Problems> {
        let mut parser = Parser::new_from_str(text);
        let mut open: Vec<Open> = Vec::new();
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let place = self.place(error.marker().line(), error.marker().col());
                Problems(vec![Problem::error(place, format!("this is not YAML: {}", error.info()))])
            })?;
            let done = match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let value = scalar(&text, style, tag.as_deref());
                    Some((anchor, Yaml { place: self.start(&span), data: Data::Scalar(value) }))
                }
                Event::Alias(anchor) => Some((0, self.alias(anchor, &span)?)),
                Event::SequenceStart(anchor, _) => {
                    open.push(self.open(&span, anchor, false));
                    None
                }
                Event::MappingStart(anchor, _) => {
                    open.push(self.open(&span, anchor, true));
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop().map(|open| self.close(open)).transpose()?
                }
                Event::DocumentEnd | Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => None,
            };
            if open.len() > MAX_DEPTH {
                let message = format!("values are nested more than {MAX_DEPTH} deep");
                return Err(Problems(vec![Problem::error(self.start(&span), message)]));
            }
            let Some((anchor, value)) = done else { continue };
            self.count(1, &value.place)?;
            if anchor > 0 {
                self.anchors.insert(anchor, value.clone());
            }
            match open.last_mut() {
                Some(parent) => parent.items.push(value),
                None => return Ok(value),
            }
        }
        Ok(Yaml { place: self.place(1, 0), data: Data::Scalar(Value::Null) })
    }

    fn place(&self, line: usize, column: usize) -> Place {
        Place { file: Arc::clone(&self.file), line, column: column + 1 }
    }

    fn start(&self, span: &Span) -> Place {
        self.place(span.start.line(), span.start.col())
    }

    fn open(&self, span: &Span, anchor: usize, is_map: bool) -> Open {
        Open { place: self.start(span), anchor, is_map, items: Vec::new() }
    }

    fn close(&self, open: Open) -> Result<(usize, Yaml), Problems> {
        if !open.is_map {
            return Ok((open.anchor, Yaml { place: open.place, data: Data::List(open.items) }));
        }
        let mut pairs: Vec<(Yaml, Yaml)> = Vec::with_capacity(open.items.len() / 2);
        let mut seen = HashMap::new();
        let mut items = open.items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let name = key.key_text();
            if seen.insert(name.clone(), ()).is_some() {
                let message = format!("the key `{}` stands twice in this map", shorten(&name));
                return Err(Problems(vec![Problem::error(key.place, message)]));
            }
            pairs.push((key, value));
        }
        Ok((open.anchor, Yaml { place: open.place, data: Data::Map(pairs) }))
    }

    /// A copy of what an anchor names, at the place of the alias.
    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Yaml, Problems> {
        let place = self.start(span);
        let Some(value) = self.anchors.get(&anchor) else {
            let message = "this alias stands inside the value that it names";
            return Err(Problems(vec![Problem::error(place, message)]));
        };
        let (count, depth) = measure(value);
        if depth > MAX_DEPTH {
            let message = format!("values are nested more than {MAX_DEPTH} deep");
            return Err(Problems(vec![Problem::error(place, message)]));
        }
        let mut copy = value.clone();
        copy.place = place.clone();
        self.count(count, &place)?;
        Ok(copy)
    }

    fn count(&mut self, more: usize, place: &Place) -> Result<(), Problems> {
        self.values = self.values.saturating_add(more);
        if self.values <= MAX_VALUES {
            return Ok(());
        }
        let message = format!("there are more than {MAX_VALUES} values in this file, aliases counted");
        Err(Problems(vec![Problem::error(place.clone(), message)]))
    }
}

/// How many values there are in one, and how deep.
fn measure(value: &Yaml) -> (usize, usize) {
    let inner: (usize, usize) = match &value.data {
        Data::Scalar(_) => (0, 0),
        Data::List(items) => items.iter().map(measure).fold((0, 0), join),
        Data::Map(pairs) => {
            pairs.iter().flat_map(|(key, value)| [measure(key), measure(value)]).fold((0, 0), join)
        }
    };
    (inner.0.saturating_add(1), inner.1 + 1)
}

fn join(left: (usize, usize), right: (usize, usize)) -> (usize, usize) {
    (left.0.saturating_add(right.0), left.1.max(right.1))
}

/// A scalar by the core schema.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match (core, style) {
        (Some("str"), _) => Value::String(text.to_owned()),
        (None, ScalarStyle::Plain) | (Some("null" | "bool" | "int" | "float"), _) => plain(text),
        _ => Value::String(text.to_owned()),
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = integer(text).or_else(|| float(text));
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn integer(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let is_number = digits.starts_with(|c: char| c.is_digit(radix));
            return if is_number { u64::from_str_radix(digits, radix).ok().map(Number::from) } else { None };
        }
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    unsigned.parse::<u64>().map(Number::from).or_else(|_| unsigned.parse::<i64>().map(Number::from)).ok()
}

/// A number with a point or an exponent. Infinities and what is no number cannot be said in JSON and stay texts.
fn float(text: &str) -> Option<Number> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && body.contains(|c: char| c.is_ascii_digit())
        && body.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if is_number { text.parse().ok().and_then(Number::from_f64) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        parse(Path::new("f.yaml"), text.as_bytes()).expect("it parses").to_json()
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let cases = [
            ("null", Value::Null),
            ("~", Value::Null),
            ("", Value::Null),
            ("yes", "yes".into()),
            ("True", true.into()),
            ("'true'", "true".into()),
            ("12", 12.into()),
            ("-12", (-12).into()),
            ("+12", 12.into()),
            ("0x1F", 31.into()),
            ("0o17", 15.into()),
            ("012", 12.into()),
            ("1.0", 1.0.into()),
            ("1e3", 1000.0.into()),
            (".5", 0.5.into()),
            ("1.2.3", "1.2.3".into()),
            ("1-2", "1-2".into()),
            (".inf", ".inf".into()),
            ("18446744073709551615", u64::MAX.into()),
            ("99999999999999999999", 99_999_999_999_999_999_999.0.into()),
            ("!!str 12", "12".into()),
            ("!mine 12", 12.into()),
        ];
        for (text, value) in cases {
            assert_eq!(json(text), value, "{text}");
        }
    }

    #[test]
    fn separators_of_lines_are_dropped() {
        assert_eq!(json("a: \"x\u{2028}y\u{2029}\""), serde_json::json!({"a": "xy"}));
    }

    #[test]
    fn faults_have_a_place() {
        let cases = [
            ("a: 1\na: 2\n", "f.yaml:2:1: the key `a` stands twice in this map"),
            ("a: &x [*x]\n", "f.yaml:1:8: this alias stands inside the value that it names"),
            ("a: [1, 2\nb: 3\n", "f.yaml:2"),
        ];
        for (text, expected) in cases {
            let problems = parse(Path::new("f.yaml"), text.as_bytes()).expect_err(text).to_string();
            assert!(problems.starts_with(expected), "{text}: {problems}");
        }
    }

    #[test]
    fn aliases_do_not_explode() {
        let mut text = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
        for level in 1..12 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        let problems = parse(Path::new("f.yaml"), text.as_bytes()).expect_err("too many").to_string();
        assert!(problems.contains("more than 2000000 values"), "{problems}");
        let deep = "[".repeat(5000);
        let problems = parse(Path::new("f.yaml"), deep.as_bytes()).expect_err("too deep").to_string();
        assert!(problems.contains("recursion limit") || problems.contains("deep"), "{problems}");
    }
}
