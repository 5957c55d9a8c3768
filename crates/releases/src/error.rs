//! What can go wrong when releases are fetched.

use std::io;
use std::path::PathBuf;

use cache::Digest;
use http::Failure;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a component cannot be fetched. No message holds a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API cannot be asked.
    #[error("cannot {action}")]
    Transfer {
        /// What was being done.
        action: String,
        /// Why it failed.
        source: Failure,
    },
    /// The API has had enough of us.
    #[error("cannot {action}: GitHub answers no more requests {until}; {advice}")]
    RateLimited {
        /// What was being done.
        action: String,
        /// Until when.
        until: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The API does not let us in.
    #[error(
        "cannot {action}: the server answered {status}; the token is not good, or may not read the repository"
    )]
    Denied {
        /// What was being done.
        action: String,
        /// The status code.
        status: u16,
    },
    /// There is no such repository, for us.
    #[error("there is no repository `{repository}`, or it is a private one: {advice}")]
    NoRepository {
        /// Its name.
        repository: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// There is no release of this tag.
    #[error("`{repository}` has no release `{tag}`: the newest are {found}")]
    NoRelease {
        /// The repository.
        repository: String,
        /// The tag that was asked for.
        tag: String,
        /// The tags that there are.
        found: String,
    },
    /// There is no release at all of the component.
    #[error(
        "`{repository}` has no release of {component}: their tags are {form}, drafts and pre-releases do not count; name one with `--{component} TAG`"
    )]
    NothingReleased {
        /// The repository.
        repository: String,
        /// The component.
        component: &'static str,
        /// What its tags look like.
        form: String,
    },
    /// A release lacks the file.
    #[error(
        "the release `{tag}` of `{repository}` has no file of {component} for {architecture}: it has {found}; files may still be on their way, or name another release with `--{component} TAG`"
    )]
    NoAsset {
        /// The component.
        component: &'static str,
        /// The architecture.
        architecture: String,
        /// The repository.
        repository: String,
        /// The release.
        tag: String,
        /// What it has.
        found: String,
    },
    /// A release has several files that could be meant.
    #[error("the release `{tag}` has several files of {component} for {architecture}: {found}")]
    SeveralAssets {
        /// The component.
        component: &'static str,
        /// The architecture.
        architecture: String,
        /// The release.
        tag: String,
        /// Which.
        found: String,
    },
    /// Nobody says what the bytes of a file should be.
    #[error(
        "nothing says what digest `{asset}` of the release `{tag}` has: it cannot be verified; choose a release with digests or with SHA256SUMS"
    )]
    NoDigest {
        /// The file.
        asset: String,
        /// The release.
        tag: String,
    },
    /// Two places say different things about a file.
    #[error(
        "`{asset}` of the release `{tag}` has SHA-256 {one} by GitHub's word and {other} by that of `{list}`: do not use it"
    )]
    TwoDigests {
        /// The file.
        asset: String,
        /// The release.
        tag: String,
        /// What the API says.
        one: Digest,
        /// What the list says.
        other: Digest,
        /// The list.
        list: String,
    },
    /// The bytes are others.
    #[error(
        "`{asset}` has SHA-256 {found}, but {expected} is promised: it was altered on the way, or replaced; nothing is used"
    )]
    WrongDigest {
        /// The file.
        asset: String,
        /// What is promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// An answer is of no use.
    #[error("cannot {action}: the server's answer makes no sense: {why}")]
    Nonsense {
        /// What was being done.
        action: String,
        /// What is wrong with it.
        why: String,
    },
    /// Others could read the token.
    #[error("no token is sent to {address}: the way there is not encrypted; use https")]
    NotConfidential {
        /// Where it would go.
        address: String,
    },
    /// An archive does not hold what it should.
    #[error("`{asset}` cannot be used: {why}")]
    Archive {
        /// The file.
        asset: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The cache does not do what it should.
    #[error(transparent)]
    Cache(#[from] cache::Error),
}

impl Error {
    /// For `map_err`: what the system said no to.
    pub(crate) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
