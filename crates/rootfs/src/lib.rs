//! Builds a root filesystem from Debian packages: unpack, configure, normalise.
//!
//! In go the packages of a solved set, in dpkg's order, as contents of the [`cache`]; out comes a tree in a folder that
//! looks as if `dpkg` had installed them, with nothing in it that differs from run to run. Where packages come from, and
//! where the tree goes to, is the business of others.
//!
//! [`Build`] walks through the phases; each phase is a module:
//! [`unpack`] puts all packages side by side into the tree and [`database`] writes what `dpkg --unpack` would have recorded;
//! [`configure`] runs maintainer scripts through the root's own `dpkg` in a sandbox; [`normalise`] removes what differs
//! from run to run.

mod add;
mod build;
mod configure;
mod conflict;
mod database;
mod diversion;
mod error;
mod folder;
mod interrupt;
mod ledger;
mod normalise;
mod order;
mod package;
mod preinst;
mod script;
mod staging;
mod triggers;
mod unpack;

pub use add::add;
pub use build::{Build, Options};
pub use error::Error;
pub use interrupt::Interrupt;
pub use normalise::{Normalise, RULES, Rule};
pub use package::Package;
pub use script::{Progress, Scripts};
