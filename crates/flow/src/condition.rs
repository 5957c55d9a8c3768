//! Which way a value goes: operators and cases (section 1.8 of the contract).

use serde_json::Value;

use crate::manifest::{Case, Condition, Expression, Join};

/// What can be asked of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `<=`
    LessOrEqual,
    /// `is null`
    IsNull,
    /// `is not null`
    IsNotNull,
    /// `is true`
    IsTrue,
    /// `is false`
    IsFalse,
    /// `contains`
    Contains,
    /// `not contains`
    NotContains,
    /// `is empty`
    IsEmpty,
    /// `is not empty`
    IsNotEmpty,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `has key`
    HasKey,
    /// `not has key`
    NotHasKey,
    /// `has value`
    HasValue,
    /// `not has value`
    NotHasValue,
    /// `starts with`
    StartsWith,
    /// `ends with`
    EndsWith,
}

impl Operator {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 22] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        (">", Self::Greater),
        ("<", Self::Less),
        (">=", Self::GreaterOrEqual),
        ("<=", Self::LessOrEqual),
        ("is null", Self::IsNull),
        ("is not null", Self::IsNotNull),
        ("is true", Self::IsTrue),
        ("is false", Self::IsFalse),
        ("contains", Self::Contains),
        ("not contains", Self::NotContains),
        ("is empty", Self::IsEmpty),
        ("is not empty", Self::IsNotEmpty),
        ("in", Self::In),
        ("not in", Self::NotIn),
        ("has key", Self::HasKey),
        ("not has key", Self::NotHasKey),
        ("has value", Self::HasValue),
        ("not has value", Self::NotHasValue),
        ("starts with", Self::StartsWith),
        ("ends with", Self::EndsWith),
    ];

    /// The operator of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
    }

    /// Whether it holds. Where an operand has a type that the operator knows nothing of, nothing holds, negated
    /// operators included; only `!=` holds between any two types.
    #[must_use]
    pub fn holds(self, left: &Value, right: Option<&Value>) -> bool {
        match self {
            Self::Equal => right == Some(left),
            Self::NotEqual => right.is_some_and(|right| right != left),
            Self::Greater => compare(left, right, |left, right| left > right),
            Self::Less => compare(left, right, |left, right| left < right),
            Self::GreaterOrEqual => compare(left, right, |left, right| left >= right),
            Self::LessOrEqual => compare(left, right, |left, right| left <= right),
            Self::IsNull => left.is_null(),
            Self::IsNotNull => !left.is_null(),
            Self::IsTrue => left == &Value::Bool(true),
            Self::IsFalse => left == &Value::Bool(false),
            Self::Contains => contains(left, right) == Some(true),
            Self::NotContains => contains(left, right) == Some(false),
            Self::IsEmpty => is_empty(left) == Some(true),
            Self::IsNotEmpty => is_empty(left) == Some(false),
            Self::In => right.and_then(|right| contains_item(right, left)) == Some(true),
            Self::NotIn => right.and_then(|right| contains_item(right, left)) == Some(false),
            Self::HasKey => has_key(left, right) == Some(true),
            Self::NotHasKey => has_key(left, right) == Some(false),
            Self::HasValue => has_value(left, right) == Some(true),
            Self::NotHasValue => has_value(left, right) == Some(false),
            Self::StartsWith => texts(left, right).is_some_and(|(left, right)| left.starts_with(right)),
            Self::EndsWith => texts(left, right).is_some_and(|(left, right)| left.ends_with(right)),
        }
    }
}

fn compare(left: &Value, right: Option<&Value>, order: impl Fn(f64, f64) -> bool) -> bool {
    match (left.as_f64(), right.and_then(Value::as_f64)) {
        (Some(left), Some(right)) => order(left, right),
        _ => false,
    }
}

fn texts<'a>(left: &'a Value, right: Option<&'a Value>) -> Option<(&'a str, &'a str)> {
    Some((left.as_str()?, right?.as_str()?))
}

