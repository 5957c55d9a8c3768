//! OCI images: from registries, layouts and archives into trees, and from trees into images.
//!
//! What enters: a [`Location`] (a reference into a registry, or a file or folder), trees, and what an image says about how
//! it is run. What leaves: manifests, configurations and blobs whose digests and sizes were checked on the way, never a byte
//! that was not.
//!
//! * [`Descriptor`], [`Manifest`], [`Index`], [`Config`], [`Platform`], [`Reference`]: the values of the OCI image and
//!   distribution specifications.
//! * [`Blobs`]: where contents are read from, whatever that is; [`Verified`]: a reader that notices other bytes.
//! * [`open_source`]: whatever a location names, opened as a [`Source`]; [`Image`]: the image in it for one platform;
//!   [`flatten`](mod@flatten): its layers as one tree. [`Kept`] reads those of registries through the cache.
//! * [`Target`]: where images are written to; [`Layout`] is both.
//! * [`registry`]: repositories of registries, which are both as well; [`copy`](mod@copy): images from one place to another.
//! * [`artifact`]: files that are no image, one for each platform, kept in a registry like images.
//! * [`build`]: trees into layers, layers into images.
//! * [`inventory`]: the packages and files of a tree or an image; [`sbom`], [`inspection`], [`difference`] and [`report`] are
//!   made of it, [`provenance`] and [`attach`] go with them, [`signing`] is left to `cosign`.
//!
//! The crate knows nothing of packages, recipes and sandboxes.

pub mod artifact;
mod blobs;
pub mod build;
mod config;
pub mod copy;
mod descriptor;
pub mod difference;
pub mod digest;
mod error;
pub mod events;
pub mod flatten;
mod image;
pub mod inspection;
pub mod inventory;
mod kept;
mod layout;
mod location;
mod manifest;
pub mod media;
mod platform;
pub mod provenance;
mod reference;
mod referrers;
pub mod registry;
pub mod report;
pub mod sbom;
pub mod signing;
mod source;
mod target;

pub use blobs::{Blobs, Place, Verified, read_small};
pub use config::{Config, Empty, History, Process, RootFs};
pub use descriptor::Descriptor;
pub use error::{Error, LayerProblem, Result};
pub use image::Image;
pub use kept::{Kept, Opener};
pub use layout::{Layout, REF_NAME};
pub use location::Location;
pub use manifest::{Index, Manifest};
pub use platform::Platform;
pub use reference::{Reference, ReferenceSyntax};
pub use referrers::{Referrers, attach};
pub use registry::RegistryError;
pub use source::{Remote, Source, open_source};
pub use target::Target;
