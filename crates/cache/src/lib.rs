//! Contents kept by digest, and working folders, shared by builds that run at the same time.
//!
//! What enters: bytes with (or without) a promised SHA-256, small named facts, requests for a working folder.
//! What leaves: open files whose bytes had that digest when they were stored, never a half-written one.
//!
//! Most callers want [`Cache::file`] and [`Cache::insert`]; a downloader wants [`Cache::try_partial`]; a builder
//! wants [`Scratch`].
//!
//! # Layout, format 1
//!
//! ```text
//! $XDG_CACHE_HOME/ovmlayer-rootfs/
//!   version              "1": the format of everything below; another number is refused, never guessed at
//!   CACHEDIR.TAG         keeps the folder out of backups (bford.info/cachedir)
//!   files/ab/ab12…       one content, named by its SHA-256 in lower hex; complete, synced, never changed
//!   partial/ab12…        a download that is not complete; whoever holds its `flock` owns it
//!   temporary/…          an insertion that is not complete; held by `flock`, reclaimed when its owner died
//!   records/KIND/ab12…   a small fact; the name is the SHA-256 of its key, replaced in one rename
//! ```
//!
//! Nothing here is needed for correctness: the whole folder can be deleted between builds.

mod digest;
mod error;
mod file_lock;
mod partial;
mod remove;
mod scratch;
mod store;
mod writer;

pub use digest::{Digest, DigestSyntax, Hasher};
pub use error::{Error, Result};
pub use partial::{Claim, Partial};
pub use remove::remove_tree;
pub use scratch::Scratch;
pub use store::{Cache, FORMAT_VERSION};
pub use writer::Writer;
