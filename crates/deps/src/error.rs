//! What can go wrong with dependencies.

use std::io;

use tree::PathError;

/// Why dependencies cannot be read or installed. Each names the package or file that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A lock of Python packages is not one.
    #[error("{name}: {message}")]
    PythonLock {
        /// What the file is called.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A package is in a lock in a form that has no file with a digest.
    #[error("Python package `{package}` comes from {what}, which has no digest: name a release of it")]
    PythonSource {
        /// The package.
        package: String,
        /// What it comes from.
        what: &'static str,
    },
    /// A package is to be built, and has nothing to be built of.
    #[error("Python package `{package}` has no source to be built from: leave it out of `from-source`")]
    PythonNoSource {
        /// The package.
        package: String,
    },
    /// No wheel of a package fits.
    #[error(
        "Python package `{package}` {version} has no wheel for {target} ({found}): choose a version that has one, leave it out \
         for this architecture by a marker, or name it in `from-source` to have it built"
    )]
    NoWheel {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What it should run on.
        target: String,
        /// What there is instead.
        found: String,
    },
    /// A file is no wheel, or one of another kind than is known.
    #[error("cannot install {file}: {message}")]
    Wheel {
        /// The wheel's file name.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A file in a wheel is not what the wheel's own list says.
    #[error("cannot install {file}: {path} in it is not what its RECORD says")]
    WheelRecord {
        /// The wheel's file name.
        file: String,
        /// The file in it.
        path: String,
    },
    /// A lock of npm packages is not one.
    #[error("{name}: {message}")]
    NpmLock {
        /// What the file is called.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A lock of npm packages was not made for its package.json.
    #[error("{name} was not made for its package.json ({what}): run `{tool}`")]
    NpmStale {
        /// What the file is called.
        name: String,
        /// What differs.
        what: String,
        /// The command that makes a new one.
        tool: &'static str,
    },
    /// A package cannot run on a target that needs it.
    #[error("npm package `{package}` {version} is not for {target}: its package.json allows {allowed}")]
    NpmPlatform {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What it should run on.
        target: String,
        /// What it runs on.
        allowed: String,
    },
    /// A package wants to run programs when it is installed.
    #[error(
        "npm package `{package}` {version} runs a script when it is installed, which nothing here does unasked: name it in \
         `without-scripts` if it works without, in `scripts` if it may run, or leave it out"
    )]
    NpmScript {
        /// The package.
        package: String,
        /// Its version.
        version: String,
    },
    /// A package is in a lock in a form that has no archive with a digest.
    #[error(
        "npm package `{package}` comes from {what}, not from a registry with a digest: name a release of it"
    )]
    NpmSource {
        /// The package.
        package: String,
        /// What it comes from.
        what: String,
    },
    /// An archive of a package is none, or holds what it must not.
    #[error("cannot install the npm package `{package}`: {message}")]
    NpmArchive {
        /// The package.
        package: String,
        /// What is wrong.
        message: String,
    },
    /// Contents are not what a lock says.
    #[error("`{package}` is not what the lock says: {expected} was expected")]
    Integrity {
        /// The package.
        package: String,
        /// What was expected.
        expected: String,
    },
    /// A name in an archive leads outside, or is none.
    #[error("cannot install {package}: {name} is no path for a file")]
    Path {
        /// The package or its file.
        package: String,
        /// The name.
        name: String,
        /// Why.
        source: PathError,
    },
    /// Writing failed.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// Reading an archive failed.
    #[error("cannot read {what}")]
    Io {
        /// What was read.
        what: String,
        /// Why.
        source: io::Error,
    },
}
