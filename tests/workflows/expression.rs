//! Expressions of workflows, as far as ours use them ("Evaluate expressions in workflows and actions" of GitHub's manual).

use serde_json::Value;

/// Replaces every `${{ … }}` in a text.
pub(crate) fn interpolate(text: &str, context: &Value) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, after) = after.split_once("}}").expect("an expression ends");
        result.push_str(before);
        result.push_str(&text_of(&evaluate(expression, context)));
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Whether a step with this condition runs.
pub(crate) fn holds(condition: Option<&str>, context: &Value) -> bool {
    let plain = |text: &str| text.trim().trim_start_matches("${{").trim_end_matches("}}").to_owned();
    condition.is_none_or(|condition| is_true(&evaluate(&plain(condition), context)))
}

fn evaluate(text: &str, context: &Value) -> Value {
    let mut parser = Parser { rest: text.trim(), context };
    let value = parser.any();
    assert_eq!(parser.rest, "", "what follows the expression `{text}` is not understood");
    value
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
}

/// What a value becomes within a text.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

struct Parser<'a> {
    rest: &'a str,
    context: &'a Value,
}

impl<'a> Parser<'a> {
    fn skip(&mut self, word: &str) -> bool {
        let found = self.rest.strip_prefix(word).map(str::trim_start);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn any(&mut self) -> Value {
        let mut value = self.all();
        while self.skip("||") {
            let other = self.all();
            value = if is_true(&value) { value } else { other };
        }
        value
    }

    fn all(&mut self) -> Value {
        let mut value = self.comparison();
        while self.skip("&&") {
            let other = self.comparison();
            value = if is_true(&value) { other } else { value };
        }
        value
    }

    fn comparison(&mut self) -> Value {
        let value = self.single();
        if self.skip("==") { Value::Bool(value == self.single()) } else { value }
    }

    fn single(&mut self) -> Value {
        if self.skip("!") {
            return Value::Bool(!is_true(&self.single()));
        }
        if let Some(rest) = self.rest.strip_prefix('\'') {
            let (text, rest) = rest.split_once('\'').expect("a text ends");
            self.rest = rest.trim_start();
            return text.into();
        }
        let end = self.rest.find(|letter: char| !letter.is_alphanumeric() && !"._-".contains(letter));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        assert!(!word.is_empty(), "`{}` is not understood", self.rest);
        self.rest = rest.trim_start();
        if self.skip("(") {
            return self.call(word);
        }
        word.split('.')
            .fold(self.context.clone(), |value, name| value.get(name).cloned().unwrap_or(Value::Null))
    }

    fn call(&mut self, name: &'a str) -> Value {
        let first = text_of(&self.any());
        assert!(self.skip(","), "`{name}` has two arguments");
        let second = text_of(&self.any());
        assert!(self.skip(")"), "`{name}` has two arguments");
        match name {
            "startsWith" => first.starts_with(&second).into(),
            _ => panic!("the function `{name}` is not known here"),
        }
    }
}
