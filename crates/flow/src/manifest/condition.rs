//! `conditions`: which way a value goes.

use serde_json::Value;

use crate::Place;
use crate::condition::Operator;
use crate::fields::{Fields, Notes};
use crate::yaml::Yaml;

/// What a condition node decides by.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Tried in order; the first that matches counts.
    pub cases: Vec<Case>,
    /// The output handle for what no case matches.
    pub default: Option<String>,
}

/// One way.
#[derive(Debug, Clone)]
pub struct Case {
    /// The output handle.
    pub handle: String,
    /// How the expressions are joined.
    pub join: Join,
    /// What must hold. Without any, the case never matches.
    pub expressions: Vec<Expression>,
}

/// How expressions are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// All must hold.
    And,
    /// One is enough.
    Or,
}

/// Something that holds or not.
#[derive(Debug, Clone)]
pub struct Expression {
    /// The input handle whose value is looked at.
    pub input: String,
    /// What is asked of it.
    pub operator: Operator,
    /// What it is compared with: absent, or a value that may be `null`.
    pub value: Option<Value>,
    /// Where it stands.
    pub place: Place,
}

impl Condition {
    pub(crate) fn read(fields: &Fields<'_>, notes: &mut Notes) -> Self {
        let cases = fields.list("cases", notes).iter().filter_map(|case| Case::read(case, notes)).collect();
        let default = fields.map("default", notes).and_then(|map| map.required("handle", "`default`", notes));
        Self { cases, default }
    }

    /// All output handles.
    pub fn handles(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().map(|case| case.handle.as_str()).chain(self.default.as_deref())
    }
}

impl Case {
    fn read(yaml: &Yaml, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(yaml, "cases", notes)?;
        let handle = fields.required("handle", "a case", notes)?;
        let join = match fields.text("logical", notes).as_deref() {
            Some("AND") => Join::And,
            None | Some("OR") => Join::Or,
            Some(other) => {
                let place = fields.raw("logical").map_or(fields.place, |value| &value.place);
                notes.error(place, format!("`logical` must be `AND` or `OR`, not `{other}`"));
                Join::Or
            }
        };
        let expressions = fields.list("expressions", notes);
        if expressions.is_empty() {
            notes.mistake(fields.place, format!("the case `{handle}` has no expressions and never matches"));
        }
        let expressions = expressions.iter().filter_map(|item| Expression::read(item, notes)).collect();
        Some(Self { handle, join, expressions })
    }
}

impl Expression {
    fn read(yaml: &Yaml, notes: &mut Notes) -> Option<Self> {
        let fields = Fields::of(yaml, "expressions", notes)?;
        let input = fields.required("input_handle", "an expression", notes);
        let operator = fields.required("operator", "an expression", notes)?;
        let Some(operator) = Operator::parse(&operator) else {
            let place = fields.raw("operator").map_or(fields.place, |value| &value.place);
            let known = Operator::ALL.map(|(name, _)| format!("`{name}`")).join(" ");
            notes.error(place, format!("`{operator}` is no operator; there are {known}"));
            return None;
        };
        let value = fields.raw("value").map(Yaml::to_json);
        Some(Self { input: input?, operator, value, place: fields.place.clone() })
    }
}
