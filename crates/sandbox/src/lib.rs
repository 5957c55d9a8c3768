//! Processes in their own namespaces inside a root filesystem: what maintainer scripts, and users' commands, run in.
//!
//! This room owns every namespace, mount plan, device node, id map and binfmt registration of the project, and all
//! of its `unsafe` code. In go a root directory, a command and what it may see; out come its output and exit
//! status. Nothing is kept: no daemon, no state, no file in the root, and when a command has ended, or the
//! program that ran it has died, there is no process and no mount left. What is mounted for layers is another matter:
//! it stays until it is unmounted.
//!
//! The order of use:
//!
//! 1. [`enter_user_namespace`] first thing in `main`, while there is one thread. From then on this program is root
//!    of a user and a mount namespace of its own, whoever started it.
//! 2. [`Sandbox`] runs commands, from any thread.
//! 3. [`foreign::register`] lets programs of another architecture run.
//! 4. [`sync_tree`] at the end makes good the fsync calls that were answered without being done.
//!
//! For layers there are [`overlay`] mounts, the table of what is mounted ([`mounts`]), what a folder's [`file_system`] can
//! keep, [`disk`] images for where that is too little, and for ordinary users a [`holder`] of each mount.
//!
//! [`probe::checks`] tells what a machine can do, and what to do about the rest.

mod act;
mod architecture;
mod cancel;
mod command;
pub mod disk;
mod enter;
mod error;
mod exit;
pub mod file_system;
mod filter;
pub mod foreign;
mod hierarchy;
pub mod holder;
mod ids;
mod init;
mod limits;
mod lines;
mod loop_device;
mod memory;
pub mod mounts;
mod obstacle;
mod options;
pub mod overlay;
mod plan;
pub mod probe;
mod profile;
mod raw;
mod reaper;
mod run;
mod sandbox;
mod seccomp;
mod signals;
mod stdio;
mod sync;
mod targets;

pub use architecture::Architecture;
pub use cancel::Cancel;
pub use enter::{IdMap, enter_user_namespace};
pub use error::Error;
pub use exit::exit_code;
pub use ids::IdRange;
pub use limits::Limits;
pub use memory::{MemoryFolder, available_memory};
pub use options::{Bind, Capabilities, Devices, Namespaces, Network};
pub use profile::SeccompProfile;
pub use sandbox::Sandbox;
pub use stdio::{Input, Output, Stdio};
pub use sync::sync_tree;
pub use targets::{Placeholder, make_placeholders, remove_placeholders};
