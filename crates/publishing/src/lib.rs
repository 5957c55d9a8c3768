//! Package layers on their way out: exported zips into a package registry, or as an artifact into an OCI registry.
//!
//! What enters: one zip for each architecture, as a package's layers are exported. What leaves: a package version whose layers
//! can be fetched, for all architectures or for none.
//!
//! * [`Exported`]: one zip, read through and understood before anything is sent.
//! * [`PackageId`]: the name and version that it is published under.
//! * [`Tokens`]: who we are for a package registry: a token of the environment, or one of GitHub's for this job.
//! * [`PackageRegistry`]: the registry's three requests; [`publish`]: all of them in order, going on where an earlier run ended.
//! * [`store`]: the same zips as an OCI artifact.
//!
//! The crate does not make layers, and does not look into their archive.

mod error;
mod exported;
mod oci;
mod package;
mod publish;
mod registry;
mod token;

pub use error::{Error, Result};
pub use exported::{Exported, zip_name};
pub use oci::{ARTIFACT_TYPE, store};
pub use package::{PackageId, PackageSyntax};
pub use publish::{Event, Part, publish};
pub use registry::PackageRegistry;
pub use token::Tokens;

/// The architectures that a package has layers for, all of them.
pub const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
