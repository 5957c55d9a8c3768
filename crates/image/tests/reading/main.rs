//! Images that others make, and images that are out to harm, read and flattened; `umoci` says what is right.
//!
//! Needs the Debian packages buildah, skopeo, umoci, tar and python3, and root.

#![expect(clippy::unwrap_used, reason = "what fails in a helper of a test is to fail the test")]

extern crate ovmlayer_image as image;

mod buildah;
mod description;
mod hostile;
mod inventory;
mod layers;
mod made;
mod random;
mod sources;
