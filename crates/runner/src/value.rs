//! Values on their way between blocks: JSON text that is passed on as it came.

use bytes::Bytes;
use serde_json::value::RawValue;

/// A JSON value. Cloning it copies nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(Bytes);

impl Value {
    /// `null`.
    #[must_use]
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// The text of a value.
    #[must_use]
    pub fn of(value: &serde_json::Value) -> Self {
        Self(Bytes::from(value.to_string()))
    }

    /// A value that lies in a message; it keeps the message's bytes alive.
    #[must_use]
    pub fn in_message(message: &Bytes, raw: &RawValue) -> Self {
        Self(message.slice_ref(raw.get().as_bytes()))
    }

    /// A value whose text is at hand.
    pub(crate) const fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Its text.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// As a tree. What is no JSON counts as `null`, which only a text with lone halves of a character is.
    #[must_use]
    pub fn parse(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0).unwrap_or_default()
    }
}
