//! Package layers: what a package of blocks needs, as layers of its own.
//!
//! A **package layer** is a **source layer**, which has the folder of the package, and a **bootstrap layer**, which has what
//! `scripts.bootstrap` of its `package.oo.yaml` changed when it was run in the merged root. What enters: folders of packages, and
//! the program `ovmlayer`, which does all that is done to layers. What leaves: layers by name, noted in the stores that programs of
//! oocana share ([`Places`]), folders and archives for a registry, and stacks to run an executor in.
//!
//! * [`Layers`] is what most callers want: it makes, finds, exports, imports, moves and deletes package layers.
//! * [`Claim`] keeps names that go when their owner goes, however it ends; [`Layers::sweep`] removes what a dead one left.
//! * [`Runtime`] is the stack that one executor runs in.
//! * [`Ovmlayer`] is the program; nothing else here touches a layer.

mod bind;
mod claim;
mod create;
mod delete;
mod error;
mod export;
mod files;
mod find;
mod import;
mod inject;
mod interrupt;
mod migrate;
mod names;
mod ovmlayer;
mod package;
mod places;
mod record;
mod runtime;
mod script;
mod zip_file;

pub use bind::Bind;
pub use claim::Claim;
pub use create::Made;
pub use error::{Error, Result};
pub use find::{Layers, Status};
pub use import::Imported;
pub use interrupt::Interrupt;
pub use ovmlayer::{Ovmlayer, Stdout};
pub use package::{Package, folders};
pub use places::Places;
pub use record::{External, PackageLayer, Stored};
pub use runtime::{Inside, Runtime};
pub use script::Surroundings;
pub use zip_file::zip_folder;
