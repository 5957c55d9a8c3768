//! What can go wrong with layers.

use std::io;
use std::path::{Path, PathBuf};

use crate::{LayerName, PointName};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine; the message says what was being done, to what, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that cannot be given to a layer or a merge point.
    #[error("`{name}` cannot be the name of a {what}: {why}")]
    Name {
        /// `layer` or `merge point`.
        what: &'static str,
        /// The name, cut and escaped for printing.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// There is no configuration, and no store in the default place.
    #[error("not set up: there is neither a configuration `{}` nor a store `{}`; run `ovmlayer setup`", config.display(), store.display())]
    NotSetUp {
        /// Where the configuration was looked for.
        config: PathBuf,
        /// The store that is used without one.
        store: PathBuf,
    },
    /// The configuration cannot be understood.
    #[error("the configuration `{}` is not usable: {why}; run `ovmlayer setup` again", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The arguments of `setup` contradict each other or lack something.
    #[error("cannot set up: {why}")]
    Setup {
        /// What is wrong.
        why: String,
    },
    /// A store or a record in it was made by a newer version.
    #[error("`{}` has format {found}, this program knows format {known}: use a newer version", path.display())]
    Format {
        /// The file with the number.
        path: PathBuf,
        /// The number in it.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// A record in a store is damaged.
    #[error("`{}` is damaged: {why}; run `ovmlayer fsck --repair`", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The root filesystem is gone or was never there.
    #[error("there is no root filesystem in `{}`: extract one there, or run `ovmlayer setup` with its tar", path.display())]
    NoRootfs {
        /// Where it should be.
        path: PathBuf,
    },
    /// No store has a layer of that name.
    #[error("there is no layer `{name}`; see `ovmlayer list layers`")]
    UnknownLayer {
        /// The name.
        name: LayerName,
    },
    /// The name is taken.
    #[error("there is a layer `{name}` already; delete it first, or choose another name")]
    Exists {
        /// The name.
        name: LayerName,
    },
    /// A live merge point has the layer.
    #[error(
        "cannot {doing} layer `{name}`: merge point `{point}` uses it; run `ovmlayer unmerge {point}` first"
    )]
    Used {
        /// What was to be done to it, a verb.
        doing: &'static str,
        /// The layer.
        name: LayerName,
        /// The merge point.
        point: String,
    },
    /// The kernel has the layer mounted as the writable one somewhere.
    #[error(
        "layer `{name}` is still mounted as a writable layer by a process that runs in it; end that process first"
    )]
    UpperInUse {
        /// The layer.
        name: LayerName,
    },
    /// A merge point of that name is live.
    #[error(
        "merge point `{point}` exists already; run `ovmlayer unmerge {point}` first, or choose another name"
    )]
    PointExists {
        /// The merge point.
        point: PointName,
    },
    /// No merge point of that name is live.
    #[error("there is no merge point `{point}`; see `ovmlayer list merged-points`")]
    UnknownPoint {
        /// The merge point.
        point: PointName,
    },
    /// A merge point is mounted where this process cannot reach it.
    #[error("merge point `{point}` is mounted in another container or mount namespace; unmerge it there")]
    Elsewhere {
        /// The merge point.
        point: PointName,
    },
    /// A layer is named twice in one stack.
    #[error("layer `{name}` is named twice; a stack has each layer once")]
    Twice {
        /// The layer.
        name: LayerName,
    },
    /// A stack without layers.
    #[error("no layer is named; at least one is needed")]
    NoLayers,
    /// More layers than overlayfs takes.
    #[error(
        "{count} layers are more than the {limit} that the kernel can stack; make one of several with `ovmlayer flatten`"
    )]
    TooDeep {
        /// How many were named.
        count: usize,
        /// How many are possible.
        limit: usize,
    },
    /// The last layer, which is written to, lies in a store for reading.
    #[error("layer `{name}` cannot be the last one, which is written to: it lies in `{}`; put a new layer on top of it", store.display())]
    TopNotWritable {
        /// The layer.
        name: LayerName,
        /// Its store.
        store: PathBuf,
    },
    /// Layers whose whiteouts and opaque directories are marked in different ways cannot be mounted together.
    #[error(
        "layers `{first}` and `{second}` keep overlay marks in different attributes (`user.` and `trusted.`); \
         export one of them and import it again"
    )]
    MixedForms {
        /// A layer of the first form.
        first: LayerName,
        /// A layer of the second form.
        second: LayerName,
    },
    /// Nothing can be written to the store.
    #[error("cannot {doing} in `{}`: it is read-only", store.display())]
    ReadOnly {
        /// What was to be done.
        doing: &'static str,
        /// The store.
        store: PathBuf,
    },
    /// There is no external store.
    #[error("there is no external store; run `ovmlayer setup` with `--external`")]
    NoExternal,
    /// A file system cannot keep what a layer consists of.
    #[error("`{}` cannot keep {what} of layer `{name}`; choose another file system for the store", store.display())]
    NotKept {
        /// The layer.
        name: LayerName,
        /// What is lost there.
        what: &'static str,
        /// The store.
        store: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder cannot be the writable part of an overlay, and nothing else is possible here.
    #[error("layers cannot be mounted in `{}`: {why}; choose a folder on ext4, xfs or btrfs (in a container: a volume)", path.display())]
    Unsuitable {
        /// The folder.
        path: PathBuf,
        /// Why not, and what else was tried.
        why: String,
    },
    /// The file system is full, or a quota is used up.
    #[error("no space left on the file system of `{}`: free some and try again", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// Any other failure of the operating system.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done, a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A tree cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Tree {
        /// What was being done, a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: tree::Error,
    },
    /// An archive cannot be written or read.
    #[error("cannot {action} `{}`", path.display())]
    Archive {
        /// What was being done, a verb.
        action: &'static str,
        /// The archive.
        path: PathBuf,
        /// Why it failed.
        source: crate::archive::Problem,
    },
    /// The kernel, or what keeps an ordinary user's mounts, refuses.
    #[error("cannot {action}")]
    Sandbox {
        /// What was being done, a verb and its object.
        action: String,
        /// Why it failed.
        source: sandbox::Error,
    },
    /// Something cannot be copied.
    #[error(transparent)]
    Copy(crate::CopyError),
    /// The layer lies in its store as an archive, which has no folder to look into.
    #[error(
        "layer `{name}` is kept as an archive; export it, or import it into the runtime store, to look into it"
    )]
    Archived {
        /// The layer.
        name: LayerName,
    },
    /// The process that keeps the mount of an ordinary user reports this.
    #[error("{message}")]
    Holder {
        /// Its message.
        message: String,
    },
}

impl Error {
    /// For `map_err`: a failed system call. A full disk becomes [`Error::NoSpace`], a read-only one [`Error::ReadOnly`].
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_owned();
        move |source| {
            let source = source.into();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
                io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { doing: action, store: path },
                _ => Self::Io { action, path, source },
            }
        }
    }

    /// For `map_err`: a failed operation on a tree, told apart as by [`Error::io`].
    pub(crate) fn tree(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(tree::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| match source.io_kind() {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Self::NoSpace { path },
            Some(io::ErrorKind::ReadOnlyFilesystem) => Self::ReadOnly { doing: action, store: path },
            _ => Self::Tree { action, path, source },
        }
    }

    /// For `map_err`: a failed operation on an archive, told apart as by [`Error::io`].
    pub(crate) fn archive(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(crate::archive::Problem) -> Self {
        let path = path.as_ref().to_owned();
        move |source| match source.io_kind() {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Self::NoSpace { path },
            _ => Self::Archive { action, path, source },
        }
    }

    /// For `map_err`: a failed mount or the like.
    pub(crate) fn sandbox(action: impl Into<String>) -> impl FnOnce(sandbox::Error) -> Self {
        let action = action.into();
        move |source| Self::Sandbox { action, source }
    }
}
