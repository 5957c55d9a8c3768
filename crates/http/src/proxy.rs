//! Which proxy an address is reached through: apt's configuration first, then the environment, as apt does it.

use std::net::IpAddr;
use std::path::Path;

use reqwest::Url;

use super::Failure;
use super::apt_conf::{self, Setting};

/// Proxies for `http` and `https` addresses.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For single hosts, in lower case; `None` means a direct connection.
    hosts: Vec<(String, Scheme, Option<Url>)>,
    http: Option<Url>,
    https: Option<Url>,
    /// Hosts that are reached directly.
    direct: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Proxies {
    /// The proxies of this machine: those of apt's configuration in the folder `apt` (`/etc/apt` but for tests), and,
    /// where it names none, those of the environment (`http_proxy`, `https_proxy`, `no_proxy`; also `HTTPS_PROXY` and
    /// `NO_PROXY`, but not `HTTP_PROXY`, which a web server lets its clients set).
    ///
    /// # Errors
    /// [`Failure::Setup`] for a proxy that is not an address: going past it could be what must not happen.
    pub fn of_machine(apt: &Path, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        Self::from_settings(&apt_conf::read(apt), environment)
    }

    /// The proxies of the environment alone, for what is no package archive. Servers on this machine are reached directly.
    ///
    /// # Errors
    /// As [`Proxies::of_machine`].
    pub fn of_environment(environment: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let mut proxies = Self::from_settings(&[], environment)?;
        proxies.direct.extend(["localhost", "127.0.0.0/8", "::1"].map(str::to_owned));
        Ok(proxies)
    }

    fn from_settings(
        settings: &[Setting],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let variable = |names: &[&str]| {
            names.iter().find_map(|name| environment(name)).filter(|value| !value.is_empty())
        };
        let mut proxies = Self::default();
        for name in ["http_proxy", "https_proxy", "HTTPS_PROXY"] {
            if let Some(value) = variable(&[name]) {
                let slot = if name == "http_proxy" { &mut proxies.http } else { &mut proxies.https };
                *slot = slot.take().or(Some(address(&value)?));
            }
        }
        if let Some(list) = variable(&["no_proxy", "NO_PROXY"]) {
            proxies.direct = list
                .split([',', ' '])
                .map(|host| host.trim().to_ascii_lowercase())
                .filter(|host| !host.is_empty())
                .collect();
        }
        // apt takes its `http` settings for `https` too, where there are none.
        let general = |scheme: &str| {
            settings
                .iter()
                .rev()
                .find(|set| set.is(&["acquire", scheme, "proxy"]))
                .map(|set| set.value.as_str())
        };
        let (http, https) = (general("http"), general("https").or_else(|| general("http")));
        for (found, slot) in [(http, &mut proxies.http), (https, &mut proxies.https)] {
            if let Some(value) = found.filter(|value| !value.is_empty()) {
                *slot = proxy(value)?;
            }
        }
        for set in settings {
            let parts: Vec<&str> = set.name.iter().map(String::as_str).collect();
            let ["acquire", kind @ ("http" | "https"), "proxy", host] = parts[..] else { continue };
            let scheme = if kind == "http" { Scheme::Http } else { Scheme::Https };
            proxies.hosts.push((host.to_owned(), scheme, proxy(&set.value)?));
        }
        Ok(proxies)
    }

    /// Whether no address has a proxy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none() && self.hosts.is_empty()
    }

    /// The proxy for an address.
    #[must_use]
    pub fn of(&self, url: &Url) -> Option<&Url> {
        let host = url.host_str()?.trim_matches(['[', ']']).to_ascii_lowercase();
        if self.direct.iter().any(|rule| matches(rule, &host)) {
            return None;
        }
        let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
        let wanted = |asked| self.hosts.iter().rev().find(|(name, kind, _)| *name == host && *kind == asked);
        let special = wanted(scheme).or_else(|| wanted(Scheme::Http));
        match (special, scheme) {
            (Some((_, _, proxy)), _) => proxy.as_ref(),
            (None, Scheme::Http) => self.http.as_ref(),
            (None, Scheme::Https) => self.https.as_ref(),
        }
    }
}

