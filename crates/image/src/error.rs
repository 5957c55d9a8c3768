//! What can go wrong with images.

use std::io;
use std::path::{Path, PathBuf};

use crate::Platform;
use crate::registry::RegistryError;

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
    /// There is no image for a platform.
    #[error("{place} has no image for {wanted}: {}", platforms_there(found))]
    NoPlatform {
        /// Where it was looked for.
        place: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        found: Vec<String>,
    },
    /// A registry cannot be used.
    #[error(transparent)]
    Registry(#[from] Box<RegistryError>),
    /// An archive can hold one image only.
    #[error(
        "cannot write {place}: it holds one image, and this one is {count}, for {platforms}: choose a platform"
    )]
    OnePlatform {
        /// The archive.
        place: String,
        /// How many images there are.
        count: usize,
        /// Their platforms.
        platforms: String,
    },
    /// Layers cannot be compressed so.
    #[error("cannot write layers compressed as `{format}`: OCI images have gzip and zstd")]
    Compression {
        /// The compression.
        format: String,
    },
    /// A time is none.
    #[error("cannot write {seconds} seconds since 1970 as a date")]
    Time {
        /// The time.
        seconds: i64,
    },
    /// It was asked to stop.
    #[error("interrupted")]
    Interrupted,
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

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Box::new(error))
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

fn platforms_there(found: &[String]) -> String {
    if found.is_empty() {
        "it has no images at all".to_owned()
    } else {
        format!("it has {}", found.join(", "))
    }
}
