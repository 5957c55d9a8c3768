//! Components out of releases on GitHub: `oocana`, `ovmlayer` and a root filesystem.
//!
//! What enters: which components at which tag, for which architectures, and GitHub's REST API (or one that speaks like it).
//! What leaves: a folder with the programs and the root filesystem, every byte compared with a published digest, and
//! `versions.json`, which says what they are.
//!
//! * [`Component`]: what one is called, which repository has it, how its tags and assets are named.
//! * [`Github`]: the releases of a repository.
//! * [`Version`]: the order of versions, by which the latest release is found: that of lists is by date, and repositories
//!   have tags of several kinds.
//! * [`fetch()`]: everything in order.

mod asset;
mod checksums;
mod component;
mod download;
mod error;
mod fetch;
mod github;
mod place;
mod version;

pub use component::{COMPONENTS, Component};
pub use error::{Error, Result};
pub use fetch::{Event, Fetched, Secret, Wanted, fetch};
pub use github::{Asset, Github, Release};
pub use version::Version;
