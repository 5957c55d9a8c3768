//! Layers over a root filesystem: where they are kept, how they are mounted, who uses them.
//!
//! What enters: names of layers and of merge points, a root filesystem, a configuration. What leaves: folders with the
//! content of layers, and live mounts in which programs can be run. There is no daemon; each command is one process,
//! and any number of them may run at the same time.
//!
//! * [`Engine`] is what most callers want: it opens the configured stores and has a method per verb.
//! * [`Engine::locate`], [`Engine::lock`] and [`Engine::stage`] are for code that reads or makes the content of layers.
//! * [`Engine::export`] and [`Engine::import`] turn layers into an [`archive`] and back.
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
//! unpacked/NAME.STAMP/  an archived layer, to be mounted │
//! moving/NAME           a move that has begun            ┘
//! ```
//!
//! # What holds at every moment
//!
//! A layer, a configuration and a lease each come and go by one rename, so a killed process leaves either the old or the
//! new one, and besides only things in `tmp`, `trash` and `work` that nobody has locked; those are removed by whoever
//! comes next. Which layers are in use is asked of the kernel (its mount table, its lock of the process that keeps
//! a user's mount, its own mark on a writable layer); a lease only says what to ask for.

pub mod archive;
mod config;
mod container;
mod copy;
mod cp;
mod delete;
mod diff;
mod du;
mod engine;
mod environment;
mod error;
mod external;
mod fit;
mod flatten;
mod fsck;
mod gc;
mod inspect;
mod layer;
mod lease;
mod list;
mod lock;
mod merge;
mod name;
mod overlay_form;
mod record;
mod run;
mod setup;
mod staging;
mod store;
mod system;
mod unmerge;
mod unpacked;
mod usage;

pub use config::{Config, Volume};
pub use cp::{Copied, CopyError, Transfer};
pub use delete::Deleted;
pub use diff::{Change, Effect};
pub use du::DiskUse;
pub use engine::Engine;
pub use environment::Environment;
pub use error::{Error, Result};
pub use external::Moved;
pub use fit::{Interpreters, installed};
pub use fsck::{Finding, Problem};
pub use gc::Garbage;
pub use inspect::{Inspection, Use};
pub use layer::{Layer, Locked};
pub use list::Filter;
pub use lock::{Access, LayerLock, StoreLock};
pub use merge::Merged;
pub use name::{LayerName, PointName};
pub use run::{Bind, BindError, Request, exit_code};
pub use sandbox::Limits;
pub use setup::{SetUp, Setup};
pub use staging::Staging;

pub use store::{Form, Ids, Role, Store};
pub use unmerge::Unmerged;
pub use unpacked::Archiver;
pub use usage::{MergePoint, Place};
