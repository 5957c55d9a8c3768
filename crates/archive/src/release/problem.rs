//! Why a release file is of no use.

use jiff::Timestamp;

use crate::keyring::SignatureProblem;

/// What is wrong with a release file. Each message goes on from "the release file … of … cannot be used:".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseProblem {
    /// It cannot be believed.
    #[error("{0}")]
    Signature(#[from] SignatureProblem),
    /// It is signed, but not a release file.
    #[error("it cannot be read: {detail}")]
    Syntax {
        /// What is wrong, with its line.
        detail: String,
    },
    /// It vouches for its files only by hashes that can be forged.
    #[error("it lists no SHA-256 of its files, and nothing weaker is accepted")]
    NoSha256,
    /// It is that of another suite.
    #[error("it is that of suite `{suite}` (codename `{codename}`), but `{asked}` was asked for")]
    OtherSuite {
        /// What was asked for.
        asked: String,
        /// Its `Suite`.
        suite: String,
        /// Its `Codename`.
        codename: String,
    },
    /// It has no such component.
    #[error("it has no component `{asked}`, only: {components}")]
    NoComponent {
        /// What was asked for.
        asked: String,
        /// What it has.
        components: String,
    },
    /// It has no packages for the architecture.
    #[error("it has no architecture `{asked}`, only: {architectures}")]
    NoArchitecture {
        /// What was asked for.
        asked: String,
        /// What it has.
        architectures: String,
    },
    /// It lists no index of a component for an architecture.
    #[error("it lists no `{path}` in a compression that is understood (xz, zst, gz or none)")]
    NoIndex {
        /// The path without its suffix.
        path: String,
    },
    /// Its time is over.
    #[error(
        "it is valid until {valid_until} (made on {date}), and now it is {now}: the mirror is no longer updated, or this \
         machine's clock is wrong; use another mirror or suite, or `--snapshot` with a date in that time"
    )]
    Expired {
        /// Its `Date`.
        date: Timestamp,
        /// Its `Valid-Until`.
        valid_until: Timestamp,
        /// The reader's moment.
        now: Timestamp,
    },
    /// It is dated in the future.
    #[error("it is dated {date}, and now it is {now}: set this machine's clock")]
    FromTheFuture {
        /// Its `Date`.
        date: Timestamp,
        /// The reader's moment.
        now: Timestamp,
    },
    /// The snapshot service gave something newer than the pinned date.
    #[error("it is dated {date}, after the snapshot {snapshot}: the mirror does not serve that snapshot")]
    NewerThanSnapshot {
        /// Its `Date`.
        date: Timestamp,
        /// The pinned moment.
        snapshot: Timestamp,
    },
    /// It is older than one that this machine has seen.
    #[error(
        "it is dated {date}, but one of {seen} was seen here before: the mirror is behind, or somebody replays old files; \
         use another mirror, or `--snapshot` to ask for old packages"
    )]
    Replayed {
        /// Its `Date`.
        date: Timestamp,
        /// The date of the newest one seen.
        seen: Timestamp,
    },
}
