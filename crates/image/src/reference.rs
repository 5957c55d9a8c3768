//! References to images in registries: `ghcr.io/oomol/server-base:latest`.

use std::fmt;
use std::str::FromStr;

use cache::Digest;

/// The registry that a reference without one means.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Where an image is in a registry: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]` (distribution specification, "Pulling
/// manifests"; short names are completed as Docker does it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host and port.
    pub registry: String,
    /// The name within it, without a tag.
    pub repository: String,
    /// The tag; `latest` when neither tag nor digest was given.
    pub tag: Option<String>,
    /// The digest, which wins over the tag.
    pub digest: Option<Digest>,
}

/// Text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a reference to an image: {why}")]
pub struct ReferenceSyntax {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl Reference {
    /// What the last part of a manifest's address is: the digest or else the tag.
    #[must_use]
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => crate::digest::spell(digest),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository with a tag.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The same repository with a digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{}", crate::digest::spell(digest)),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceSyntax;

    fn from_str(text: &str) -> Result<Self, ReferenceSyntax> {
        let refuse =
            |why: &str| ReferenceSyntax { text: text.chars().take(200).collect(), why: why.to_owned() };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(crate::digest::parse(digest).map_err(|why| refuse(&why))?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest);
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        if !is_registry(registry) {
            return Err(refuse("the registry is `HOST` or `HOST:PORT`"));
        }
        if !is_repository(name) {
            return Err(refuse(
                "the repository has lower-case letters, digits and `.`, `_`, `-` between `/`",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse(
                "a tag has up to 128 letters, digits and `.`, `_`, `-`, and does not begin with `.` or `-`",
            ));
        }
        let official = registry == DEFAULT_REGISTRY && !name.contains('/');
        let repository = if official { format!("library/{name}") } else { name.to_owned() };
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// The first part is a registry when it could not be a part of a repository's name on Docker Hub.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (DEFAULT_REGISTRY, text),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let fine =
                address.parse::<std::net::Ipv6Addr>().is_ok() && (rest.is_empty() || rest.starts_with(':'));
            if !fine {
                return false;
            }
            ("v6", rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Distribution specification, "Pulling manifests": `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/…)*`.
fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        let ends = bytes.first().copied().is_some_and(plain) && bytes.last().copied().is_some_and(plain);
        let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        ends && separators.filter(|separator| !separator.is_empty()).all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
    };
    text.len() <= 255 && text.split('/').all(part)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references() {
        let with_digest = format!("localhost:5000/a/b@{DIGEST}");
        let with_both = format!("ghcr.io/oomol/server-base:v1@{DIGEST}");
        for (text, full) in [
            ("ghcr.io/oomol/server-base", "ghcr.io/oomol/server-base:latest"),
            ("ghcr.io/oomol/server-base:v1.2_x", "ghcr.io/oomol/server-base:v1.2_x"),
            ("debian", "docker.io/library/debian:latest"),
            ("user/app:1", "docker.io/user/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("127.0.0.1:5000/a__b/c--d", "127.0.0.1:5000/a__b/c--d:latest"),
            (with_digest.as_str(), with_digest.as_str()),
            (with_both.as_str(), with_both.as_str()),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference, "{text}");
        }
        for bad in [
            "",
            "A/b",
            "ghcr.io/",
            "ghcr.io/Upper",
            "a..b",
            "a___b",
            "-a",
            "a:",
            "a:.x",
            "host:99999/a",
            "a@sha256:12",
            "a@md5:00",
            "../a",
            "a//b",
            "ghcr.io/a b",
            "[::zz]:5000/app",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
