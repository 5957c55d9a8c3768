//! Sources: where an archive is, and what of it is used, in both notations of apt (`sources.list(5)`).
//!
//! What enters: the text of a `.list` or a `.sources` file. What leaves: one [`Source`] for each combination of
//! address and suite; lines of type `deb-src` are passed over. Pure, but for [`Source::keyring`].

mod one_line;
mod stanza;

use std::path::PathBuf;

use crate::keyring::Keyring;
use http::without_password;

pub use one_line::parse_one_line;
pub use stanza::parse_deb822;

/// A suite of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The base address, without a slash at its end.
    pub uri: String,
    /// The suite or codename; one that ends in `/` is the path of a flat archive.
    pub suite: String,
    /// The components; empty for a flat archive.
    pub components: Vec<String>,
    /// The architectures it is limited to; empty means all.
    pub architectures: Vec<String>,
    /// Whose signature counts.
    pub signed_by: SignedBy,
}

/// Whose signature counts for a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SignedBy {
    /// The keys of the distribution.
    #[default]
    Distribution,
    /// Those in a file.
    File(PathBuf),
    /// Those that are given right here, armoured.
    Inline(String),
    /// Some of apt's own, by fingerprint: understood when reading a machine's sources, but never used.
    Fingerprints(Vec<String>),
}

/// What is wrong with the description of a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {problem}")]
pub struct SourceError {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub problem: SourceProblem,
}

/// See [`SourceError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceProblem {
    /// Neither `deb` nor `deb-src`.
    #[error("`{0}` is not a type of source: use `deb`")]
    Type(String),
    /// A part is missing.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// Options in brackets are not closed, or are no `name=value`.
    #[error("the options `{0}` are not `[name=value …]`")]
    Options(String),
    /// The address is of an unknown kind.
    #[error("`{0}` is not an address of the kinds http, https, file or copy")]
    Address(String),
    /// `Trusted: yes`.
    #[error(
        "`trusted` would switch off the check of signatures: remove it, and name the archive's key by `signed-by`"
    )]
    Trusted,
    /// Components with a flat archive, or none without.
    #[error("suite `{0}` ends in `/`, which means a flat archive: it has no components")]
    Flat(String),
    /// A line that is no field.
    #[error("{0}")]
    Syntax(&'static str),
}

impl Source {
    /// What messages call it: `the archive ADDRESS SUITE`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("the archive {} {}", without_password(&self.uri), self.suite)
    }

    /// Whether the suite is a path, and the archive has neither `dists` nor components.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// The address of the folder that holds the release file, with a slash at its end.
    #[must_use]
    pub fn release_folder(&self) -> String {
        match self.suite.trim_matches('/') {
            "" | "." => format!("{}/", self.uri),
            path if self.is_flat() => format!("{}/{path}/", self.uri),
            suite => format!("{}/dists/{suite}/", self.uri),
        }
    }

    /// Whether packages of `architecture` are to be taken from it.
    #[must_use]
    pub fn serves(&self, architecture: &str) -> bool {
        self.architectures.is_empty() || self.architectures.iter().any(|one| one == architecture)
    }

    /// The keys that it names itself; `None` when they are those of the distribution.
    ///
    /// # Errors
    /// [`crate::Error::Keyring`], [`crate::Error::KeyByName`].
    pub fn keyring(&self) -> crate::Result<Option<Keyring>> {
        match &self.signed_by {
            SignedBy::Distribution => Ok(None),
            SignedBy::File(path) => Ok(Some(Keyring::from_file(path)?)),
            SignedBy::Inline(text) => Ok(Some(Keyring::from_bytes(
                &format!("the key given with {}", self.describe()),
                text.as_bytes(),
            )?)),
            SignedBy::Fingerprints(_) => Err(crate::Error::KeyByName { archive: self.describe() }),
        }
    }

    /// The parts of a source, checked and brought into one form.
    fn build(parts: Parts) -> Result<Self, SourceProblem> {
        let scheme = parts.uri.split_once(':').map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("http" | "https" | "file" | "copy")) {
            return Err(SourceProblem::Address(parts.uri));
        }
        if parts.suite.is_empty() {
            return Err(SourceProblem::Missing("suite"));
        }
        let flat = parts.suite.ends_with('/');
        if flat && !parts.components.is_empty() {
            return Err(SourceProblem::Flat(parts.suite));
        }
        if !flat && parts.components.is_empty() {
            return Err(SourceProblem::Missing("component after the suite"));
        }
        if parts.options.trusted {
            return Err(SourceProblem::Trusted);
        }
        Ok(Self {
            uri: parts.uri.trim_end_matches('/').to_owned(),
            suite: parts.suite,
            components: parts.components,
            architectures: parts.options.architectures,
            signed_by: parts.options.signed_by,
        })
    }
}

/// What both notations boil down to.
struct Parts {
    uri: String,
    suite: String,
    components: Vec<String>,
    options: SourceOptions,
}

#[derive(Debug, Clone, Default)]
struct SourceOptions {
    architectures: Vec<String>,
    signed_by: SignedBy,
    trusted: bool,
}

impl SourceOptions {
    /// Takes an option of either notation; those that concern apt alone are passed over.
    fn set(&mut self, name: &str, words: &[&str]) {
        match name.to_ascii_lowercase().as_str() {
            "arch" | "architectures" => {
                self.architectures = words.iter().map(|&word| word.to_owned()).collect();
            }
            "trusted" => self.trusted = matches!(words, ["yes" | "true" | "1" | "on"]),
            "signed-by" => self.signed_by = signed_by(words),
            _ => {}
        }
    }
}

fn signed_by(words: &[&str]) -> SignedBy {
    match words {
        [] => SignedBy::Distribution,
        [path] if path.starts_with('/') => SignedBy::File(PathBuf::from(path)),
        prints => SignedBy::Fingerprints(prints.iter().map(|&print| print.to_owned()).collect()),
    }
}

/// The words that a source may begin with.
const SUPPORTED_TYPES: [&str; 2] = ["deb", "deb-src"];
