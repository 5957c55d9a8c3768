//! What can go wrong with images.

use std::io;
use std::path::{Path, PathBuf};

use tree::{EntryPath, PathError};

use crate::registry::RegistryError;
use crate::{Platform, Reference};

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
    /// A reference into a registry, where there is no way to registries.
    #[error(
        "cannot read {reference}: no registry can be reached from here; name an image layout or an archive on disk"
    )]
    NoRegistry {
        /// The reference.
        reference: Reference,
    },
    /// There is no network, and the cache does not have what is needed.
    #[error("the cache does not have {what} of {name}: read it once without `--offline`")]
    NotKept {
        /// What is missing.
        what: String,
        /// The image.
        name: String,
    },
    /// A file is no archive of images.
    #[error(
        "{place} is no archive of images: it has neither `oci-layout` with `index.json` nor `manifest.json`"
    )]
    NoArchive {
        /// The file.
        place: String,
    },
    /// A tar of images cannot be read.
    #[error("cannot read {}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: tree::Error,
    },
    /// What an image names is not there.
    #[error("{place} has no {what}, which the image needs: it is incomplete, copy it anew")]
    NoBlob {
        /// What is missing.
        what: String,
        /// Where it was looked for.
        place: String,
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
    /// Indices within indices within indices.
    #[error("cannot read {what}: it has more indices within indices than make sense ({limit} are followed)")]
    TooDeep {
        /// The root of them.
        what: String,
        /// The bound.
        limit: usize,
    },
    /// A document is of another type than its descriptor says.
    #[error("cannot read {what}: it is said to be {promised}, and says itself that it is {found}")]
    MediaType {
        /// Which.
        what: String,
        /// The descriptor's word.
        promised: String,
        /// The document's own.
        found: String,
    },
    /// A layer is no layer of a file system.
    #[error("cannot use {what} as a layer: it is {found}, and no tar of a file system")]
    NoLayer {
        /// Which.
        what: String,
        /// What it is.
        found: String,
    },
    /// A configuration does not fit its manifest.
    #[error("cannot read {what}: it has {layers} layers, and its configuration has {diff_ids}")]
    LayerCount {
        /// The image.
        what: String,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        diff_ids: usize,
    },
    /// A layer cannot be read, or not be put on those below it.
    #[error("cannot unpack layer {digest} of {place}")]
    Layer {
        /// Its digest.
        digest: String,
        /// Where it is from.
        place: String,
        /// What is wrong.
        source: LayerProblem,
    },
    /// An entry cannot be put into a tree.
    #[error("cannot add `{path}` to the tree")]
    Add {
        /// The entry.
        path: EntryPath,
        /// What is wrong.
        source: LayerProblem,
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

/// What can be wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerProblem {
    /// Its bytes cannot be read, or are not those that were promised.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is no tar, or one with members that are not acceptable.
    #[error(transparent)]
    Tar(#[from] tree::Error),
    /// Something that is no directory stands where an entry's directory would be.
    #[error("`{path}` is a {found}, so that `{beneath}` cannot be put into it")]
    NotADirectory {
        /// What stands there.
        path: String,
        /// Its kind.
        found: &'static str,
        /// What should be put there.
        beneath: EntryPath,
    },
    /// A hard link to what is not there, or to a directory.
    #[error("`{path}` is a hard link to `{target}`, which is {found}")]
    LinkTarget {
        /// The link.
        path: EntryPath,
        /// Its target.
        target: EntryPath,
        /// What the target is.
        found: &'static str,
    },
    /// Symbolic links that lead to each other.
    #[error("`{path}` lies behind more than {limit} symbolic links")]
    LinkLoop {
        /// The entry.
        path: EntryPath,
        /// The bound.
        limit: usize,
    },
    /// A link makes a path longer than paths can be.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The image is too large with it.
    #[error(
        "with it the image has more than {limit} {what}, which is the bound for images; it is damaged or hostile"
    )]
    Limit {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The working file cannot be written.
    #[error("cannot write a working file in {}", folder.display())]
    Spool {
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
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
