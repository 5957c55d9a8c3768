//! Reading maps of a manifest key by key, with every mistake told at its place.

use serde_json::Value;

use crate::yaml::{Data, Yaml};
use crate::{Place, Problem};

/// Mistakes found so far; a manifest is read to its end whatever they are.
#[derive(Debug, Default)]
pub(crate) struct Notes(pub(crate) Vec<Problem>);

impl Notes {
    pub(crate) fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.0.push(Problem::error(place.clone(), message));
    }

    pub(crate) fn mistake(&mut self, place: &Place, message: impl Into<String>) {
        self.0.push(Problem::mistake(place.clone(), message));
    }

    pub(crate) fn expected(&mut self, at: &Yaml, what: &str, expected: &str) {
        self.error(&at.place, format!("`{what}` must be {expected}, not {}", at.kind()));
    }
}

/// A map of a manifest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) place: &'a Place,
    pairs: &'a [(Yaml, Yaml)],
}

impl<'a> Fields<'a> {
    /// `what` as a map; a mistake when it is none.
    pub(crate) fn of(yaml: &'a Yaml, what: &str, notes: &mut Notes) -> Option<Self> {
        match &yaml.data {
            Data::Map(pairs) => Some(Self { place: &yaml.place, pairs }),
            _ => {
                notes.expected(yaml, what, "a map");
                None
            }
        }
    }

    /// The value of a key, `null` too.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a Yaml> {
        self.pairs.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The value of a key that is not `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Yaml> {
        self.raw(key).filter(|value| !matches!(value.data, Data::Scalar(Value::Null)))
    }

    pub(crate) fn pairs(&self) -> &'a [(Yaml, Yaml)] {
        self.pairs
    }

    /// A text.
    pub(crate) fn text(&self, key: &str, notes: &mut Notes) -> Option<String> {
        let value = self.get(key)?;
        let text = value.text();
        if text.is_none() {
            notes.expected(value, key, "a text");
        }
        text.map(str::to_owned)
    }

    /// A text that has to be there.
    pub(crate) fn required(&self, key: &str, owner: &str, notes: &mut Notes) -> Option<String> {
        if self.get(key).is_none() {
            notes.error(self.place, format!("{owner} has no `{key}`; a text was expected"));
        }
        self.text(key, notes)
    }

    /// `true` or `false`; `false` when it is not there.
    pub(crate) fn flag(&self, key: &str, notes: &mut Notes) -> bool {
        match self.get(key).map(|value| (value, &value.data)) {
            None => false,
            Some((_, Data::Scalar(Value::Bool(flag)))) => *flag,
            Some((value, _)) => {
                notes.expected(value, key, "`true` or `false`");
                false
            }
        }
    }

    /// A whole number in `range`.
    pub(crate) fn integer(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
        notes: &mut Notes,
    ) -> Option<i64> {
        let value = self.get(key)?;
        let number = match &value.data {
            Data::Scalar(Value::Number(number)) => number.as_i64().filter(|number| range.contains(number)),
            _ => None,
        };
        if number.is_none() {
            notes.expected(value, key, &format!("a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// A number.
    pub(crate) fn number(&self, key: &str, notes: &mut Notes) -> Option<f64> {
        let value = self.get(key)?;
        let number = match &value.data {
            Data::Scalar(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        if number.is_none() {
            notes.expected(value, key, "a number");
        }
        number
    }

    /// A list; empty when it is not there.
    pub(crate) fn list(&self, key: &str, notes: &mut Notes) -> &'a [Yaml] {
        match self.get(key).map(|value| (value, &value.data)) {
            None => &[],
            Some((_, Data::List(items))) => items,
            Some((value, _)) => {
                notes.expected(value, key, "a list");
                &[]
            }
        }
    }

    /// A map; a mistake when it is there and is none.
    pub(crate) fn map(&self, key: &str, notes: &mut Notes) -> Option<Fields<'a>> {
        Fields::of(self.get(key)?, key, notes)
    }
}
