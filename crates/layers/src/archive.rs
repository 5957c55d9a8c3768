//! Layers in files: our archive of several layers, and OCI layer tars of one.
//!
//! `docs/layer-format.md` describes our archive. [`write()`] and [`Reader`] know the format and nothing of stores;
//! [`write_oci`] and [`read_oci`] do the same for the other. [`Engine::export`](crate::Engine::export) and
//! [`Engine::import`](crate::Engine::import) join them to stores, locks and compression.
//!
//! Everything in a file is hostile until the digest behind a layer has been checked, and remains so afterwards: names are
//! resolved beneath the layer's folder by the kernel, nothing is followed, sizes are bounded by [`limits`].

mod archiver;
mod early;
mod export;
mod import;
mod manifest;
mod names;
mod oci;
mod output;
mod problem;
mod read;
mod sums;
mod write;

pub use archiver::TarArchiver;
pub use export::Exported;
pub use import::Import;
pub use manifest::Manifest;
pub use oci::{read_oci, write_oci};
pub use problem::Problem;
pub use read::{Reader, Sink};
pub use write::{Source, write};

use tree::tar::Limits;

/// The format of the archives that are written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// The first member.
const MANIFEST: &str = "ovmlayer.json";
/// What the names of everything in a layer begin with, before its name.
const LAYERS: &str = "layers/";
/// What the names of the members with digests begin with.
const SUMS: &str = "sums/";

/// What a file with layers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Our archive: any number of layers, by name.
    #[default]
    Ovmlayer,
    /// A layer of an OCI image: one, without a name.
    Oci,
}

/// Bounds on what an archive may ask for: 4,000,000 entries, 1 TiB of tar, sparse files of 16 TiB (the most that ext4 has).
#[must_use]
pub fn limits() -> Limits {
    Limits { sparse: 16 << 40, ..Limits::default() }
}

/// How many threads read or create files: one per CPU, of which more than a few only wait for one another.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8))
}
