//! The lock: every package that a recipe resolved to, by version, size and SHA-256, per architecture.
//!
//! A lock is TOML, sorted, and the same whatever mirror it was made from. `dist/RECIPE.lock` says what a build used; a
//! lock beside the recipe pins it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use cache::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::distro::Distro;

/// The version of the format that this program reads and writes.
pub const FORMAT: u32 = 1;

/// The size in bytes above which a file is not read as a lock.
const MAX_SIZE: u64 = 64 << 20;

/// What a recipe resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// The format's version: [`FORMAT`].
    pub format: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The distribution.
    pub distro: Distro,
    /// The suite.
    pub suite: String,
    /// A digest of what was asked for. When it differs from the recipe's, the lock is not this recipe's any more.
    pub request: Digest,
    /// The architectures that the lock covers.
    pub architectures: Vec<String>,
    /// The release files that the packages come from.
    #[serde(default, rename = "release")]
    pub releases: Vec<Release>,
    /// The packages of all architectures.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
    /// Packages that a build needs beside the root: emulators.
    #[serde(default, rename = "tool")]
    pub tools: Vec<Package>,
}

/// A release file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// The archive it is from: `main`, `security`, or the name of a further archive.
    pub archive: String,
    /// The suite, as it is asked for.
    pub suite: String,
    /// Its `Date` field.
    pub date: String,
    /// The SHA-256 of `InRelease`.
    pub sha256: Digest,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Package {
    /// The architecture of the root that it is for, or of the machine for a tool.
    pub root: String,
    /// Its place in dpkg's order.
    pub order: u32,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its own architecture: the root's, or `all`.
    pub architecture: String,
    /// The archive it is from.
    pub archive: String,
    /// Where it is below the archive's base.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Essential, or needed by something essential: unpacked before any script runs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub essential: bool,
    /// Asked for by name.
    #[serde(default, skip_serializing_if = "is_false")]
    pub requested: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Reads a lock of any kind from `text`, in the one `format` that is known; `format_of` says which one it is in.
pub(crate) fn parse<L: DeserializeOwned>(
    text: &str,
    path: &Path,
    format: u32,
    format_of: impl Fn(&L) -> u32,
) -> Result<L, Error> {
    let refuse = |line: usize, message: String| Error::LockSyntax { path: path.into(), line, message };
    let lock: L = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        refuse(1 + text[..start].matches('\n').count(), error.message().to_owned())
    })?;
    match format_of(&lock) {
        known if known == format => Ok(lock),
        other => Err(refuse(1, format!("lock format {other} is not known: make a new one with `--update`"))),
    }
}

impl Lock {
    /// Reads a lock from `text`; `path` is what messages call it.
    ///
    /// # Errors
    /// [`Error::LockSyntax`] for anything that is not a lock of [`FORMAT`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        parse(text, path, FORMAT, |lock: &Self| lock.format)
    }

    /// Reads the lock at `path`; none when there is none.
    ///
    /// # Errors
    /// [`Error::LockSyntax`], or [`Error::Io`] when it cannot be read.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        match crate::output::read_text(path, MAX_SIZE)? {
            Some(text) => Self::parse(&text, path).map(Some),
            None => Ok(None),
        }
    }

    /// The lock as text. The same lock gives the same text.
    ///
    /// # Errors
    /// [`Error::LockWrite`] when a value has no form in TOML.
    pub fn to_text(&self) -> Result<String, Error> {
        let mut sorted = self.clone();
        sorted.releases.sort();
        sorted.packages.sort();
        sorted.tools.sort();
        let body =
            toml::to_string(&sorted).map_err(|error| Error::LockWrite { message: error.to_string() })?;
        Ok(format!(
            "# Made by ovmlayer-rootfs: what the recipe `{}` resolved to. Do not edit.\n{body}",
            self.recipe
        ))
    }

    /// The packages of a root of `architecture`, in dpkg's order.
    #[must_use]
    pub fn root(&self, architecture: &str) -> Vec<&Package> {
        let mut packages: Vec<_> =
            self.packages.iter().filter(|package| package.root == architecture).collect();
        packages.sort_by_key(|package| package.order);
        packages
    }

    /// The tool called `name` for machines of `architecture`.
    #[must_use]
    pub fn tool(&self, architecture: &str, name: &str) -> Option<&Package> {
        self.tools.iter().find(|tool| tool.root == architecture && tool.name == name)
    }

    /// What is different in `newer`, one line each, in words.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<String> {
        let (before, after) = (self.versions(), newer.versions());
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let mut changes = Vec::new();
        for key in keys {
            let mut line = format!("{}: {} ", key.0, key.1);
            let _ = match (before.get(key), after.get(key)) {
                (Some(old), Some(new)) if old.0 != new.0 => write!(line, "{} -> {}", old.0, new.0),
                (Some(old), Some(new)) if old != new => {
                    write!(line, "{}: other content under the same version", new.0)
                }
                (Some(_), Some(_)) => continue,
                (Some(old), None) => write!(line, "{} is left out", old.0),
                (None, Some(new)) => write!(line, "{} is new", new.0),
                (None, None) => continue,
            };
            changes.push(line);
        }
        changes
    }

    fn versions(&self) -> BTreeMap<(&str, &str), (&str, &Digest)> {
        let packages = self.packages.iter();
        packages.map(|p| ((p.root.as_str(), p.name.as_str()), (p.version.as_str(), &p.sha256))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(root: &str, name: &str, version: &str, order: u32) -> Package {
        Package {
            root: root.into(),
            order,
            name: name.into(),
            version: version.into(),
            architecture: root.into(),
            archive: "main".into(),
            path: format!("pool/{name}.deb"),
            size: 1,
            sha256: Digest::of(version.as_bytes()),
            essential: false,
            requested: true,
        }
    }

    fn lock(packages: Vec<Package>) -> Lock {
        Lock {
            format: FORMAT,
            recipe: "r".into(),
            distro: Distro::Debian,
            suite: "trixie".into(),
            request: Digest::of(b""),
            architectures: vec!["amd64".into()],
            releases: Vec::new(),
            packages,
            tools: Vec::new(),
        }
    }

    #[test]
    fn a_lock_survives_writing_and_reading_in_any_order() {
        let (a, b) = (package("amd64", "a", "1", 1), package("amd64", "b", "2", 0));
        let text = lock(vec![a.clone(), b.clone()]).to_text().expect("text");
        assert_eq!(text, lock(vec![b.clone(), a.clone()]).to_text().expect("text"));
        let read = Lock::parse(&text, Path::new("r.lock")).expect("a lock");
        assert_eq!(read.root("amd64"), [&b, &a]);
        assert_eq!(read.root("arm64"), [] as [&Package; 0]);
    }

    #[test]
    fn a_lock_of_another_format_is_refused() {
        let text = lock(Vec::new()).to_text().expect("text").replace("format = 1", "format = 2");
        let message = Lock::parse(&text, Path::new("r.lock")).expect_err("refused").to_string();
        assert!(message.contains("r.lock") && message.contains("--update"), "{message}");
    }

    #[test]
    fn changes_are_told_in_words() {
        let old = lock(vec![package("amd64", "a", "1", 0), package("amd64", "gone", "1", 1)]);
        let new = lock(vec![package("amd64", "a", "2", 0), package("amd64", "new", "3", 1)]);
        assert_eq!(
            old.changes(&new),
            ["amd64: a 1 -> 2", "amd64: gone 1 is left out", "amd64: new 3 is new"]
        );
        assert_eq!(old.changes(&old), [] as [&str; 0]);
    }
}