fn contains(left: &Value, right: Option<&Value>) -> Option<bool> {
    match left {
        Value::String(text) => Some(text.contains(right?.as_str()?)),
        Value::Array(_) => contains_item(left, right?),
        _ => None,
    }
}

fn contains_item(list: &Value, item: &Value) -> Option<bool> {
    Some(list.as_array()?.contains(item))
}

fn is_empty(value: &Value) -> Option<bool> {
    match value {
        Value::Null => Some(true),
        Value::String(text) => Some(text.is_empty()),
        Value::Array(items) => Some(items.is_empty()),
        Value::Object(map) => Some(map.is_empty()),
        Value::Bool(_) | Value::Number(_) => None,
    }
}

fn has_key(left: &Value, right: Option<&Value>) -> Option<bool> {
    Some(left.as_object()?.contains_key(right?.as_str()?))
}

fn has_value(left: &Value, right: Option<&Value>) -> Option<bool> {
    let right = right?;
    Some(left.as_object()?.values().any(|value| value == right))
}

/// The output handle that a value goes to, given the values of the input handles. One that is missing counts as `null`.
pub fn choose<'c>(condition: &'c Condition, input: &mut dyn FnMut(&str) -> Value) -> Option<&'c str> {
    let case = condition.cases.iter().find(|case| matches(case, input));
    case.map(|case| case.handle.as_str()).or(condition.default.as_deref())
}

fn matches(case: &Case, input: &mut dyn FnMut(&str) -> Value) -> bool {
    let mut holds = |expression: &Expression| {
        expression.operator.holds(&input(&expression.input), expression.value.as_ref())
    };
    match case.join {
        _ if case.expressions.is_empty() => false,
        Join::And => case.expressions.iter().all(&mut holds),
        Join::Or => case.expressions.iter().any(&mut holds),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operators() {
        let cases = [
            (json!(1), "==", Some(json!(1)), true),
            (json!(1), "==", Some(json!(1.0)), false),
            (json!(null), "==", None, false),
            (json!(1), "!=", Some(json!("1")), true),
            (json!(1), "!=", None, false),
            (json!(2), ">", Some(json!(1.5)), true),
            (json!("2"), ">", Some(json!(1)), false),
            (json!(1), ">=", Some(json!(1)), true),
            (json!(1), "<=", Some(json!(0)), false),
            (json!(0), "<", Some(json!(1)), true),
            (json!(null), "is null", None, true),
            (json!(0), "is not null", None, true),
            (json!(1), "is true", None, false),
            (json!(false), "is false", None, true),
            (json!("abc"), "contains", Some(json!("b")), true),
            (json!([1, 2]), "contains", Some(json!(2)), true),
            (json!(5), "not contains", Some(json!(2)), false),
            (json!([1]), "not contains", Some(json!(2)), true),
            (json!(null), "is empty", None, true),
            (json!({}), "is empty", None, true),
            (json!(0), "is empty", None, false),
            (json!(0), "is not empty", None, false),
            (json!("x"), "is not empty", None, true),
            (json!(1), "in", Some(json!([1])), true),
            (json!(1), "in", Some(json!("1")), false),
            (json!(1), "not in", Some(json!([2])), true),
            (json!(1), "not in", Some(json!(2)), false),
            (json!({"a": 1}), "has key", Some(json!("a")), true),
            (json!([1]), "not has key", Some(json!("a")), false),
            (json!({"a": 1}), "has value", Some(json!(1)), true),
            (json!({"a": 1}), "not has value", Some(json!(2)), true),
            (json!("abc"), "starts with", Some(json!("ab")), true),
            (json!("abc"), "ends with", Some(json!("ab")), false),
        ];
        for (left, name, right, expected) in cases {
            let operator = Operator::parse(name).expect(name);
            assert_eq!(operator.holds(&left, right.as_ref()), expected, "{left} {name} {right:?}");
        }
        assert!(Operator::parse("=").is_none());
    }
}
