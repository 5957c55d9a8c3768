//! Flows: manifests, references between them, and the graph that they make. Nothing is run here.
//!
//! What enters: the text of manifests, read through [`Files`], and where to search for packages. What leaves: a [`Block`]
//! with everything that it refers to, or [`Problem`]s that say file, line, column and what was expected there.
//!
//! * [`Loader`] is what most callers want: it reads a flow, a task or a service with all that they refer to.
//! * [`check`] finds every mistake in what was loaded; [`starved`] tells what can never run, and why.
//! * [`draw`] shows a flow as an SVG picture or as Mermaid text.
//! * [`condition`] decides which way a value goes; [`special`] knows the envelopes of values that are not JSON.
//!
//! The words of the format are those of the contract: a **node** stands in a flow and refers to a **block** (task, subflow,
//! service, slot); values enter a block by **input handles** and leave it by **output handles**.

mod check;
pub mod condition;
pub mod draw;
mod fields;
mod files;
mod handle;
mod load;
mod manifest;
mod metadata;
mod problem;
mod reference;
mod resolve;
mod select;
mod slot;
pub mod special;
mod starved;
pub mod yaml;

pub use check::{check, check_task};
pub use files::{Disk, Files};
pub use handle::{Handle, Handles};
pub use load::{
    Block, Flow, FlowId, FlowKind, Input, InputSource, Loader, Node, NodeBlock, Service, ServiceUse, Target,
    Task, package_root,
};
pub use manifest::{
    Case, Condition, Executor, ExecutorOptions, Expression, Join, PackageManifest, ServiceExecutor,
    manifest_problems,
};
pub use metadata::Metadata;
pub use problem::{Place, Problem, Problems, Severity};
pub use reference::{Reference, clean};
pub use resolve::{Search, SearchPath};
pub use select::{Selection, select};
pub use slot::{ProviderBlock, SlotProvider, runtime_handle};
pub use starved::{Evidence, Starved, starved};
