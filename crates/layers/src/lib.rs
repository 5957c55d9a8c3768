//! Layers over a root filesystem: where they are kept, how they are mounted, who uses them.
//!
//! What enters: names of layers and of merge points, a root filesystem, a configuration. What leaves: folders with the
//! content of layers, and live mounts in which programs can be run. There is no daemon; each command is one process,
//! and any number of them may run at the same time.
//!
//! * [`Engine`] is what most callers want: it opens the configured stores and has a method per verb.
//! * [`Engine::locate`], [`Engine::lock`] and [`Engine::stage`] are for code that reads or makes the content of layers.
//! * [`Setup`] and [`Engine::setup`] make the stores and the configuration.
//!
//! # Layout of a store, format 1
//!
//! ```text
//! store.json            format, form of overlay marks, id map of who made it
//! layer_dir/NAME/       a layer: what it adds, with whiteouts and opaque directories as overlayfs has them
//! layer_archive/NAME.tar  a layer that this file system cannot keep otherwise (external stores only)
//! lock                  held by flock for a moment by who changes names
//! tmp/RANDOM/           what is being made; locked by its maker
//! trash/RANDOM/         what is being removed; locked by its remover
//! work/POINT.RANDOM/    the work folder of one mount     ┐
//! merged/POINT/         the mount point                  │ runtime store only
//! lease/POINT.json      who mounted it and with what     │
//! unpacked/NAME.STAMP/  an archived layer, to be mounted ┘
//! ```
//!
//! # What holds at every moment
//!
//! A layer, a configuration and a lease each come and go by one rename, so a killed process leaves either the old or the
//! new one, and besides only things in `tmp`, `trash` and `work` that nobody has locked; those are removed by whoever
//! comes next. Which layers are in use is asked of the kernel (its mount table, its lock of the process that keeps
//! a user's mount, its own mark on a writable layer); a lease only says what to ask for.

mod config;
mod engine;
mod environment;
mod error;
mod layer;
mod lease;
mod lock;
mod name;
mod record;
mod staging;
mod store;
mod usage;

pub use config::{Config, Volume};
pub use engine::Engine;
pub use environment::Environment;
pub use error::{Error, Result};
pub use layer::{Deleted, Layer, Locked};
pub use lock::{Access, LayerLock, StoreLock};
pub use name::{LayerName, PointName};
pub use staging::Staging;
pub use store::{Form, Ids, Role, Store};
pub use usage::{MergePoint, Place};
