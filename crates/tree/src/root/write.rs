//! Creating entries.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::parents::Parent;
use super::{Links, Root, failed, file_from};
use crate::{EntryPath, Error, Metadata, Result};

/// How much is copied at once, in bytes: enough to make system calls cheap, little enough to stay in a core's cache.
const BUFFER: usize = 128 * 1024;

thread_local! {
    static COPY_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Root {
    /// Creates a file with the contents that `contents` gives, and says how many bytes these were. What is there already
    /// is never touched; a file that cannot be completed is removed again.
    ///
    /// # Errors
    /// [`Error::Entry`], also ([`io::ErrorKind::AlreadyExists`]) when the name is taken; [`Error::Contents`] when reading
    /// `contents` fails.
    pub fn write_file(&self, path: &EntryPath, metadata: &Metadata, contents: &mut dyn Read) -> Result<u64> {
        self.create_file(path, metadata, |file| copy(contents, file, path))
    }

    /// As [`Root::write_file`], from an open file at its position: inside the kernel, sharing extents where the file
    /// system can.
    ///
    /// # Errors
    /// As [`Root::write_file`].
    pub fn copy_file(&self, path: &EntryPath, metadata: &Metadata, source: &File) -> Result<u64> {
        self.create_file(path, metadata, |file| copy_range(source, file, path))
    }

    /// Creates a directory. `false` when there is a directory already, which keeps its metadata; with
    /// [`Links::WithinRoot`] a symbolic link to a directory within the root counts as one.
    ///
    /// # Errors
    /// [`Error::Entry`], also ([`io::ErrorKind::AlreadyExists`]) when the name belongs to something else.
    pub fn make_dir(&self, path: &EntryPath, metadata: &Metadata) -> Result<bool> {
        if path.is_root() {
            return Ok(false);
        }
        let (parent, name) = self.locate_beneath("create", path)?;
        let generation = self.parents.generation();
        match rustix::fs::mkdirat(parent.fd(), name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return match self.parents.get(&self.directory, self.links, path.as_bytes()) {
                    Ok(_) => Ok(false),
                    Err(_) => Err(failed("create directory", path, Errno::EXIST)),
                };
            }
            Err(errno) => return Err(failed("create directory", path, errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent.fd(), name, flags, Mode::empty())
            .map_err(|errno| failed("open", path, errno))?;
        self.dress(fd.as_fd(), path, metadata, !parent.set_gid)?;
        // What comes next is most likely created in it.
        let created = Parent::new(Arc::new(fd), metadata.mode & 0o2000 != 0);
        self.parents.keep(path.as_bytes(), &created, generation);
        Ok(true)
    }

    /// Creates the directories above `path` that are missing, each with `metadata`.
    ///
    /// # Errors
    /// As [`Root::make_dir`].
    pub fn make_parents(&self, path: &EntryPath, metadata: &Metadata) -> Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if self.parents.get(&self.directory, self.links, parent.as_bytes()).is_ok() {
            return Ok(());
        }
        self.make_parents(&parent, metadata)?;
        self.make_dir(&parent, metadata).map(|_| ())
    }

    /// Creates a symbolic link. Its target is bytes for others to interpret.
    ///
    /// # Errors
    /// [`Error::Entry`].
    pub fn symlink(&self, path: &EntryPath, target: &[u8], metadata: &Metadata) -> Result<()> {
        let fail = |errno| failed("create symbolic link", path, errno);
        let (parent, name) = self.locate_beneath("create symbolic link", path)?;
        rustix::fs::symlinkat(target, parent.fd(), name).map_err(fail)?;
        self.dress_symlink(&parent, name, path, metadata, !parent.set_gid)
    }

    /// Creates one more name for the file `target`, which is not followed when it is a symbolic link.
    ///
    /// # Errors
    /// [`Error::Entry`].
    pub fn hard_link(&self, path: &EntryPath, target: &EntryPath) -> Result<()> {
        let (old, old_name) = self.locate_beneath("create a link to", target)?;
        let (new, new_name) = self.locate_beneath("create link", path)?;
        rustix::fs::linkat(old.fd(), old_name, new.fd(), new_name, AtFlags::empty())
            .map_err(|errno| failed("create link", path, errno))
    }

    /// Creates a named pipe.
    ///
    /// # Errors
    /// [`Error::Entry`].
    pub fn make_fifo(&self, path: &EntryPath, metadata: &Metadata) -> Result<()> {
        let (parent, name) = self.locate_beneath("create named pipe", path)?;
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(parent.fd(), name, FileType::Fifo, mode, 0)
            .map_err(|errno| failed("create named pipe", path, errno))?;
        self.set_metadata(path, metadata)
    }

    /// Puts a file with these contents in the place of `path`, whatever file or link is there, in one step: a reader sees
    /// the old one or the new one.
    ///
    /// # Errors
    /// [`Error::Entry`], also when `path` is a directory.
    pub fn replace(&self, path: &EntryPath, metadata: &Metadata, contents: &[u8]) -> Result<()> {
        let (parent, name) = self.locate_beneath("replace", path)?;
        let temporary = self.create_temporary(&parent, path, metadata, contents)?;
        let renamed = rustix::fs::renameat(parent.fd(), temporary.as_str(), parent.fd(), name);
        if let Err(errno) = renamed {
            discard(&parent, temporary.as_bytes());
            return Err(failed("replace", path, errno));
        }
        if self.links == Links::WithinRoot {
            // A symbolic link that directories were reached through may be gone.
            self.parents.clear();
        }
        Ok(())
    }

    /// Creates a file under a name of its own beside `path`; gives that name.
    fn create_temporary(
        &self,
        parent: &Parent,
        path: &EntryPath,
        metadata: &Metadata,
        contents: &[u8],
    ) -> Result<String> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!(".ovmlayer-{}-{number}", std::process::id());
            let mut rest = contents;
            match self.create_in(parent, name.as_bytes(), path, metadata, |file| copy(&mut rest, file, path))
            {
                Ok(_) => return Ok(name),
                // Left by a process that was killed; in a process namespace numbers soon come again.
                Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn create_file(
        &self,
        path: &EntryPath,
        metadata: &Metadata,
        fill: impl FnOnce(&mut File) -> Result<u64>,
    ) -> Result<u64> {
        let (parent, name) = self.locate_beneath("create", path)?;
        self.create_in(&parent, name, path, metadata, fill)
    }

    /// Creates the file `name` in `parent`; `path` is for messages.
    fn create_in(
        &self,
        parent: &Parent,
        name: &[u8],
        path: &EntryPath,
        metadata: &Metadata,
        fill: impl FnOnce(&mut File) -> Result<u64>,
    ) -> Result<u64> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd: OwnedFd = rustix::fs::openat(parent.fd(), name, flags, mode)
            .map_err(|errno| failed("create", path, errno))?;
        let mut file = file_from(fd);
        let result = fill(&mut file).and_then(|length| {
            self.dress(file.as_fd(), path, metadata, !parent.set_gid)?;
            Ok(length)
        });
        if result.is_err() {
            discard(parent, name);
        }
        result
    }
}

/// Removes what could not be completed; the error that is on its way says more than one about this.
fn discard(parent: &Parent, name: &[u8]) {
    let _ = rustix::fs::unlinkat(parent.fd(), name, AtFlags::empty());
}

/// Copies until the end, through this thread's buffer.
fn copy(contents: &mut dyn Read, file: &mut File, path: &EntryPath) -> Result<u64> {
    // Taken rather than borrowed: reading the contents may come back here.
    let mut buffer = COPY_BUFFER.take();
    buffer.resize(BUFFER, 0);
    let result = copy_through(&mut buffer, contents, file, path);
    COPY_BUFFER.set(buffer);
    result
}

fn copy_through(
    buffer: &mut [u8],
    contents: &mut dyn Read,
    file: &mut File,
    path: &EntryPath,
) -> Result<u64> {
    let mut length = 0;
    loop {
        let filled =
            fill(buffer, contents).map_err(|source| Error::Contents { path: path.clone(), source })?;
        file.write_all(&buffer[..filled]).map_err(|source| Error::Entry {
            operation: "write",
            path: path.clone(),
            source,
        })?;
        length += filled as u64;
        if filled < buffer.len() {
            return Ok(length);
        }
    }
}

/// Reads until the buffer is full or the source at its end.
pub(crate) fn fill(buffer: &mut [u8], source: &mut dyn Read) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn copy_range(source: &File, file: &mut File, path: &EntryPath) -> Result<u64> {
    let mut length = 0;
    loop {
        match rustix::fs::copy_file_range(source, None, &*file, None, 1 << 30) {
            Ok(0) => break,
            Ok(copied) => length += copied as u64,
            Err(Errno::INTR) => {}
            // Another file system, or one that cannot: nothing has been copied by this call.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF) => break,
            Err(errno) => return Err(failed("write", path, errno)),
        }
    }
    // Some file systems (of /proc and /sys) report an end where there is none, so the end is always read.
    let mut source = source;
    Ok(length + copy(&mut source, file, path)?)
}
