//! To which dpkg package each file of a root belongs, and which packages share a layer.

mod database;
mod grouping;

pub use database::Packages;
pub use grouping::group;

/// An installed package, as far as layers are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub name: String,
    /// The source package that it is built from: packages of one source are released together, so they change together.
    pub source: String,
    /// How much it takes on a disk, in KiB, as the package itself says.
    pub size: u64,
    /// Whether every root has it: it is essential or required, or one of those needs it.
    pub base: bool,
}
