//! Files that are created now and completed later, by whoever writes their last part.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags};

use super::{Root, failed, file_from};
use crate::{EntryPath, Error, Kind, Metadata, Result};

/// A file without its metadata yet.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) file: File,
    fresh: bool,
}

impl Root {
    /// Creates a file of `size` bytes, all of them a hole.
    pub(crate) fn begin_file(&self, path: &EntryPath, size: u64) -> Result<Unfinished> {
        let unfinished = self.create_new(path)?;
        rustix::fs::ftruncate(&unfinished.file, size)
            .map_err(|errno| failed("set the size of", path, errno))?;
        Ok(unfinished)
    }

    /// Creates a file with these contents: as [`Root::write_file`], but from memory.
    pub(crate) fn write_bytes(&self, path: &EntryPath, metadata: &Metadata, contents: &[u8]) -> Result<()> {
        let unfinished = self.create_new(path)?;
        let write = |source| Error::Entry { operation: "write", path: path.clone(), source };
        std::io::Write::write_all(&mut &unfinished.file, contents).map_err(write)?;
        self.finish_file(&unfinished, path, metadata)
    }

    /// Gives a file its metadata; nobody may write to it after that.
    pub(crate) fn finish_file(
        &self,
        unfinished: &Unfinished,
        path: &EntryPath,
        metadata: &Metadata,
    ) -> Result<()> {
        self.dress(unfinished.file.as_fd(), path, metadata, unfinished.fresh)
    }

    /// Creates a device node. A character device 0:0 is a whiteout, which ordinary users may make too.
    ///
    /// # Errors
    /// [`Error::Entry`]; [`Error::WrongKind`] when `kind` is no device.
    pub fn make_device(&self, path: &EntryPath, kind: &Kind, metadata: &Metadata) -> Result<()> {
        let (file_type, major, minor) = match *kind {
            Kind::CharDevice { major, minor } => (FileType::CharacterDevice, major, minor),
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, major, minor),
            _ => return Err(Error::WrongKind { path: path.clone(), found: kind.name(), wanted: "device" }),
        };
        let (parent, name) = self.locate_beneath("create device", path)?;
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(parent.fd(), name, file_type, Mode::empty(), device)
            .map_err(|errno| failed("create device", path, errno))?;
        self.set_metadata(path, metadata)
    }

    /// Creates a whiteout, in one system call.
    pub(crate) fn make_whiteout(&self, path: &EntryPath) -> Result<()> {
        let (parent, name) = self.locate_beneath("create whiteout", path)?;
        rustix::fs::mknodat(parent.fd(), name, FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(|errno| failed("create whiteout", path, errno))
    }

    /// Sets one extended attribute of a directory.
    pub(crate) fn mark_directory(&self, path: &EntryPath, name: &[u8], value: &[u8]) -> Result<()> {
        let fail = |errno| failed("set an extended attribute of", path, errno);
        let directory = self.open_directory(path).map_err(fail)?;
        super::xattr::fset(directory.as_fd(), name, value).map_err(fail)
    }

    fn create_new(&self, path: &EntryPath) -> Result<Unfinished> {
        let (parent, name) = self.locate_beneath("create", path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent.fd(), name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed("create", path, errno))?;
        Ok(Unfinished { file: file_from(fd), fresh: !parent.set_gid })
    }
}
