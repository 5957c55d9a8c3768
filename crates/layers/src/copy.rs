//! Copying the content of layers, with everything that a file system keeps of it.
//!
//! One layer is copied as it is ([`exact`]), several become one that has the same effect ([`flattened`]). Owners, modes,
//! times to the nanosecond, hard links, holes, extended attributes, device nodes, whiteouts and opaque directories are
//! kept; overlay marks get the names that the target's form has. No link is followed.

mod attributes;
mod contents;
mod entry;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::store::Form;
use crate::{Error, LayerName, Result};

/// A layer to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) form: Form,
}

/// Why a copy failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The target's file system cannot keep something.
    NotKept { what: &'static str, source: io::Error },
    /// Anything else.
    Failed(Error),
}

impl Failure {
    /// The error for the layer `name` and the store `store`.
    pub(crate) fn into_error(self, name: &LayerName, store: &Path) -> Error {
        match self {
            Self::NotKept { what, source } => {
                Error::NotKept { name: name.clone(), what, store: store.to_owned(), source }
            }
            Self::Failed(error) => error,
        }
    }
}

/// Copies one layer into the empty folder `target`, byte by byte and mark by mark.
pub(crate) fn exact(source: Source<'_>, target: &Path, form: Form) -> Result<(), Failure> {
    Copier::new(form, true, target)?.run(&[source])
}

/// Makes one layer of several, given top first, in the empty folder `target`.
pub(crate) fn flattened(sources: &[Source<'_>], target: &Path, form: Form) -> Result<(), Failure> {
    Copier::new(form, false, target)?.run(sources)
}

/// An open directory of a layer.
struct From {
    fd: OwnedFd,
    form: Form,
}

/// What a directory becomes when it is complete.
struct Copier {
    form: Form,
    exact: bool,
    /// The target, for the names of files that get further names.
    root: OwnedFd,
    /// The target's path, for messages.
    target: PathBuf,
    /// Where the first name of a file with several was copied to, beneath the target; by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

/// The entry that a name stands for in a stack of directories.
enum Found {
    /// Hides what is below. Of an exact copy it is an entry as any other.
    Whiteout,
    /// A directory and those of the same name below it that are seen through it.
    Directories { stack: Vec<From>, status: Stat, opaque: bool },
    /// Anything else.
    Other(usize, Stat),
}

impl Copier {
    fn new(form: Form, exact: bool, target: &Path) -> Result<Self, Failure> {
        let root = open_directory(rustix::fs::CWD, target).map_err(|errno| failed("open", target)(errno))?;
        Ok(Self { form, exact, root, target: target.to_owned(), linked: HashMap::new() })
    }

    fn run(mut self, sources: &[Source<'_>]) -> Result<(), Failure> {
        let mut stack = Vec::with_capacity(sources.len());
        for source in sources {
            let fd = open_directory(rustix::fs::CWD, source.folder).map_err(failed("open", source.folder))?;
            stack.push(From { fd, form: source.form });
        }
        let Some(top) = stack.first() else { return Ok(()) };
        let status = rustix::fs::fstat(&top.fd).map_err(failed("look at", &self.target))?;
        let root = rustix::io::dup(&self.root).map_err(failed("open", &self.target))?;
        self.directory(&stack, &status, false, root.as_fd(), b"")
    }

    /// Fills the directory `to`, which is at `path` beneath the target, from a stack of directories, and dresses it as
    /// the top one is.
    fn directory(
        &mut self,
        stack: &[From],
        status: &Stat,
        opaque: bool,
        to: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<(), Failure> {
        let mut whiteouts = stack.first().is_some_and(attributes::may_have_whiteouts);
        for (name, first) in names(stack).map_err(failed("read", self.shown(path)))? {
            let inside = if path.is_empty() {
                name.as_bytes().to_vec()
            } else {
                [path, b"/", name.as_bytes()].concat()
            };
            let found = self.find(&stack[first..], &name).map_err(failed("read", self.shown(&inside)))?;
            match found {
                None => {}
                // It would hide nothing, and be seen: the kernel lists a directory without lower ones as it is.
                Some(Found::Whiteout) if opaque => {}
                Some(Found::Whiteout) => {
                    whiteouts = true;
                    self.whiteout(to, &name, &inside)?;
                }
                Some(Found::Other(at, status)) => {
                    self.entry(&stack[first + at], &name, &status, to, &inside)?;
                }
                Some(Found::Directories { stack, status, opaque }) => {
                    rustix::fs::mkdirat(to, &name, Mode::RWXU)
                        .map_err(failed("create", self.shown(&inside)))?;
                    let child = open_directory(to, &name).map_err(failed("open", self.shown(&inside)))?;
                    self.directory(&stack, &status, opaque, child.as_fd(), &inside)?;
                }
            }
        }
        let Some(top) = stack.first() else { return Ok(()) };
        let mut attributes =
            attributes::read(top, self.form).map_err(failed("read the attributes of", self.shown(path)))?;
        if opaque && !self.exact {
            attributes.insert(format!("{}opaque", self.form.prefix()).into_bytes(), b"y".to_vec());
        }
        if whiteouts {
            attributes::mark_whiteouts(&mut attributes, self.form);
        }
        attributes::dress(to, status, &attributes).map_err(|lost| lost.or(self.shown(path)))
    }

    /// What `name` stands for in a stack of directories.
    fn find(&self, stack: &[From], name: &CStr) -> Result<Option<Found>, Errno> {
        let mut directories: Vec<From> = Vec::new();
        let mut top = None;
        let mut opaque = false;
        for (at, from) in stack.iter().enumerate() {
            let status = match rustix::fs::statat(&from.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(status) => status,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
            if !is_directory {
                if top.is_some() {
                    // What is not a directory, or is said not to be there, is hidden with everything below it.
                    opaque = true;
                    break;
                }
                let hides = !self.exact && is_whiteout(from, name, &status);
                return Ok(Some(if hides { Found::Whiteout } else { Found::Other(at, status) }));
            }
            let child = From { fd: open_directory(&from.fd, name)?, form: from.form };
            opaque = attributes::is_opaque(&child);
            directories.push(child);
            top.get_or_insert(status);
            if opaque || self.exact {
                break;
            }
        }
        Ok(top.map(|status| Found::Directories { stack: directories, status, opaque }))
    }

    /// A path beneath the target, for messages.
    fn shown(&self, path: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        self.target.join(std::ffi::OsStr::from_bytes(path))
    }
}

/// The names in a stack of directories, in the order of their bytes, each with the first directory that has it.
fn names(stack: &[From]) -> Result<BTreeMap<CString, usize>, Errno> {
    let mut names = BTreeMap::new();
    for (at, from) in stack.iter().enumerate() {
        for entry in Dir::read_from(&from.fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.entry(name.to_owned()).or_insert(at);
            }
        }
    }
    Ok(names)
}

/// A whiteout as overlayfs makes it, or in the form that does without device nodes.
fn is_whiteout(from: &From, name: &CStr, status: &Stat) -> bool {
    match FileType::from_raw_mode(status.st_mode) {
        FileType::CharacterDevice => status.st_rdev == 0,
        FileType::RegularFile if status.st_size == 0 => attributes::is_marked_whiteout(from, name),
        _ => false,
    }
}

fn open_directory(at: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// For `map_err`: a failed system call.
fn failed<E: Into<io::Error>>(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Failure {
    let fail = Error::io(action, path);
    move |source| Failure::Failed(fail(source))
}
