//! Images built from trees, read by the tools that others read them with.
#![expect(clippy::unwrap_used, reason = "a test fails where something cannot be made or read")]

mod archives;
mod layers;
mod place;
