//! The whole crate through its example program, as root and as an ordinary user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod command;
mod disk;
mod file_systems;
mod foreign;
mod holder;
mod in_use;
mod isolation;
mod limits;
mod machine;
mod mounts;
mod overlays;
mod place;
mod sharing;
mod signals;
mod support;
mod terminal;
