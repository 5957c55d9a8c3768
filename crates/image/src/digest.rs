//! Digests as the OCI specifications spell them: `sha256:` and 64 hexadecimal digits.
//!
//! Only SHA-256 is known. The image specification, "Digests", has SHA-512 too, which no published image uses.
//! As a module it goes with `#[serde(with = "crate::digest")]`.

use cache::Digest;
use serde::{Deserialize as _, Deserializer, Serializer};

const ALGORITHM: &str = "sha256:";

/// The spelling of a digest.
#[must_use]
pub fn spell(digest: &Digest) -> String {
    format!("{ALGORITHM}{digest}")
}

/// Reads a digest; the error says what is wrong with the text.
///
/// # Errors
/// When the text is no digest, or one of another algorithm.
pub fn parse(text: &str) -> Result<Digest, String> {
    match text.strip_prefix(ALGORITHM) {
        Some(digits) => digits.parse().map_err(|error: cache::DigestSyntax| error.to_string()),
        None if text.contains(':') => {
            let shown: String = text.chars().take(80).collect();
            Err(format!("`{shown}` is a digest of an algorithm that is not known here: sha256 is"))
        }
        None => {
            let shown: String = text.chars().take(80).collect();
            Err(format!("`{shown}` is not a digest: expected `sha256:` and 64 hexadecimal digits"))
        }
    }
}

pub(crate) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&spell(digest))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(serde::de::Error::custom)
}

/// Lists of digests, for `#[serde(with = "crate::digest::list")]`.
pub(crate) mod list {
    use cache::Digest;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(digests: &[Digest], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(digests.iter().map(super::spell))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| super::parse(text).map_err(serde::de::Error::custom)).collect()
    }
}