/// apt's word for "no proxy" is `DIRECT`.
fn proxy(value: &str) -> Result<Option<Url>, Failure> {
    if value.eq_ignore_ascii_case("DIRECT") { Ok(None) } else { address(value).map(Some) }
}

fn address(value: &str) -> Result<Url, Failure> {
    // `host:port` is common, and means plain HTTP.
    let full = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let refuse =
        |why: &str| Failure::Setup(format!("the proxy is not an address ({why}): http://HOST:PORT is"));
    let url = Url::parse(&full).map_err(|error| refuse(&error.to_string()))?;
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        (other, _) => Err(refuse(&format!("scheme `{other}`"))),
    }
}

/// A rule of `no_proxy`: `*`, a domain with all below it, or an address with or without a mask.
fn matches(rule: &str, host: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        let (network, bits) = rule.split_once('/').unwrap_or((rule, ""));
        let Ok(network) = network.trim_matches(['[', ']']).parse::<IpAddr>() else { return false };
        return within(address, network, bits.parse().ok());
    }
    let domain = rule.trim_start_matches("*.").trim_start_matches('.');
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn within(address: IpAddr, network: IpAddr, bits: Option<u32>) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    let shift = width - bits.unwrap_or(width).min(width);
    let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
    cut(address) == cut(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(conf: &str, environment: &[(&str, &str)]) -> Proxies {
        let settings = apt_conf::parse(conf);
        let find = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::from_settings(&settings, find).unwrap()
    }

    #[test]
    fn the_right_proxy_for_each_address() {
        let env = [
            ("http_proxy", "http://env:1"),
            ("https_proxy", "env:2"),
            ("no_proxy", "direct.org, .lan,10.0.0.0/8,[::1]"),
        ];
        let conf = r#"Acquire::http::Proxy "http://apt:3"; Acquire::http::Proxy::special "DIRECT"; Acquire::https::Proxy::other "http://o:4";"#;
        for (summary, conf, address, expected) in [
            ("environment", "", "http://a/x", Some("http://env:1/")),
            ("environment, encrypted", "", "https://a/x", Some("http://env:2/")),
            ("apt comes first", conf, "http://a/x", Some("http://apt:3/")),
            ("apt's http is for https too", conf, "https://a/x", Some("http://apt:3/")),
            ("apt's exception", conf, "http://special/x", None),
            ("apt's exception, encrypted", conf, "https://special/x", None),
            ("apt's special proxy", conf, "https://other/x", Some("http://o:4/")),
            ("not for plain addresses", conf, "http://other/x", Some("http://apt:3/")),
            ("no_proxy counts for apt too", conf, "http://direct.org/x", None),
            ("a domain below", "", "http://a.direct.org/x", None),
            ("not a mere ending", "", "http://indirect.org/x", Some("http://env:1/")),
            ("a leading dot", "", "http://box.lan/x", None),
            ("a network", "", "http://10.2.3.4/x", None),
            ("another network", "", "http://11.2.3.4/x", Some("http://env:1/")),
            ("an address of the new kind", "", "http://[::1]/x", None),
        ] {
            let url = Url::parse(address).unwrap();
            let proxies = proxies(conf, &env);
            assert_eq!(proxies.of(&url).map(Url::as_str), expected, "{summary}");
        }
    }

    #[test]
    fn no_proxy_at_all() {
        assert!(proxies("", &[]).is_empty());
        assert!(proxies("", &[("HTTP_PROXY", "http://cgi"), ("http_proxy", "")]).is_empty());
    }

    #[test]
    fn servers_on_this_machine_need_none() {
        let proxies = Proxies::of_environment(|name| (name == "http_proxy").then(|| "http://p:1".to_owned()));
        let proxies = proxies.unwrap();
        for (address, direct) in [
            ("http://localhost:5000", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:1", true),
            ("http://a", false),
        ] {
            assert_eq!(proxies.of(&Url::parse(address).unwrap()).is_none(), direct, "{address}");
        }
    }

    #[test]
    fn a_broken_proxy_is_an_error() {
        for value in ["socks5://host:1", "http://", "ftp://x"] {
            let found = Proxies::from_settings(&[], |name| (name == "http_proxy").then(|| value.to_owned()));
            assert!(matches!(found, Err(Failure::Setup(_))), "{value}");
        }
    }
}
