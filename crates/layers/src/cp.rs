//! `cp`: files into layers and merge points, and out of them.
//!
//! What is copied in is put beneath the descriptor of a layer or of the merged files, and what is copied out beneath that
//! of a folder of the machine, so that no link inside leads anywhere else. An idle layer is written to directly; one that
//! is the top of a merge point is written to through that, for the kernel does not allow changes underneath it.

mod contents;
mod fresh;
pub(crate) mod place;
mod transfer;
mod verb;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tree::{EntryPath, Kind, Links, Root};

use transfer::{Source, Target};
pub use verb::Transfer;

/// Who owns copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Whoever owned the source.
    Keep,
    /// This one.
    One {
        uid: u32,
        gid: u32,
        /// Whether set-id bits (where the owner stays the same) and capabilities are kept.
        trusted: bool,
    },
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of contents.
    pub bytes: u64,
    /// Devices, which are left out.
    pub devices: u64,
    /// Marks of what a layer hides, which mean nothing elsewhere and are left out.
    pub whiteouts: u64,
}

/// Why something cannot be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// There is nothing of that name.
    #[error("there is no `/{path}`")]
    Absent {
        /// The name inside.
        path: EntryPath,
    },
    /// A part of the destination is no folder.
    #[error("`/{path}` is a {found}, not a folder: things are copied into a folder")]
    NoFolder {
        /// The part.
        path: EntryPath,
        /// What it is.
        found: &'static str,
    },
    /// The name is taken by something that is not replaced.
    #[error("cannot put a {wanted} at `/{path}`: a {found} is there")]
    InTheWay {
        /// Where.
        path: EntryPath,
        /// What is there.
        found: &'static str,
        /// What was to be put there.
        wanted: &'static str,
    },
    /// Symbolic links lead in a circle.
    #[error("too many symbolic links at `/{path}`")]
    Links {
        /// The link that was one too many.
        path: EntryPath,
    },
    /// The source has no name of its own.
    #[error("`{}` has no name that its copy could get", path.display())]
    NoName {
        /// The source.
        path: PathBuf,
    },
    /// The destination lies beneath the source.
    #[error("cannot copy `{}` into itself: the store of the layer lies in it", path.display())]
    IntoItself {
        /// The source.
        path: PathBuf,
    },
    /// A file of the machine cannot be used.
    #[error("cannot {action} `{}`", path.display())]
    Host {
        /// What was being done, a verb.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Tree(#[from] tree::Error),
}

/// A file or folder of the machine that is to be copied, opened before anything else is entered or joined.
#[derive(Debug)]
pub(crate) struct HostSource {
    source: Source,
    name: Vec<u8>,
    path: PathBuf,
}

impl HostSource {
    /// Opens what `path` leads to; a link that leads nowhere stands for itself.
    pub(crate) fn open(path: &Path) -> Result<Self, CopyError> {
        let fail = |action| move |source| CopyError::Host { action, path: path.to_owned(), source };
        let linked = path.symlink_metadata().map_err(fail("copy"))?;
        let full = if linked.is_symlink() && !path.exists() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().map_err(fail("find"))?;
            folder.join(path.file_name().ok_or_else(|| CopyError::NoName { path: path.to_owned() })?)
        } else {
            path.canonicalize().map_err(fail("find"))?
        };
        // A name such as `.` says nothing; then it is that of the folder itself.
        let name = path.file_name().or_else(|| full.file_name());
        let name = name.ok_or_else(|| CopyError::NoName { path: path.to_owned() })?.as_bytes().to_vec();
        let source = if full.is_dir() {
            Source::Tree(Root::open(&full, Links::Refuse)?)
        } else {
            let folder = full.parent().unwrap_or(Path::new("/"));
            let file = full.file_name().unwrap_or_default().as_bytes();
            Source::Single(
                Root::open(folder, Links::Refuse)?,
                EntryPath::parse(file).map_err(tree::Error::from)?,
            )
        };
        Ok(Self { source, name, path: full })
    }

    /// Copies it into the folder `inside` of a layer or of merged files.
    pub(crate) fn copy_into(
        &self,
        inside: &OsStr,
        target: &Inside<'_>,
        keep_owner: bool,
    ) -> Result<Copied, CopyError> {
        if target.store.starts_with(&self.path) {
            return Err(CopyError::IntoItself { path: self.path.clone() });
        }
        let owner = if keep_owner { Owner::Keep } else { Owner::One { uid: 0, gid: 0, trusted: true } };
        let place = place::folder(target.root, target.below, inside.as_bytes())?;
        let target = Target { root: target.root, below: target.below, opaque: target.opaque, owner };
        target.make(&place.missing)?;
        target.copy(&self.source, &place, &self.name)
    }
}

/// A layer, or merged files, that is copied into.
#[derive(Debug)]
pub(crate) struct Inside<'r> {
    pub(crate) root: &'r Root,
    /// Of a layer: the root filesystem.
    pub(crate) below: Option<&'r Root>,
    /// Of a layer: the attribute that makes a directory opaque.
    pub(crate) opaque: Option<&'r str>,
    /// The store, which must not be copied into itself.
    pub(crate) store: &'r Path,
}

/// A folder of the machine that is copied to.
#[derive(Debug)]
pub(crate) struct HostFolder(OwnedFd);

impl HostFolder {
    /// Opens a folder, which is made when it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, CopyError> {
        let fail = |source| CopyError::Host { action: "make the folder", path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(fail)?;
        Ok(Self(File::open(path).map_err(fail)?.into()))
    }

    /// Copies the file or folder `inside` of a layer or of merged files into it.
    pub(crate) fn copy_from(
        &self,
        root: &Root,
        inside: &OsStr,
        keep_owner: bool,
    ) -> Result<Copied, CopyError> {
        let fail = |source| CopyError::Host { action: "use the folder", path: PathBuf::new(), source };
        let folder = Root::from_fd(self.0.try_clone().map_err(fail)?, Links::Refuse);
        let owner = if keep_owner {
            Owner::Keep
        } else {
            let uid = rustix::process::geteuid().as_raw();
            let gid = rustix::process::getegid().as_raw();
            Owner::One { uid, gid, trusted: false }
        };
        let (path, kind) = place::source(root, inside.as_bytes())?;
        let given = Path::new(inside).file_name().map(|name| name.as_bytes().to_vec());
        let name = given.or_else(|| path.file_name().map(<[u8]>::to_vec));
        let name = name.ok_or_else(|| CopyError::NoName { path: inside.into() })?;
        let source = match kind {
            Kind::Directory => Source::Tree(root.subroot(&path)?),
            _ => Source::Single(root.subroot(&EntryPath::ROOT)?, path),
        };
        let place = place::folder(&folder, None, b"")?;
        Target { root: &folder, below: None, opaque: None, owner }.copy(&source, &place, &name)
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
