//! What can go wrong with images.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A document of an image cannot be understood.
    #[error("cannot read {what}: {message}")]
    Json {
        /// Which.
        what: String,
        /// What is wrong with it.
        message: String,
    },
    /// A document is larger than any that makes sense.
    #[error("cannot read {what}: it has {size} bytes, and at most {limit} make sense")]
    TooLarge {
        /// Which.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// More layers than any image has.
    #[error(
        "cannot read {what}: it has {count} layers, and at most {} are read",
        crate::manifest::LAYER_LIMIT
    )]
    TooManyLayers {
        /// Which.
        what: String,
        /// How many.
        count: usize,
    },
    /// Contents cannot be read, or are not those that were promised.
    #[error("cannot read {what} from {place}: {source}")]
    Read {
        /// Which.
        what: String,
        /// From where.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A folder is no image layout.
    #[error("`{}` is not an OCI image layout: it has no file `oci-layout`", path.display())]
    NoLayout {
        /// The folder.
        path: PathBuf,
    },
    /// The image is not there, or it has to be said which.
    #[error("{place} has {}; {}", no_image(wanted.as_deref(), *several), tags_there(tags))]
    NoImage {
        /// Where it was looked for.
        place: String,
        /// The tag.
        wanted: Option<String>,
        /// Whether there are several that it might be.
        several: bool,
        /// The tags that are there.
        tags: Vec<String>,
    },
    /// There is no image for a platform, or it has to be said for which.
    #[error("{place} has {}; {}", no_platform(wanted.as_deref()), platforms_there(there))]
    NoPlatform {
        /// Where it was looked for.
        place: String,
        /// The platform that was asked for.
        wanted: Option<String>,
        /// The platforms that are there.
        there: Vec<String>,
    },
    /// A program of the machine cannot be run, or fails.
    #[error("cannot run `{program}`: {message}")]
    Program {
        /// Which.
        program: String,
        /// What happened, and what to do about it.
        message: String,
    },
    /// A file or folder cannot be used.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] tree::Error),
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: what was being done to what.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}

fn no_image(wanted: Option<&str>, several: bool) -> String {
    match (wanted, several) {
        (Some(tag), false) => format!("no image `{tag}`"),
        (Some(tag), true) => format!("several images `{tag}`"),
        (None, false) => "no image".to_owned(),
        (None, true) => "several images: say which one by adding `:TAG`".to_owned(),
    }
}

fn tags_there(tags: &[String]) -> String {
    if tags.is_empty() { "it has no tags".to_owned() } else { format!("its tags are {}", tags.join(", ")) }
}

fn no_platform(wanted: Option<&str>) -> String {
    match wanted {
        Some(wanted) => format!("no image for {wanted}"),
        None => "images for several platforms: say which one with `--platform`".to_owned(),
    }
}

fn platforms_there(there: &[String]) -> String {
    if there.is_empty() { "it names no platforms".to_owned() } else { format!("it has {}", there.join(", ")) }
}
