//! Fetching files: `http`, `https`, `file` and `copy` addresses, proxies, retries, resumption, bounds.
//!
//! What enters: an address, a bound, and a [`Sink`] that takes the bytes (and may hold a part of them already). What
//! leaves: whether the sink now holds all of them, or a [`Failure`] that a caller can match. Nothing here judges the
//! bytes: digests are the caller's business.
//!
//! Beside files, which come by [`Http::get`], there is [`Http::call`]: any method, a body, a small answer.

mod apt_conf;
mod authorization;
mod call;
mod cancel;
mod failure;
mod local;
pub mod parallel;
mod payload;
mod proxy;
mod redirect;
mod retry_after;
mod tls;
mod transfer;

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::runtime::Runtime;

pub use authorization::Authorization;
pub use call::{Answer, Call, Method, same_server};
pub use cancel::Cancel;
pub use failure::{Failure, Status};
pub use payload::Payload;
pub use proxy::Proxies;
pub use redirect::is_confidential;
pub use tls::Roots;

/// How patient to be. The defaults suit real networks; tests shorten them.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long no byte may come.
    pub stall_timeout: Duration,
    /// How long a server may think about what was sent to it, once all of it went out: a registry puts large files together.
    pub answer_timeout: Duration,
    /// How long fewer than `minimum_rate` bytes per second may come.
    pub slow_window: Duration,
    /// See `slow_window`, in bytes per second; a server that trickles must not hold a build for ever.
    pub minimum_rate: u64,
    /// How often to try again after a failure that may pass.
    pub retries: u32,
    /// How long to wait before the first retry; each further one waits twice as long, and up to half again by chance.
    pub backoff: Duration,
    /// The longest that a busy server may ask us to wait (`Retry-After`); one that asks for more is given up.
    pub longest_wait: Duration,
    /// How many redirects to follow.
    pub redirects: usize,
    /// Which proxies to use.
    pub proxies: Proxies,
    /// Whose certificates are trusted beside those of this machine.
    pub extra_roots: Roots,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(300),
            slow_window: Duration::from_secs(60),
            minimum_rate: 1024,
            retries: 3,
            backoff: Duration::from_millis(500),
            longest_wait: Duration::from_secs(120),
            redirects: 5,
            proxies: Proxies::default(),
            extra_roots: Roots::default(),
        }
    }
}

/// Takes the bytes of a file.
pub trait Sink: Send {
    /// How many bytes it holds already; a transfer goes on from there if the server can.
    fn held(&self) -> u64;

    /// Forgets what it holds: the server sends the file from its beginning.
    ///
    /// # Errors
    /// The transfer ends with them.
    fn restart(&mut self) -> Result<(), cache::Error>;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The transfer ends with them.
    fn take(&mut self, bytes: &[u8]) -> Result<(), cache::Error>;

    /// A failure that may pass: the transfer will be tried again.
    fn retrying(&mut self, failure: &Failure) {
        let _ = failure;
    }
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The address.
    pub url: &'a str,
    /// How many bytes it has.
    pub size: Size,
    /// What the server said about the copy that the caller holds, to be sent back.
    pub validators: Option<&'a Validators>,
    /// Who we are; dropped when a redirect leads to another server.
    pub authorization: Option<&'a Authorization>,
    /// The media type that is asked for, where a server has several things to give.
    pub accept: Option<&'static str>,
}

/// What is known about the length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly this.
    Exact(u64),
    /// At most this.
    AtMost(u64),
}

/// How a server knows a version of a file again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Whether there is anything to send back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// How a transfer ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The sink holds all bytes.
    Complete(Validators),
    /// The file is still the one the caller holds.
    NotModified,
}

/// A client with its connections; to be shared between threads, and dropped before a process changes its namespaces
/// (it runs one thread of its own).
#[derive(Debug)]
pub struct Http {
    /// Always there, but while it is dropped.
    runtime: Option<Runtime>,
    plain: Client,
    /// Made when first needed: reading the machine's certificates takes longer than many a download.
    tls: OnceLock<Result<Client, Failure>>,
    options: Options,
    cancel: Cancel,
}

impl Http {
    /// Makes a client.
    ///
    /// # Errors
    /// [`Failure::Setup`] when the system gives no thread or socket.
    pub fn new(options: Options, cancel: Cancel) -> Result<Self, Failure> {
        let setup = |error: &dyn std::fmt::Display| Failure::Setup(error.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(|error| setup(&error))?;
        let plain = tls::client(&options, tls::without_certificates()?)?;
        Ok(Self { runtime: Some(runtime), plain, tls: OnceLock::new(), options, cancel })
    }

    /// Fetches a file into `sink`, trying again after failures that may pass.
    ///
    /// # Errors
    /// Any [`Failure`]; what the sink took until then is a true beginning of the file.
    pub fn get(&self, request: &Request<'_>, sink: &mut dyn Sink) -> Result<Fetched, Failure> {
        let url = Url::parse(request.url).map_err(|error| Failure::Address(error.to_string()))?;
        match url.scheme() {
            "file" | "copy" => local::copy(&url, request.size, sink, &self.cancel),
            "http" | "https" => match &self.runtime {
                Some(runtime) => runtime.block_on(self.get_patiently(&url, request, sink)),
                None => Err(Failure::Setup("the client is being dropped".to_owned())),
            },
            other => Err(Failure::Address(format!("`{other}` is not http, https, file or copy"))),
        }
    }

    /// The client for an address.
    fn client(&self, url: &Url) -> Result<&Client, Failure> {
        // A proxy may itself speak TLS.
        let through_tls = self.options.proxies.of(url).is_some_and(|proxy| proxy.scheme() == "https");
        if url.scheme() != "https" && !through_tls {
            return Ok(&self.plain);
        }
        let made = self
            .tls
            .get_or_init(|| tls::client(&self.options, tls::with_certificates(&self.options.extra_roots)?));
        made.as_ref().map_err(Clone::clone)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Its threads are to be gone, but a name server that does not answer is not waited for.
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// An address as messages may show it: a password in it is not for logs.
#[must_use]
pub fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn passwords_are_not_shown() {
        for (address, expected) in [
            ("http://host/a@b", "http://host/a@b"),
            ("https://user:pass@host:1/x", "https://…@host:1/x"),
            ("https://user:p@ss@host", "https://…@host"),
            ("file:///a@b", "file:///a@b"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(without_password(address), expected);
        }
    }
}
