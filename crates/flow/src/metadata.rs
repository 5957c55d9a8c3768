//! `.metadata.oo.json`: what a package says about how it may be run.

use std::io;
use std::path::Path;

use serde_json::Value;

use crate::Files;

/// What a package says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Its blocks run on a server, because their source is not here.
    pub hide_source: bool,
    /// How long such a block may take, in seconds.
    pub timeout: Option<u64>,
}

impl Metadata {
    /// Reads the file in the folder of a package. A file that cannot be read or understood hides the source: a package
    /// must not run here by accident.
    pub fn read(files: &dyn Files, package: &Path) -> Self {
        let hidden = Self { hide_source: true, timeout: None };
        match files.read(&package.join(".metadata.oo.json")) {
            Ok(bytes) => Self::parse(&bytes).unwrap_or(hidden),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            // A part of the path is a file.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Self::default(),
            Err(_) => hidden,
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let object = value.as_object()?;
        let hide_source = object.get("hide_source").map_or(Some(false), Value::as_bool)?;
        let timeout = object.get("timeout").filter(|value| !value.is_null());
        let timeout = timeout.map(|value| value.as_u64().ok_or(())).transpose().ok()?;
        Some(Self { hide_source, timeout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_hides() {
        let plain = Some(Metadata { hide_source: false, timeout: None });
        let cases = [
            ("{}", plain),
            (
                r#"{"hide_source": true, "timeout": 9}"#,
                Some(Metadata { hide_source: true, timeout: Some(9) }),
            ),
            (r#"{"hide_source": "no"}"#, None),
            ("[]", None),
            ("{", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Metadata::parse(text.as_bytes()), expected, "{text}");
        }
    }
}
