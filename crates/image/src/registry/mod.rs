//! Registries: a client for the OCI distribution specification, version 1.1.
//!
//! What enters: a [`Reference`], [`Options`], and who we are ([`Credentials`]). What leaves: a [`Repository`], which is a
//! place that images are read from and written to like any other ([`Blobs`](crate::Blobs), [`Target`](crate::Target)).
//!
//! * `challenge`, `fields`: parsers of what registries write into headers.
//! * `credentials`, `auth`, `token`: who we are, and how a registry is told.
//! * `repository`: one request to a repository, with all that may have to be done before it is answered.
//! * `manifests`, `blobs`, `upload`, `tags`, `referrers`: what can be asked.
//!
//! What was pulled is kept by digest in the cache, so that it is fetched once and a broken transfer goes on.

mod auth;
mod blobs;
mod challenge;
mod credentials;
mod error;
mod fields;
mod manifests;
mod referrers;
mod repository;
mod secret;
mod tags;
mod token;
mod upload;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cache::Cache;
use http::{Call, Cancel, Failure, Http, Method};

pub use challenge::{Challenge, parse as parse_challenges};
pub use credentials::{Credentials, Given, Identity};
pub use error::RegistryError;
pub use fields::{held as parse_held, next_page as parse_next_page};
pub use repository::{Access, Repository};
pub use secret::Secret;

pub(crate) use referrers::subject;

use crate::events::{Events, Silent};
use crate::{Reference, Result};

/// How much of a content is sent in one request, in bytes. It is held in memory until the registry has taken it.
const CHUNK: usize = 16 << 20;

/// How a client of registries works.
#[derive(Clone)]
pub struct Options {
    /// Where what was pulled is kept, and what is known of earlier pushes.
    pub cache: Cache,
    /// How patient to be, which proxies to use and whom to trust.
    pub http: http::Options,
    /// Hosts, with or without a port, that are spoken to without TLS. Those of this machine need not be named.
    pub plain_http: Vec<String>,
    /// Who we are.
    pub credentials: Credentials,
    /// Whether the cache alone must do.
    pub offline: bool,
    /// How much of a content is sent in one request, in bytes.
    pub chunk: usize,
    /// Who is told what happens.
    pub events: Arc<dyn Events>,
    /// The wish to stop.
    pub cancel: Cancel,
}

impl Options {
    /// No proxies, no credentials, nobody told.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            http: http::Options::default(),
            plain_http: Vec::new(),
            credentials: Credentials::default(),
            offline: false,
            chunk: CHUNK,
            events: Arc::new(Silent),
            cancel: Cancel::default(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("cache", &self.cache)
            .field("http", &self.http)
            .field("plain_http", &self.plain_http)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// One registry: its connections, its address, and who we are there.
///
/// It runs a thread of its own for the network: drop it before the process enters new namespaces.
#[derive(Debug)]
pub struct Registry {
    /// Host and port as a reference has them.
    name: String,
    options: Options,
    http: Http,
    auth: auth::Auth,
    /// `http://HOST` or `https://HOST`, when it is known.
    base: Mutex<Option<String>>,
}

impl Registry {
    /// A client for the registry `name`, `HOST[:PORT]`; nothing is asked yet.
    ///
    /// # Errors
    /// [`RegistryError::Transfer`] when the system gives no thread.
    pub fn new(name: &str, options: Options) -> Result<Self, RegistryError> {
        let http = Http::new(options.http.clone(), options.cancel.clone())
            .map_err(|failure| RegistryError::transfer(&format!("reach {name}"), failure))?;
        let base = Mutex::new(None);
        Ok(Self { name: name.to_owned(), options, http, auth: auth::Auth::default(), base })
    }

    /// Host and port, as references name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The repository that `reference` names, to be used as `access` says.
    #[must_use]
    pub fn repository(self: &Arc<Self>, name: &str, access: Access) -> Repository {
        Repository::new(Arc::clone(self), name, access)
    }

    /// The address that all others begin with.
    fn base(&self) -> Result<String, RegistryError> {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*base {
            return Ok(known.clone());
        }
        let host = api_host(&self.name);
        let found = if self.is_named_plain() {
            format!("http://{host}")
        } else if is_loopback(host) {
            self.probe(host)?
        } else {
            format!("https://{host}")
        };
        *base = Some(found.clone());
        Ok(found)
    }

    fn is_named_plain(&self) -> bool {
        let (host, _) = split_port(&self.name);
        self.options.plain_http.iter().any(|plain| *plain == self.name || *plain == host)
    }

    /// Whether a registry of this machine, which needs no TLS, has it all the same.
    fn probe(&self, host: &str) -> Result<String, RegistryError> {
        let (plain, encrypted) = (format!("http://{host}"), format!("https://{host}"));
        let ask = |base: &str, repeatable: bool| {
            let url = format!("{base}/v2/");
            self.http.call(&Call { repeatable, ..Call::new(Method::Get, &url) })
        };
        let mut first = ask(&plain, false);
        if matches!(first, Err(Failure::Broken(_))) {
            // Perhaps by chance.
            first = ask(&plain, false);
        }
        match &first {
            // What servers with TLS answer to those who speak without it.
            Ok(answer) if answer.status == 400 => {}
            Err(Failure::Broken(_)) => {}
            Err(failure) if !failure.may_pass() => {
                return Err(RegistryError::transfer(&format!("reach {}", self.name), failure.clone()));
            }
            _ => return Ok(plain),
        }
        match ask(&encrypted, true) {
            Ok(_) => Ok(encrypted),
            // It understands TLS, and so is to be spoken to in no other way.
            Err(failure @ Failure::Tls(_)) if first.is_ok() => {
                Err(RegistryError::transfer(&format!("reach {}", self.name), failure))
            }
            Err(_) => Ok(plain),
        }
    }
}

/// A repository for reading or writing, with a client of its own for its registry.
///
/// # Errors
/// Those of [`Registry::new`].
pub fn open_repository(reference: &Reference, access: Access, options: &Options) -> Result<Repository> {
    let registry = Arc::new(Registry::new(&reference.registry, options.clone())?);
    Ok(registry.repository(&reference.repository, access))
}

/// Where a registry answers; only Docker's does so under another name than references have.
fn api_host(name: &str) -> &str {
    if name == "docker.io" { "registry-1.docker.io" } else { name }
}

/// The host and what follows it.
fn split_port(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (name, None),
    }
}

/// Whether this is a name or an address of this machine.
fn is_loopback(name: &str) -> bool {
    let (host, _) = split_port(name);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_hosts_are_this_machine() {
        for (name, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.9.10", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("localhost.evil.org", false),
            ("127.0.0.1.evil.org", false),
            ("10.0.0.1:5000", false),
            ("[2001:db8::1]:5000", false),
            ("ghcr.io", false),
        ] {
            assert_eq!(is_loopback(name), expected, "{name}");
        }
    }
}
