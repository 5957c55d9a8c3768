//! Debian-format package archives: signed indices and packages, from a mirror into the cache.
//!
//! What enters: sources (where an archive is, which suite and components), keyrings, a cache. What leaves: release
//! files whose signature, dates and names were checked, indices and packages whose SHA-256 was checked; never a byte
//! that was not.
//!
//! Most callers want [`client::Client`]; [`mirror`] says where the archive of a distribution is on this machine.

pub mod client;
mod error;
pub mod http;
pub mod keyring;
pub mod mirror;
pub mod release;
pub mod source;
mod time;

pub use error::{Error, Result};
pub use time::{Cancel, Clock};
