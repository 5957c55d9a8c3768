//! Layers: directories that say what changes in those beneath them.
//!
//! A layer has three forms, which this module translates into one another:
//! * on disk as overlayfs wants it ([`Marks`]): a whiteout is a character device 0:0, an opaque directory has an attribute;
//! * in an OCI layer tar ([`Spelling::Oci`]): files called `.wh.NAME` and `.wh..wh..opq`;
//! * in our archive ([`Spelling::Archive`]): the same, and real names of that look are escaped.
//!
//! [`LayerScan`] reads a directory as [`Change`]s; [`pack_layer`] writes one into a tar and [`unpack_layer`] creates one, both
//! with several threads and bounded memory. [`pack_changes`] makes an OCI layer of any entries of a tree.

mod create;
mod feed;
mod holes;
mod marks;
mod pack;
mod scan;
mod spelling;
mod unpack;

pub use marks::Marks;
pub(crate) use marks::Noted;
pub use pack::{Packing, pack_changes, pack_layer};
pub use scan::{Change, LayerScan};
pub use spelling::{Mark, Spelling};
pub use unpack::{Unpacker, unpack_layer};
