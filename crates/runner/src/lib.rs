//! Running flows: tokens, executor processes, messages.
//!
//! What enters: [`Options`] that name a block, and an [`Observer`] that is told what happens. What leaves: an [`Outcome`]: the
//! values that came out, how often each node ran, which nodes never did and why, and what failed.
//!
//! * [`run`] is what most callers want.
//! * [`supervise`] is the process between the runner and each program that it starts; who links this crate has to offer it as
//!   a command of its own ([`Options::supervisor`]).
//! * [`mqtt`] has the broker of a run, and a client for others.
//!
//! One thread, the engine, owns all state. Everything that happens (messages, ends of processes, answers of servers, signals)
//! reaches it through one queue, so a run is a sequence of small steps. Threads around it only read and write.

mod cache;
mod engine;
mod event;
mod executor;
mod http_jobs;
mod log;
mod message;
pub mod mqtt;
mod observer;
mod options;
mod outcome;
mod payload;
mod process;
mod random;
mod report;
mod schema;
mod scope;
mod session;
mod shell;
mod stack;
mod supervise;
mod tree;
mod value;
mod wire;

pub use cache::Cache;
pub use observer::{Happening, Observer};
pub use options::{LAYER_READY, LayerOptions, Options, WireOptions};
pub use outcome::{Error, NodeCount, Outcome, StarvedNode};
pub use payload::Payload;
pub use random::uuid;
pub use scope::service_hash;
pub use session::run;
pub use supervise::supervise;
pub use value::Value;
