//! Bytes of a message, in parts that are shared and never copied: a value of 100 MB crosses the runner as it is.

use bytes::Bytes;
use serde::Serialize;

use crate::Value;

/// Values below this size are copied into the text around them: one write is cheaper than a part of its own.
const COPIED: usize = 8 << 10;

/// The bytes of a message.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    parts: Vec<Bytes>,
    open: Vec<u8>,
}

impl Payload {
    /// Without any bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The JSON text of a value.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        let mut payload = Self::new();
        payload.json(value);
        payload
    }

    /// Appends text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.open.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends the JSON text of a value.
    pub fn json(&mut self, value: &impl Serialize) -> &mut Self {
        // What is serialised here has texts as keys and no number that JSON cannot say, so it cannot fail.
        if serde_json::to_writer(&mut self.open, value).is_err() {
            self.open.extend_from_slice(b"null");
        }
        self
    }

    /// Appends a value as it is.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        let bytes = value.bytes();
        if bytes.len() < COPIED {
            self.open.extend_from_slice(bytes);
        } else {
            self.seal();
            self.parts.push(bytes.clone());
        }
        self
    }

    /// Appends `"key":value` pairs of an object, with a comma before each but the first.
    pub fn map<'v>(&mut self, pairs: impl IntoIterator<Item = (&'v str, &'v Value)>) -> &mut Self {
        self.text("{");
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            self.text(if index == 0 { "" } else { "," }).json(&key).text(":").value(value);
        }
        self.text("}")
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.parts.push(Bytes::from(std::mem::take(&mut self.open)));
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum::<usize>() + self.open.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All parts, in order.
    #[must_use]
    pub fn into_parts(mut self) -> Vec<Bytes> {
        self.seal();
        self.parts
    }

    /// As one text, for logs and consoles.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes: Vec<u8> = Vec::with_capacity(self.len());
        for part in &self.parts {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&self.open);
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}
