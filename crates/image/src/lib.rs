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
//! * [`registry`]: repositories of registries, which are both as well; [`copy`](mod@copy): images from one place to another.
//! * [`build`]: trees into layers, layers into images.
//!
//! The crate knows nothing of packages, recipes and sandboxes.

mod blobs;
pub mod build;
mod config;
pub mod copy;
mod descriptor;
pub mod digest;
mod error;
pub mod events;
mod layout;
mod location;
mod manifest;
pub mod media;
mod platform;
mod reference;
mod referrers;
pub mod registry;
mod target;

pub use blobs::{Blobs, Place, Verified, read_small};
pub use config::{Config, Empty, History, Process, RootFs};
pub use descriptor::Descriptor;
pub use error::{Error, Result};
pub use layout::{Layout, REF_NAME};
pub use location::Location;
pub use manifest::{Index, Manifest};
pub use platform::Platform;
pub use reference::{Reference, ReferenceSyntax};
pub use referrers::Referrers;
pub use registry::RegistryError;
pub use target::Target;
