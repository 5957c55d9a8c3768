//! Where redirects may lead, and what goes along.

use std::net::IpAddr;

use reqwest::header::LOCATION;
use reqwest::{Response, Url};

use crate::Failure;

/// Where a redirect leads; never out of HTTP, nor from an encrypted connection to a plain one.
pub(super) fn target(from: &Url, response: &Response) -> Result<Url, Failure> {
    let target = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| Failure::Protocol("a redirect without an address".to_owned()))?;
    follow(from, target)
}

/// The address that `reference`, found in an answer from `from`, means.
pub(super) fn follow(from: &Url, reference: &str) -> Result<Url, Failure> {
    let url = from.join(reference).map_err(|_| Failure::BadRedirect(reference.to_owned()))?;
    match (from.scheme(), url.scheme()) {
        ("http", "http" | "https") | ("https", "https") => Ok(url),
        _ => Err(Failure::BadRedirect(crate::without_password(url.as_str()))),
    }
}

/// Whether both are the same server (RFC 6454, "origin"): only then may one learn what is meant for the other.
pub(super) fn same_server(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether nobody on the way can read what is sent to `address`: it is encrypted, or does not leave this machine.
#[must_use]
pub fn is_confidential(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_redirects_lead() {
        for (summary, from, reference, expected) in [
            ("within the server", "https://a/x/y", "../z", Some("https://a/z")),
            ("to another", "https://a/x", "https://b/z?q=1", Some("https://b/z?q=1")),
            ("up to TLS", "http://a/x", "https://a/x", Some("https://a/x")),
            ("never down from it", "https://a/x", "http://a/x", None),
            ("never to a file", "http://a/x", "file:///etc/passwd", None),
            ("nor to nothing", "http://a/x", "http://", None),
        ] {
            let from = Url::parse(from).unwrap();
            assert_eq!(follow(&from, reference).ok().as_ref().map(Url::as_str), expected, "{summary}");
        }
    }

    #[test]
    fn which_lines_nobody_reads() {
        for (address, expected) in [
            ("https://a/x", true),
            ("http://127.0.0.1:5000/x", true),
            ("http://[::1]/x", true),
            ("http://localhost:1", true),
            ("http://localhost.evil.org", false),
            ("http://127.0.0.1.evil.org", false),
            ("http://a/x", false),
            ("file:///x", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_confidential(address), expected, "{address}");
        }
    }

    #[test]
    fn who_is_the_same() {
        for (one, other, expected) in [
            ("https://a/x", "https://a:443/y", true),
            ("https://a/x", "https://a:444/x", false),
            ("http://a/x", "https://a/x", false),
            ("https://a/x", "https://a.b/x", false),
        ] {
            assert_eq!(
                same_server(&Url::parse(one).unwrap(), &Url::parse(other).unwrap()),
                expected,
                "{one}"
            );
        }
    }
}
