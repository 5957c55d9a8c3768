//! Names and versions of packages.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest name or version, in bytes: as of npm's registry.
const LONGEST: usize = 214;

/// What stays as it is in a path, beside letters and digits. The `@` and the slash of a scope do: registries take both.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'@').remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One version of one package; displayed and parsed as `NAME@VERSION`, where the name may have a scope: `@SCOPE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageId {
    name: String,
    version: String,
}

/// Text that names no version of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no version of a package: {why}; it is NAME@VERSION or @SCOPE/NAME@VERSION")]
pub struct PackageSyntax {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl PackageId {
    /// The version `version` of the package `name`.
    ///
    /// # Errors
    /// [`PackageSyntax`] for what could lead out of its place in an address.
    pub fn new(name: &str, version: &str) -> Result<Self, PackageSyntax> {
        let refuse = |why| {
            let text = format!("{name}@{version}");
            Err(PackageSyntax { text: text.chars().take(80).collect(), why })
        };
        let (scope, short) = match name.strip_prefix('@').map(|rest| rest.split_once('/')) {
            None => (None, name),
            Some(Some((scope, short))) => (Some(scope), short),
            Some(None) => return refuse("a scope is followed by `/` and a name"),
        };
        let is_word = |text: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
            !text.is_empty() && text.len() <= LONGEST && text.bytes().all(known) && !text.starts_with('.')
        };
        if !scope.is_none_or(is_word) || !is_word(short) {
            return refuse("a name has letters, digits, `-`, `_`, `.` and `~`, and begins with no dot");
        }
        let is_number = version.starts_with(|first: char| first.is_ascii_digit());
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        if !is_number || version.len() > LONGEST || !version.bytes().all(known) {
            return refuse("a version begins with a digit, such as 1.2.0");
        }
        Ok(Self { name: name.to_owned(), version: version.to_owned() })
    }

    /// The name, with its scope.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Name and version as two parts of an address.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", utf8_percent_encode(&self.name, KEPT), utf8_percent_encode(&self.version, KEPT))
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for PackageId {
    type Err = PackageSyntax;

    fn from_str(text: &str) -> Result<Self, PackageSyntax> {
        match text.rsplit_once('@') {
            Some((name, version)) if !name.is_empty() => Self::new(name, version),
            _ => Err(PackageSyntax { text: text.chars().take(80).collect(), why: "it has no version" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        for (text, path) in [
            ("pdf-craft@1.2.0", Some("pdf-craft/1.2.0")),
            ("@oomol/zip@0.1.0-rc.1+b", Some("@oomol/zip/0.1.0-rc.1%2Bb")),
            ("a", None),
            ("@a/b", None),
            ("@a@1", None),
            ("a@latest", None),
            ("../a@1", None),
            ("@../a@1", None),
            ("a/b@1", None),
            ("a@1/..", None),
            ("a b@1", None),
            ("@1", None),
            ("a?@1", None),
        ] {
            let read = text.parse::<PackageId>();
            assert_eq!(read.as_ref().ok().map(PackageId::path).as_deref(), path, "{text}");
            if let Ok(id) = read {
                assert_eq!(id.to_string(), text);
            }
        }
    }
}
