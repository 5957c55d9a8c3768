//! What to build: joins the rooms below, owns recipes, locks and builds.
//!
//! In goes a [`Recipe`] (TOML, the one file most users edit) and [`Options`](build::Options); out come artifacts under
//! their final names and a [`Lock`] that says exactly what is in them. Most callers want [`build::Session`].
//!
//! Everything that a recipe can say is a type in [`format`](mod@format); where packages come from is decided in [`plan`].

pub mod about;
mod apt;
pub mod build;
mod carried;
mod component;
mod concerns;
pub mod distro;
pub mod doctor;
mod emulator;
mod epoch;
mod error;
pub mod events;
mod files;
mod find;
mod foreign;
pub mod format;
mod image;
mod image_base;
pub mod image_lock;
mod kept_root;
pub mod layer;
mod layering;
pub mod lock;
mod on_image;
mod output;
mod place;
pub mod plan;
mod resolve;
mod shipment;
mod space;
mod steps;
mod temporary;

pub use error::Error;
pub use find::{Found, find, list};
pub use format::Recipe;
pub use image_lock::ImageLock;
pub use layer::LayerLock;
pub use lock::Lock;
