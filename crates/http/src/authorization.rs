//! Who we are, for one server alone.

use std::fmt;

/// The value of an `Authorization` field. It goes to the server it is meant for and to no other, and into no message.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(String);

impl Authorization {
    /// `SCHEME CREDENTIALS`, as it is sent.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value as a header has it; none when it holds what no header may.
    pub(crate) fn header(&self) -> Option<reqwest::header::HeaderValue> {
        let mut value = reqwest::header::HeaderValue::from_str(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}
