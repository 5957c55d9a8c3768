//! npm packages: what npm locked, which of it a target needs, and what is in the archives.

mod archive;
mod integrity;
mod lock;
mod select;

pub use archive::{install, link_programs};
pub use integrity::{Algorithm, Integrity};
pub use lock::{Entry, PackageLock};
pub use select::{Selected, Target};
