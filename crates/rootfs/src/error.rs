//! What can go wrong while a root is built.

use std::io;
use std::path::PathBuf;

/// Why a root filesystem could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The build was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A package is no longer in the cache.
    #[error(
        "package `{package}` is not in the cache any more: was the cache pruned during the build? Try again"
    )]
    NotCached {
        /// The package.
        package: String,
    },
    /// Packages are to be added to a root that cannot install any.
    #[error("there is no apt in the root, which installs further packages: choose another parent")]
    NoApt,
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A `.deb` is malformed or not what it should be.
    #[error("cannot read package `{package}`")]
    Deb {
        /// The package.
        package: String,
        /// What is wrong with it.
        #[source]
        source: archive::deb::DebError,
    },
    /// A package holds something that no root may get.
    #[error("package `{package}` holds `{path}`, {what}: refused")]
    Refused {
        /// The package.
        package: String,
        /// The member's path.
        path: String,
        /// What is wrong with it, such as "a device node".
        what: &'static str,
    },
    /// Two packages hold the same file, and neither says that it replaces the other.
    #[error(
        "packages `{first}` and `{second}` both hold `/{path}` and neither replaces the other: leave one of them out, or \
         report it to the archive they come from"
    )]
    FileConflict {
        /// The package that was unpacked first.
        first: String,
        /// The other package.
        second: String,
        /// The path in question.
        path: String,
    },
    /// The control data of a package lacks what dpkg needs.
    #[error("package `{package}`: {message}")]
    Control {
        /// The package.
        package: String,
        /// What is missing or wrong.
        message: String,
    },
    /// The tree could not be written or read.
    #[error("cannot build package `{package}` into the root")]
    Unpack {
        /// The package.
        package: String,
        /// The operation that failed.
        #[source]
        source: tree::Error,
    },
    /// The tree could not be written or read.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// `var/lib/dpkg/diversions` is not what dpkg-divert writes.
    #[error("cannot understand the diversions of the root at `{line}`")]
    Diversions {
        /// The line.
        line: String,
    },
    /// A maintainer script or dpkg failed.
    #[error("{what} failed ({status}){}", printed(tail))]
    Script {
        /// What ran, in a user's words.
        what: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        tail: String,
    },
    /// The sandbox could not run a command.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The build folder could not be used.
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

/// The end of a program's output as the end of a message, set off from our own words.
fn printed(tail: &str) -> String {
    if tail.trim().is_empty() {
        return " and printed nothing".into();
    }
    // What runs in a root must not be able to steer the user's terminal.
    let harmless = |line: &str| line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
    let lines = tail.lines().map(|line| format!("\n    | {}", harmless(line)));
    std::iter::once(" and printed at last:".to_owned()).chain(lines).collect()
}
