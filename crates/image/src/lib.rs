//! OCI images: from registries, layouts and archives into trees, and from trees into images.
//!
//! What enters: a [`Location`] (a reference into a registry, or a file or folder), trees, and what an image says about how
//! it is run. What leaves: manifests, configurations and blobs whose digests and sizes were checked on the way, never a byte
//! that was not.
//!
//! * [`Descriptor`], [`Manifest`], [`Index`], [`Config`], [`Platform`], [`Reference`]: the values of the OCI image and
//!   distribution specifications.
//! * [`Blobs`]: where contents are read from, whatever that is; [`Verified`]: a reader that notices other bytes.
//! * [`Target`]: where images are written to; [`Layout`] is both.
//! * [`inventory`]: the packages and files of a tree or an image; [`sbom`], [`inspection`], [`difference`] and [`report`] are
//!   made of it, [`provenance`] and [`referrer`] go with them, [`signing`] is left to `cosign`.
//!
//! The crate knows nothing of packages, recipes and sandboxes.

mod blobs;
mod config;
mod descriptor;
pub mod difference;
pub mod digest;
mod error;
pub mod inspection;
pub mod inventory;
mod layout;
mod location;
mod manifest;
pub mod media;
mod platform;
pub mod provenance;
mod reference;
pub mod referrer;
pub mod report;
pub mod sbom;
pub mod signing;
mod target;

pub use blobs::{Blobs, Place, Verified, read_small};
pub use config::{Config, History, Process, RootFs};
pub use descriptor::Descriptor;
pub use error::{Error, Result};
pub use layout::{Layout, REF_NAME};
pub use location::Location;
pub use manifest::{Index, Manifest};
pub use platform::Platform;
pub use reference::{Reference, ReferenceSyntax};
pub use target::Target;
