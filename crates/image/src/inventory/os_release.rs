//! `os-release(5)`.

use serde::Serialize;

/// Which distribution a tree is of; what it does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OsRelease {
    /// `debian`, `ubuntu` …
    pub id: String,
    /// `13`, `26.04` …
    pub version_id: String,
    /// `trixie` …
    pub codename: String,
    /// For people.
    pub name: String,
}

impl OsRelease {
    /// Reads the file. What is not understood is passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut release = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once('=') else { continue };
            let place = match name {
                "ID" => &mut release.id,
                "VERSION_ID" => &mut release.version_id,
                "VERSION_CODENAME" => &mut release.codename,
                "PRETTY_NAME" => &mut release.name,
                _ => continue,
            };
            *place = unquoted(value).chars().filter(|c| !c.is_control()).take(200).collect();
        }
        release
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `debian-13`: what package URLs call the distribution.
    #[must_use]
    pub fn distro(&self) -> Option<String> {
        let version = if self.version_id.is_empty() { &self.codename } else { &self.version_id };
        match (self.id.as_str(), version.as_str()) {
            ("", _) => None,
            (id, "") => Some(id.to_owned()),
            (id, version) => Some(format!("{id}-{version}")),
        }
    }
}

/// A value as a shell would read it.
fn unquoted(value: &str) -> String {
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    if let Some(inner) = quoted('\'') {
        return inner.to_owned();
    }
    let inner = quoted('"').unwrap_or(value);
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_distributions_say() {
        for (text, distro, name) in [
            ("ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME='A b'\n", Some("debian-13"), "A b"),
            ("ID=debian\nVERSION_CODENAME=forky\n", Some("debian-forky"), ""),
            ("ID=arch\n", Some("arch"), ""),
            ("# nothing\n=x\n", None, ""),
            ("PRETTY_NAME=\"a \\\"b\\\" \\$c\"", None, "a \"b\" $c"),
            ("PRETTY_NAME=\"\u{1b}[31mred", None, "\"[31mred"),
        ] {
            let release = OsRelease::parse(text);
            assert_eq!(release.distro().as_deref(), distro, "{text}");
            assert_eq!(release.name, name, "{text}");
        }
    }
}
