//! A directory as entries in path order.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, Statx, StatxAttributes};

use super::{Root, failed, read};
use crate::layer::{Marks, Noted};
use crate::{Entry, EntryPath, Kind, Result};

/// The entries of a [`Root`] in path order, the root itself first.
///
/// Of several names of a file the first in path order is the [`Kind::File`], the others are [`Kind::HardLink`]s to it.
/// What is mounted beneath the root is not entered: a mount point is an empty directory. Sockets, which mean nothing without
/// their process, are left out, as GNU tar leaves them out. Every entry is looked at through the descriptor of its
/// directory.
#[derive(Debug)]
pub struct Scan<'r> {
    root: &'r Root,
    /// Whether overlayfs's marks are read, and which.
    marks: Option<Marks>,
    started: bool,
    /// The directories from the root down to the current entry's.
    stack: Vec<Directory>,
    /// The current entry.
    current: Option<Current>,
    /// Files with several names, by device and inode.
    linked: HashMap<Identity, EntryPath>,
}

type Identity = (u32, u32, u64);

#[derive(Debug)]
struct Directory {
    fd: Arc<OwnedFd>,
    path: EntryPath,
    names: std::vec::IntoIter<Vec<u8>>,
    has_whiteouts: bool,
}

/// An entry with what overlayfs has noted about it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) noted: Noted,
    /// Files in its directory may be whiteouts.
    pub(crate) parent_has_whiteouts: bool,
}

#[derive(Debug)]
struct Current {
    name: Vec<u8>,
    path: EntryPath,
    /// To be entered next.
    enter: bool,
    /// Files in it may be whiteouts.
    has_whiteouts: bool,
    /// The file's identity, when this is the first of several names.
    first_of: Option<Identity>,
    /// When its status last changed.
    status_changed: (i64, u32),
}

impl Current {
    fn new(name: Vec<u8>, path: EntryPath) -> Current {
        Current { name, path, enter: false, has_whiteouts: false, first_of: None, status_changed: (0, 0) }
    }
}

impl Root {
    /// All entries; see [`Scan`].
    #[must_use]
    pub fn scan(&self) -> Scan<'_> {
        self.scan_with(None)
    }

    /// All entries, with what overlayfs has noted about them.
    pub(crate) fn scan_marked(&self, marks: Marks) -> Scan<'_> {
        self.scan_with(Some(marks))
    }

    fn scan_with(&self, marks: Option<Marks>) -> Scan<'_> {
        Scan { root: self, marks, started: false, stack: Vec::new(), current: None, linked: HashMap::new() }
    }
}

impl Scan<'_> {
    /// Opens the entry that was returned last, which is a file.
    ///
    /// # Errors
    /// [`crate::Error::Entry`] when it is gone, [`crate::Error::WrongKind`] when it is no regular file.
    pub fn open(&self) -> Result<File> {
        match (&self.current, self.stack.last()) {
            (Some(current), Some(directory)) => {
                read::open_regular(directory.fd.as_fd(), &current.name, &current.path)
            }
            _ => self.root.open_file(&EntryPath::ROOT),
        }
    }

    /// When anything about the inode of the entry that was returned last was changed last, in seconds since 1970 and
    /// nanoseconds (`st_ctime`, inode(7)). Unlike the time of modification nobody can set it.
    #[must_use]
    pub fn status_changed(&self) -> (i64, u32) {
        self.current.as_ref().map_or((0, 0), |current| current.status_changed)
    }

    /// Leaves out the entry that was returned last: what is beneath it is not returned, and if it was a file with further
    /// names, the next of them becomes the file.
    pub fn leave_out(&mut self) {
        if let Some(current) = &mut self.current {
            current.enter = false;
            if let Some(identity) = current.first_of.take() {
                self.linked.remove(&identity);
            }
        }
    }

    /// The directory of the entry that was returned last, and its name there.
    pub(crate) fn place(&self) -> Option<(Arc<OwnedFd>, Vec<u8>)> {
        let current = self.current.as_ref()?;
        Some((Arc::clone(&self.stack.last()?.fd), current.name.clone()))
    }

    pub(crate) fn advance(&mut self) -> Result<Option<Found>> {
        match self.current.take() {
            None if !self.started => {
                self.started = true;
                let current = Current::new(b".".to_vec(), EntryPath::ROOT);
                return self.entry(&Arc::clone(&self.root.directory), current, true);
            }
            Some(current) if current.enter => self.enter(&current)?,
            _ => {}
        }
        loop {
            let Some(directory) = self.stack.last_mut() else { return Ok(None) };
            let Some(name) = directory.names.next() else {
                self.stack.pop();
                continue;
            };
            let path = directory.path.join(&name)?;
            let fd = Arc::clone(&directory.fd);
            let current = Current::new(name, path);
            if let Some(entry) = self.entry(&fd, current, false)? {
                return Ok(Some(entry));
            }
        }
    }

    fn enter(&mut self, current: &Current) -> Result<()> {
        let fail = |errno| failed("list", &current.path, errno);
        let above = self.stack.last().map_or(&self.root.directory, |directory| &directory.fd);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(above, &current.name[..], flags, Mode::empty()).map_err(fail)?;
        let names = read::names(fd.as_fd()).map_err(fail)?.into_iter();
        self.stack.push(Directory {
            fd: Arc::new(fd),
            path: current.path.clone(),
            names,
            has_whiteouts: current.has_whiteouts,
        });
        Ok(())
    }

    /// The entry, or `None` for a socket.
    fn entry(&mut self, parent: &OwnedFd, mut current: Current, is_root: bool) -> Result<Option<Found>> {
        let fail = |errno| failed("look at", &current.path, errno);
        let parent = parent.as_fd();
        let status = read::status(parent, &current.name).map_err(fail)?;
        if FileType::from_raw_mode(status.stx_mode.into()) == FileType::Socket {
            return Ok(None);
        }
        let mut kind = read::kind(parent, &current.name, &status).map_err(fail)?;
        let mut metadata = read::metadata(parent, &current.name, &status, self.marks).map_err(fail)?;
        current.status_changed = (status.stx_ctime.tv_sec, status.stx_ctime.tv_nsec);
        let mut noted = Noted::default();
        if let Some(marks) = self.marks
            && !metadata.xattrs.is_empty()
        {
            (metadata.xattrs, noted) = marks.take(metadata.xattrs);
        }
        current.has_whiteouts = noted.whiteouts_inside;
        match kind {
            Kind::Directory => current.enter = is_root || !is_mount_point(&status),
            Kind::File { .. } if status.stx_nlink > 1 => {
                let identity = (status.stx_dev_major, status.stx_dev_minor, status.stx_ino);
                if let Some(first) = self.linked.get(&identity) {
                    kind = Kind::HardLink { target: first.clone() };
                } else {
                    self.linked.insert(identity, current.path.clone());
                    current.first_of = Some(identity);
                }
            }
            _ => {}
        }
        let path = current.path.clone();
        self.current = Some(current);
        let parent_has_whiteouts = self.stack.last().is_some_and(|directory| directory.has_whiteouts);
        Ok(Some(Found { entry: Entry { path, kind, metadata }, noted, parent_has_whiteouts }))
    }
}

fn is_mount_point(status: &Statx) -> bool {
    status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

impl Iterator for Scan<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.advance().map(|found| found.map(|found| found.entry)).transpose()
    }
}
