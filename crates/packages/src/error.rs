//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no usable `ovmlayer`.
    #[error("Layer feature is not enabled: {why}")]
    NotEnabled {
        /// What is missing.
        why: String,
    },
    /// A manifest is not as it must be.
    #[error("{0}")]
    Manifest(#[from] flow::Problems),
    /// A folder is no package.
    #[error("{} is no package: it has no package.oo.yaml", .0.display())]
    NoPackage(PathBuf),
    /// A package that gets no layer.
    #[error("{} gets no layer of its own: {why}", .package.display())]
    Refused {
        /// The package.
        package: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// `ovmlayer` has failed.
    #[error("`{command}` failed ({ending}){said}")]
    Program {
        /// What was run.
        command: String,
        /// How it ended.
        ending: String,
        /// What it wrote, each line on one of its own.
        said: String,
    },
    /// A script of a package has failed.
    #[error("{what} of {} failed ({ending}); what it wrote stands above", .package.display())]
    Script {
        /// Which script.
        what: &'static str,
        /// Whose.
        package: PathBuf,
        /// How it ended.
        ending: String,
    },
    /// Somebody wanted us to stop.
    #[error("interrupted")]
    Interrupted,
    /// A bind that cannot be understood.
    #[error(
        "the bind `{text}` is not usable: {why}; it is `src=PATH,dst=PATH[,ro|rw][,recursive|nonrecursive]`"
    )]
    Bind {
        /// The bind.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A store that cannot be understood.
    #[error("the store {} is not usable: {why}; repair it, or move it away to begin anew", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such package layer.
    #[error("Package layer {0} doesn't exist; `package-layer create` makes it")]
    NotThere(String),
    /// A folder that is no usable export.
    #[error("{} is no export of a package layer: {why}", .path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A layer that somebody else uses.
    #[error("the layer `{layer}` of this export belongs to {owner} already; delete that package layer first")]
    Taken {
        /// The layer.
        layer: String,
        /// Whose it is.
        owner: String,
    },
    /// The system denied something.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is returned here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: `doing` with `path` failed.
    pub(crate) fn io<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source: source.into() }
    }
}
