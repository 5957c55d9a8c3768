//! Clients of `reqwest`: rustls with ring, and the certificates of this machine.

use std::path::Path;
use std::sync::Arc;

use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::{Failure, Options};

/// Names the program to servers, as RFC 9110, section 10.1.5, asks.
const USER_AGENT: &str = concat!("ovmlayer-rootfs/", env!("CARGO_PKG_VERSION"));

/// A client that follows no redirects and reads no environment by itself.
pub(super) fn client(options: &Options, tls: ClientConfig) -> Result<Client, Failure> {
    let proxies = options.proxies.clone();
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(options.connect_timeout)
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .tls_backend_preconfigured(tls);
    let builder = if proxies.is_empty() {
        builder
    } else {
        builder.proxy(reqwest::Proxy::custom(move |url| proxies.of(url).cloned()))
    };
    builder.build().map_err(|error| Failure::Setup(error.to_string()))
}

/// For plain connections: trusts nobody.
pub(super) fn without_certificates() -> Result<ClientConfig, Failure> {
    config(RootCertStore::empty())
}

/// Certificates of authorities that are trusted beside those of the machine.
#[derive(Debug, Clone, Default)]
pub struct Roots(Vec<CertificateDer<'static>>);

impl Roots {
    /// Reads the certificates in a file in PEM form.
    ///
    /// # Errors
    /// [`Failure::Setup`] when it cannot be read or there are none in it.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let refuse = |why: &str| {
            Failure::Setup(format!("`{}` does not give certificates in PEM form: {why}", path.display()))
        };
        let bytes = std::fs::read(path).map_err(|error| refuse(&error.to_string()))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let found = found.map_err(|error| refuse(&error.to_string()))?;
        let mut store = RootCertStore::empty();
        for certificate in &found {
            store.add(certificate.clone()).map_err(|error| refuse(&error.to_string()))?;
        }
        if found.is_empty() { Err(refuse("there are none in it")) } else { Ok(Self(found)) }
    }

    /// Trusts those of `other` as well.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Trusts whom this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), and `extra`.
pub(super) fn with_certificates(extra: &Roots) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(extra.0.iter().cloned());
    if roots.is_empty() {
        return Err(Failure::Tls(
            "this machine has no certificates to compare a server's with: install `ca-certificates`, set SSL_CERT_FILE, or \
             use an http:// mirror (packages are checked by signature either way)"
                .to_owned(),
        ));
    }
    config(roots)
}

fn config(roots: RootCertStore) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Setup(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
