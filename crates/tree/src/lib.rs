//! File trees: what is read from and written to tars and directories.
//!
//! Enters: tar streams (plain or compressed) and directories, all of them hostile. Leaves: entries in path order,
//! deterministic tars, and files beneath one open directory descriptor, never outside it.
//!
//! * [`EntryPath`], [`Entry`], [`Kind`], [`Metadata`]: the values everything else speaks.
//! * [`tar`]: a bounded streaming reader and a writer whose bytes depend on the entries alone.
//! * [`codec`]: gzip, xz and zstd, with output that does not depend on the number of threads.
//! * [`Root`]: file operations beneath a directory descriptor; [`Scan`]: a directory as entries.
//! * [`pack()`]: a directory into a tar in one pass.
//! * [`layer`]: whiteouts and opaque directories in their three forms; layers into tars and back, with several threads.
//!
//! Most callers want [`Root`] with a [`tar::Reader`], or [`pack()`] with a [`tar::Writer`]. The crate knows nothing of
//! packages, stores or images.

pub mod codec;
mod entry;
mod error;
pub mod layer;
mod pack;
mod path;
mod root;
pub mod tar;

pub use entry::{Entry, Kind, Metadata};
pub use error::{Error, Result};
pub use pack::{Choice, Packed, pack};
pub use path::{EntryPath, PathError};
pub use root::{Links, Root, Scan};
