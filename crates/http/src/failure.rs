//! Why a transfer failed.

use std::sync::Arc;
use std::time::Duration;

use cache::Digest;

/// Why a transfer failed. Messages go on from "cannot fetch FILE from ADDRESS:".
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The server said no.
    #[error("the server answered {0}")]
    Status(Status),
    /// The server is busy, and asks for more patience than there is.
    #[error("the server answered {status} and asks to come back in {} s", wait.as_secs())]
    Busy {
        /// What it answered.
        status: Status,
        /// How long it wants to be left alone.
        wait: Duration,
    },
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No connection, in this time.
    #[error("no connection within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The server's certificate is not good, or this machine has none to compare with.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// No byte for this time.
    #[error("the server sent nothing for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// Hardly any bytes for this time.
    #[error("the server sent fewer than {minimum_rate} bytes per second for {} s", window.as_secs_f32())]
    TooSlow {
        /// The least that is borne, in bytes per second.
        minimum_rate: u64,
        /// For how long.
        window: Duration,
    },
    /// The connection ended before the file did.
    #[error("the transfer ended after {held} of {promised} bytes")]
    Truncated {
        /// How many bytes came.
        held: u64,
        /// How many there are.
        promised: u64,
    },
    /// The server has a file of another length.
    #[error("the server offers {offered} bytes, but {promised} are promised")]
    WrongSize {
        /// What the server says.
        offered: u64,
        /// What the index says.
        promised: u64,
    },
    /// More bytes came than there may be.
    #[error("the server sends more than the {limit} bytes that are promised")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// The bytes are others.
    #[error(
        "the file has SHA-256 {found}, but {expected} is promised: it was altered, or the mirror is being updated"
    )]
    WrongDigest {
        /// What the index says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// One redirect after another.
    #[error("more than {limit} redirects, the last one to {last}: the server sends us in a circle")]
    Redirects {
        /// How many are followed.
        limit: usize,
        /// Where the last one leads.
        last: String,
    },
    /// A redirect that must not be followed.
    #[error("the server redirects to `{0}`, which is not followed")]
    BadRedirect(String),
    /// The server's answer makes no sense.
    #[error("the server's answer makes no sense: {0}")]
    Protocol(String),
    /// Not an address.
    #[error("the address cannot be used: {0}")]
    Address(String),
    /// A local file cannot be read.
    #[error("cannot read it: {0}")]
    Read(String),
    /// The client cannot be made.
    #[error("cannot prepare for the network: {0}")]
    Setup(String),
    /// The cache cannot take the bytes.
    #[error("{0}")]
    Cache(Arc<cache::Error>),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// The status codes of HTTP that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 407.
    ProxyAuthentication,
    /// 410.
    Gone,
    /// 408, 429, 500, 502, 503 or 504: it may pass.
    Passing(u16),
    /// Any other.
    Other(u16),
}

impl From<u16> for Status {
    fn from(code: u16) -> Self {
        match code {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            407 => Self::ProxyAuthentication,
            410 => Self::Gone,
            408 | 429 | 500 | 502..=504 => Self::Passing(code),
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unauthorized => f.write_str("401 (unauthorized)"),
            Self::Forbidden => f.write_str("403 (forbidden)"),
            Self::NotFound => f.write_str("404 (not found)"),
            Self::ProxyAuthentication => f.write_str("407 (the proxy wants a user name)"),
            Self::Gone => f.write_str("410 (gone)"),
            Self::Passing(code) | Self::Other(code) => write!(f, "{code}"),
        }
    }
}

impl Failure {
    /// Whether another attempt may go well.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Status(Status::Passing(_))
                | Self::Connect(_)
                | Self::ConnectTimeout(_)
                | Self::Broken(_)
                | Self::Stalled(_)
                | Self::TooSlow { .. }
                | Self::Truncated { .. }
        )
    }

    /// Whether the server says that there is no such file.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Status(Status::NotFound | Status::Gone))
    }
}

impl From<cache::Error> for Failure {
    fn from(error: cache::Error) -> Self {
        Self::Cache(Arc::new(error))
    }
}
