//! What can go wrong when a package is published.

use std::io;
use std::path::PathBuf;

use http::Failure;

use crate::PackageId;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a package cannot be published. No message holds a token or an address that is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no export of a package's layers.
    #[error("{} is no export of a package's layers: {why}; make it again with `package export`", path.display())]
    NotAnExport {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An export is of another package, or of another version.
    #[error("{} holds {found}, and {asked} is to be published: export that one", path.display())]
    OtherPackage {
        /// Which file.
        path: PathBuf,
        /// Whose layers are in it.
        found: PackageId,
        /// What was asked for.
        asked: PackageId,
    },
    /// Nothing says what is to be published.
    #[error("{} does not say which package it holds: name it, NAME@VERSION", path.display())]
    Unnamed {
        /// Which file.
        path: PathBuf,
    },
    /// An export was changed after it was looked at.
    #[error("{} was changed while it was sent: nothing is published; run this again", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// Nobody vouches for us.
    #[error(
        "the registry wants to know who we are: set OVMLAYER_PACKAGE_TOKEN, or in a job of GitHub give it the permission \
         `id-token: write`"
    )]
    NoToken,
    /// GitHub gives no token.
    #[error("cannot get a token for this job from GitHub: {why}")]
    Token {
        /// What it answered.
        why: String,
    },
    /// Others could read what is sent.
    #[error("{what} is not sent to {address}: the way there is not encrypted; use https")]
    NotConfidential {
        /// What must not be read.
        what: &'static str,
        /// Where it would go.
        address: String,
    },
    /// A server cannot be asked.
    #[error("cannot {action}")]
    Transfer {
        /// What was being done.
        action: String,
        /// Why it failed.
        source: Failure,
    },
    /// A server says no.
    #[error("cannot {action}: the server answered {status}{detail}; {advice}")]
    Refused {
        /// What was being done.
        action: String,
        /// The status code.
        status: u16,
        /// What it said beside that; begins with a colon when there is anything.
        detail: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// A server's answer is of no use.
    #[error("cannot {action}: the server's answer makes no sense: {why}")]
    Nonsense {
        /// What was being done.
        action: String,
        /// What is wrong with it.
        why: String,
    },
    /// What was sent already cannot be remembered.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// An OCI registry does not take it.
    #[error(transparent)]
    Image(#[from] image::Error),
}
