//! Python and Node.js dependencies: installed into a tree for any architecture, without running anything.
//!
//! In go what the field's tools resolved to (uv's `pylock.toml`, npm's `package-lock.json`, pnpm's `pnpm-lock.yaml`) and the
//! archives that they name; out come files in a tree, as pip and npm would put them there, and the same ones every time.
//! Resolving, fetching and running are the business of others.
//!
//! [`python`] reads locks, chooses the wheel that fits a target and unpacks it; [`npm`] does the same for packages of
//! Node.js. [`Files`] is how both write, and what tells of the programs among the files.

mod bounds;
mod elf;
mod error;
mod files;
pub mod npm;
pub mod python;

pub use elf::{Machine, machine};
pub use error::Error;
pub use files::{Files, Program};
