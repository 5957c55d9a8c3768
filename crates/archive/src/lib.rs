//! Debian-format package archives: from a mirror to the packages that fit together.
//!
//! What enters: sources (where an archive is, which suite and components), keyrings, a cache, the names of wanted packages.
//! What leaves: release files whose signature, dates and names were checked; indices and packages whose SHA-256 was
//! checked; the set of packages that apt would install; the contents of a package.
//!
//! Most callers want [`client::Client`], [`universe::Universe`] and [`solver::solve`]; [`mirror`] says where the archive
//! of a distribution is on this machine.

pub mod client;
pub mod deb;
pub mod deb822;
pub mod dependency;
mod error;
pub mod keyring;
pub mod mirror;
pub mod release;
pub mod solver;
pub mod source;
mod time;
pub mod universe;
pub mod version;

pub use error::{Error, Result};
pub use http::Cancel;
pub use jiff::Timestamp;
pub use time::Clock;
