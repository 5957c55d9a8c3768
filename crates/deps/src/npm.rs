//! npm packages: what npm locked, which of it a target needs, and what is in the archives.

mod archive;
mod integrity;
mod lock;
mod manifest;
mod pnpm;
mod select;
mod yaml;

pub use archive::{install, link_programs};
pub use integrity::{Algorithm, Integrity};
pub use lock::{Entry, PackageLock};
pub use manifest::Manifest;
pub use pnpm::{Places, PnpmLock};
use select::check_place;
pub use select::{Selected, Target};
