//! What is wrong with an archive.

use std::io;

use crate::LayerName;

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not an archive of layers.
    #[error("this is no archive of layers: {why}; for a layer of an OCI image say `--format oci`")]
    NotOurs {
        /// What is missing.
        why: &'static str,
    },
    /// It is of a format that is not known here.
    #[error("it has format {found}, this program knows format {known}: use a newer version", known = super::FORMAT)]
    Format {
        /// The format.
        found: u64,
    },
    /// Its list of layers is no such list.
    #[error("its list of layers is not valid: {why}")]
    Manifest {
        /// What is wrong with it.
        why: String,
    },
    /// It ends before all of its layers have come.
    #[error("it is not complete: layer `{name}` or the digest behind it is missing; copy or export it again")]
    Incomplete {
        /// The first layer that is missing.
        name: LayerName,
    },
    /// The digest behind a layer is not that of the bytes before it.
    #[error("the digest of layer `{name}` is wrong, so the archive is damaged; copy or export it again")]
    Digest {
        /// The layer.
        name: LayerName,
    },
    /// A whiteout or the mark of an opaque directory is not an empty file.
    #[error("`{path}` has the name of a whiteout and is not an empty file")]
    Mark {
        /// The entry that is marked.
        path: tree::EntryPath,
    },
    /// One name for several layers, or none for one that has none.
    #[error("{why}")]
    Names {
        /// What is wrong, as a sentence.
        why: &'static str,
    },
    /// Something is different from what it was a moment before.
    #[error(
        "it changed while it was read: unmerge where it is written to, or try again when nothing writes to it"
    )]
    Changed(#[source] tree::Error),
    /// The tar or what it holds cannot be read or written.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The file cannot be read or written.
    #[error("cannot {action} it")]
    Io {
        /// What was being done, a verb.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Problem {
    /// The system's error behind this one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Tree(error) | Self::Changed(error) => error.io_kind(),
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// This problem, where it is one of writing what is being read: then an entry that is gone, or a file of another
    /// size, comes from somebody who writes to the layer.
    pub(crate) fn while_reading(self) -> Self {
        match self {
            Self::Tree(error @ tree::Error::SizeMismatch { .. }) => Self::Changed(error),
            Self::Tree(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => Self::Changed(error),
            other => other,
        }
    }

    /// For `map_err`.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
