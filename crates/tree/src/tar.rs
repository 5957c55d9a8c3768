//! Tar archives: a streaming reader for what is found in the wild, a writer for one exact form.
//!
//! [`Reader`] takes POSIX ustar, PAX (`x` and `g` headers with `SCHILY.xattr.*`) and old GNU (base-256 numbers, `L` and
//! `K` long names); names come out as [`crate::EntryPath`], so absolute ones and `..` are errors. Sparse files
//! are read in all of GNU tar's forms when [`Limits::sparse`] allows them; multi-volume archives are refused by name.
//!
//! [`Writer`] writes PAX whose bytes are a function of the entries alone.

mod encode;
mod error;
mod extensions;
mod header;
mod input;
mod limits;
mod member;
mod pax;
mod reader;
mod sparse;
mod writer;

pub(crate) use encode::{Spelled, encode};
pub use error::{Problem, TarError};
pub use limits::Limits;
pub use reader::{Data, Member, Names, Reader, Stored, Tap};
pub use sparse::Segment;
pub use writer::Writer;

/// The unit of a tar in bytes: headers are one block, contents are padded to whole blocks.
pub const BLOCK: usize = 512;

/// The unit of a whole archive in bytes: GNU tar's default of 20 blocks.
pub const RECORD: usize = 20 * BLOCK;
