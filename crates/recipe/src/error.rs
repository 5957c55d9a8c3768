//! What can go wrong between a recipe and its artifacts.

use std::io;
use std::path::{Path, PathBuf};

/// Why a recipe could not be read, resolved or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Recipes are made of each other.
    #[error(
        "recipe `{name}` is made of so many others that it must be made of itself: look at their `rootfs`"
    )]
    RecipeDepth {
        /// The last one that was looked at.
        name: String,
    },
    /// What is built is nothing that documents are put beside.
    #[error(
        "recipe `{recipe}` becomes neither an image layout nor an OCI tar, which documents could be put into: leave them \
         out, and have `ovmlayer-rootfs sbom` write them into files; a layer becomes a layout with `--oci`"
    )]
    NoPlaceForDocuments {
        /// The recipe.
        recipe: String,
    },
    /// A recipe is put on one that is made from an image.
    #[error("recipe `{recipe}` is made from an image: say `from = \"{from}\"` in place of `rootfs`")]
    RootfsFromImage {
        /// The recipe below.
        recipe: String,
        /// Its image.
        from: String,
    },
    /// There is no recipe of that name.
    #[error("there is no recipe `{name}`: the known ones are {known}; or give the path of a TOML file")]
    NoRecipe {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A recipe does not follow the format.
    #[error("{}:{line}: {message}", path.display())]
    RecipeSyntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A lock does not follow the format.
    #[error("{}:{line}: {message}", path.display())]
    LockSyntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A lock could not be put into TOML.
    #[error("cannot write the lock: {message}")]
    LockWrite {
        /// Why not.
        message: String,
    },
    /// `--locked` without a lock.
    #[error("there is no lock at {}: make one with `ovmlayer-rootfs lock {recipe}`", path.display())]
    NoLock {
        /// Where it should be.
        path: PathBuf,
        /// The recipe.
        recipe: String,
    },
    /// The lock was made from something else than what is asked for.
    #[error(
        "the lock {} was made for something else ({what}): refresh it with `ovmlayer-rootfs lock {recipe} --update` and \
         the same options", path.display()
    )]
    StaleLock {
        /// The lock.
        path: PathBuf,
        /// The recipe.
        recipe: String,
        /// What differs.
        what: String,
    },
    /// An architecture was asked for that is not known.
    #[error("architecture `{name}` is not known: use one of {known}")]
    UnknownArchitecture {
        /// What was asked for.
        name: String,
        /// The known ones.
        known: String,
    },
    /// Programs of an architecture cannot run here.
    #[error("cannot run programs of {architecture} on this machine: {reason}")]
    CannotRun {
        /// The root's architecture.
        architecture: String,
        /// Why, and what to do.
        reason: String,
    },
    /// `SOURCE_DATE_EPOCH` is not a number.
    #[error("SOURCE_DATE_EPOCH is `{value}`, not a number of seconds since 1970")]
    Epoch {
        /// Its value.
        value: String,
    },
    /// The root brings no usable apt sources, and the recipe names none.
    #[error("cannot write the root's apt sources: {message}")]
    AptSources {
        /// Why not.
        message: String,
    },
    /// The proxy settings of this machine cannot be used.
    #[error("cannot use the proxy settings: {message}")]
    Proxy {
        /// What is wrong.
        message: String,
    },
    /// An index is not what an index of packages is.
    #[error("cannot use the archive's index: {message}")]
    Index {
        /// What is wrong.
        message: String,
    },
    /// A recipe names a package in a way that means none.
    #[error("{message}")]
    PackageName {
        /// What is wrong.
        message: String,
    },
    /// A lock names an archive that the recipe does not have.
    #[error("the lock names an archive `{name}` that the recipe does not have: refresh it with `--update`")]
    UnknownArchive {
        /// Its name.
        name: String,
    },
    /// A step of the recipe failed.
    #[error("step {number} of recipe `{recipe}` ({kind}): {message}")]
    Step {
        /// The recipe.
        recipe: String,
        /// Its place, from 1.
        number: usize,
        /// The step's word.
        kind: &'static str,
        /// What went wrong.
        message: String,
    },
    /// The build was interrupted.
    #[error("interrupted; nothing was written")]
    Interrupted,
    /// `--from` for a recipe that is not made from an image.
    #[error(
        "recipe `{recipe}` is not made from an image, so `--from` means nothing to it: its `from` key would say so"
    )]
    NotFromImage {
        /// The recipe.
        recipe: String,
    },
    /// What `--from` says is no location of an image.
    #[error(transparent)]
    From(#[from] image::ReferenceSyntax),
    /// The image is another one than the lock says.
    #[error(
        "{from} is another image than the one in the lock {}: the lock has sha256:{locked}, and it is sha256:{found}; \
         `--update` takes the new one and refreshes the lock", path.display()
    )]
    OtherImage {
        /// What was read.
        from: String,
        /// The lock.
        path: PathBuf,
        /// Its digest.
        locked: cache::Digest,
        /// The other one.
        found: cache::Digest,
    },
    /// An image could not be read or written.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The packages could not be had.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// There is no set of packages that fits.
    #[error(transparent)]
    Unsatisfiable(#[from] archive::solver::Unsatisfiable),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// Python or Node.js packages could not be installed.
    #[error(transparent)]
    Deps(#[from] deps::Error),
    /// A requirement cannot be used.
    #[error("{}:{line}: {message}", path.display())]
    Requirement {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Two files say which packages of Node.js there are.
    #[error("`{}` and `{}` both say which packages there are: keep one of them", first.display(), second.display())]
    TwoLocks {
        /// One of them.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// None of the hashes that requirements give is that of the file that would be installed.
    #[error(
        "`{file}` is not what the requirements say: it is sha256:{found}, which is none of the hashes given for `{package}`"
    )]
    OtherHash {
        /// The Python package.
        package: String,
        /// The wheel.
        file: String,
        /// Its digest.
        found: cache::Digest,
    },
    /// A tool for resolving or fetching failed.
    #[error("cannot {what}: it ended with {status}\n{output}")]
    Tool {
        /// What it was for.
        what: &'static str,
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// A tool said that it fetched something, and did not.
    #[error("{what} was not fetched: build once more without `--offline`")]
    NotFetched {
        /// The file or package.
        what: String,
    },
    /// What a layer is put on lacks what it is for.
    #[error(
        "`{parent}` has no {what} from Debian packages, which this layer has packages for: put it on another parent"
    )]
    NoInterpreter {
        /// The parent.
        parent: String,
        /// What is missing.
        what: &'static str,
    },
    /// Packages cannot be added to an image whose archives are not known.
    #[error(
        "`{parent}` is an image, to which a step `packages` cannot add any: install them by `run` with `network = true`, or \
         put the layer on a parent that is made of packages"
    )]
    PackagesOnImage {
        /// The image.
        parent: String,
    },
    /// Packages of a layer do not fit those of its parent.
    #[error(
        "the packages of the layer need another version of `{package}` than `{parent}` has ({version}), or none of it: leave \
         them out, or put them into the parent"
    )]
    ParentPackage {
        /// The parent's package.
        package: String,
        /// Its version there.
        version: String,
        /// The parent.
        parent: String,
    },
    /// A package could not be built, or its script failed.
    #[error("cannot build `{package}`: {message}")]
    Building {
        /// The package.
        package: String,
        /// Why not.
        message: String,
    },
    /// A program for the wrong machine.
    #[error("{from} brings {path} for {machine}, though it is for another architecture only")]
    OtherMachine {
        /// The file or package.
        from: String,
        /// Where the program is.
        path: String,
        /// What it is for.
        machine: String,
    },
    /// A layer could not be written.
    #[error("cannot write the layer: {message}")]
    Layer {
        /// Why not.
        message: String,
    },
    /// A program that an image carries could not be had.
    #[error("cannot provide the program `{name}`: {message}")]
    Component {
        /// Its name.
        name: String,
        /// Why not.
        message: String,
    },
    /// A layer could not be put into an image.
    #[error("cannot put the layer `{name}` into the image: {message}")]
    ShippedLayer {
        /// Its recipe.
        name: String,
        /// Why not.
        message: String,
    },
    /// A recipe that the program carries names a file that it does not carry.
    #[error("the recipe names {}, which is not there: give its path on this machine", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// The root could not be built.
    #[error("cannot build the root for {architecture}")]
    Rootfs {
        /// The root's architecture.
        architecture: String,
        /// Why not.
        #[source]
        source: rootfs::Error,
    },
    /// A disk is full.
    #[error("no space left in `{}`: free some, or choose another folder with {choose}", folder.display())]
    NoSpace {
        /// The folder on that disk.
        folder: PathBuf,
        /// The option that chooses another one.
        choose: &'static str,
        /// What failed.
        #[source]
        source: Box<Error>,
    },
    /// A tree could not be read or written.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// A namespace, mount or emulator could not be set up.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// A file could not be used.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the command line asks for something that does not exist, as opposed to work that failed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoRecipe { .. }
                | Self::NotFromImage { .. }
                | Self::From(_)
                | Self::UnknownArchitecture { .. }
                | Self::Archive(archive::Error::Mirror(archive::mirror::MirrorError::Date(_)))
        )
    }

    /// What failed, to what, and why.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The same for writing to `path`, more than once.
    pub(crate) fn writing(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action: "write", path: path.clone(), source }
    }
}
