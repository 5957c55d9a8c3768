//! Descriptors of the directories that were used last.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Links;

/// How many directories are kept. Packages are unpacked side by side, each directory by directory, so a few per thread
/// suffice; a search through them costs far less than the system call it saves.
const KEPT: usize = 32;

/// How often `openat2` is asked again when it says that a rename elsewhere kept it from being sure (`EAGAIN`).
const ATTEMPTS: usize = 1000;

/// An open directory.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    fd: Arc<OwnedFd>,
    /// The directory gives its group to what is created in it.
    pub(super) set_gid: bool,
}

impl Parent {
    pub(super) fn new(fd: Arc<OwnedFd>, set_gid: bool) -> Parent {
        Parent { fd, set_gid }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The kept directories by path, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Parents(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    directories: Vec<(Box<[u8]>, Parent)>,
    /// Counts the clearings, so that a directory that was opened before one is not kept after it.
    generation: u64,
}

impl Parents {
    /// The directory `path` beneath `root`, opened now or before.
    pub(super) fn get(&self, root: &Arc<OwnedFd>, links: Links, path: &[u8]) -> rustix::io::Result<Parent> {
        let generation = {
            let mut kept = self.lock();
            if let Some(parent) = kept.find(path) {
                return Ok(parent);
            }
            kept.generation
        };
        let fd = if path.is_empty() { Arc::clone(root) } else { Arc::new(open_beneath(root, links, path)?) };
        let set_gid = rustix::fs::fstat(&fd)?.st_mode & 0o2000 != 0;
        let parent = Parent { fd, set_gid };
        self.keep(path, &parent, generation);
        Ok(parent)
    }

    /// The number to give to [`Parents::keep`], from before the directory was opened.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Keeps a directory unless everything has been forgotten since `generation`.
    pub(super) fn keep(&self, path: &[u8], parent: &Parent, generation: u64) {
        let mut kept = self.lock();
        if kept.generation != generation || kept.find(path).is_some() {
            return;
        }
        if kept.directories.len() == KEPT {
            kept.directories.remove(0);
        }
        kept.directories.push((path.into(), parent.clone()));
    }

    /// Forgets all: a directory may have been moved, removed or got another mode.
    pub(super) fn clear(&self) {
        let mut kept = self.lock();
        kept.generation += 1;
        kept.directories.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, path: &[u8]) -> Option<Parent> {
        let found = self.directories.iter().rposition(|(known, _)| **known == *path)?;
        self.directories[found..].rotate_left(1);
        self.directories.last().map(|(_, parent)| parent.clone())
    }
}

/// Opens a directory beneath `root`, as far as the kernel can vouch for it.
fn open_beneath(root: &OwnedFd, links: Links, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_MAGICLINKS
        | match links {
            Links::Refuse => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            Links::WithinRoot => ResolveFlags::IN_ROOT,
        };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => std::thread::yield_now(),
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}
