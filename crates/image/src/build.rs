//! Builds images from trees: layers, configurations, manifests, indices.
//!
//! What enters: a tree beneath a [`tree::Root`], who each of its entries belongs to, and what the image says about itself.
//! What leaves: an image in a [`Layout`](crate::Layout), whose bytes depend on what entered and on nothing else.
//!
//! * [`split()`] deals the entries of a tree out to layers; [`Packages`] knows to which dpkg package each belongs, and puts
//!   packages together so that images with common packages have common layers; [`changes_between`] says what a tree changes
//!   in another one below it.
//! * [`LayerBuilder`] packs changes into one layer, in one pass: tar, compression, both digests and the disk.
//! * [`ImageBuilder`] joins layers and settings to an image for one platform, [`put_index`] images to one for several.
//! * [`OciTar`] and [`DockerTar`] are the same as one file, for tools that want one.
//!
//! Most callers want them in this order.

mod blob;
mod changes;
mod docker_tar;
mod hashing;
mod image;
mod layer;
mod oci_tar;
mod packages;
mod split;
mod staging;

pub use changes::changes_between;
pub use docker_tar::{DockerTar, write_docker_tar};
pub use image::{ImageBuilder, put_index, timestamp};
pub use layer::{Layer, LayerBuilder};
pub use oci_tar::{OciTar, write_oci_tar};
pub use packages::{Packages, Share, group};
pub use split::split;
