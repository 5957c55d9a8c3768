//! What is made beneath a folder: nothing has its name before it is what it is to be, however the process ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use tree::{EntryPath, Links, Metadata, Root};

/// A new file, in its folder.
pub(super) struct Fresh {
    folder: OwnedFd,
    file: File,
    /// Where it has one already: the file system has no files without names.
    name: Option<String>,
}

impl Fresh {
    /// Makes a file, empty and of mode 0600, in the folder that is to hold `path`.
    pub(super) fn new(root: &Root, path: &EntryPath) -> io::Result<Self> {
        let folder = open_folder(root, path)?;
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&folder, ".", flags, mode) {
            Ok(file) => return Ok(Self { folder, file: file.into(), name: None }),
            // The last is what a kernel says whose overlayfs cannot do it.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::ISDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let name = temporary_name();
            match rustix::fs::openat(&folder, name.as_str(), flags, mode) {
                // A process that was killed had our number.
                Err(Errno::EXIST) => {}
                file => return Ok(Self { folder, file: file?.into(), name: Some(name) }),
            }
        }
    }

    /// The file, for writing.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its metadata.
    pub(super) fn dress(&self, metadata: &Metadata) -> Result<(), tree::Error> {
        let itself = self.file.try_clone().map_err(|source| tree::Error::Entry {
            operation: "open",
            path: EntryPath::ROOT,
            source,
        })?;
        // To set metadata, a root is what its descriptor is.
        Root::from_fd(itself.into(), Links::Refuse).set_metadata(&EntryPath::ROOT, metadata)
    }

    /// Gives it the last part of `path` as its name, which another file may have until then.
    pub(super) fn publish(mut self, path: &EntryPath) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        if self.name.is_none() {
            match self.link(name) {
                Err(Errno::EXIST) => {}
                other => return Ok(other?),
            }
        }
        let temporary = match self.name.take() {
            Some(temporary) => temporary,
            None => self.link_beside()?,
        };
        let renamed = rustix::fs::renameat(&self.folder, temporary.as_str(), &self.folder, name);
        if renamed.is_err() {
            self.name = Some(temporary);
        }
        Ok(renamed?)
    }

    /// Gives it a name that nobody looks for.
    fn link_beside(&self) -> Result<String, Errno> {
        loop {
            let temporary = temporary_name();
            match self.link(temporary.as_bytes()) {
                Err(Errno::EXIST) => {}
                other => return other.map(|()| temporary),
            }
        }
    }

    fn link(&self, name: &[u8]) -> Result<(), Errno> {
        let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, itself, &self.folder, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // The error that is on its way says more than one about this.
            let _ = rustix::fs::unlinkat(&self.folder, name.as_str(), AtFlags::empty());
        }
    }
}

/// Makes a folder; `mode` is what it has at once, as far as the umask allows.
pub(super) fn make_folder(root: &Root, path: &EntryPath, mode: u32) -> io::Result<()> {
    let folder = open_folder(root, path)?;
    let name = path.file_name().unwrap_or_default();
    Ok(rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(mode))?)
}

/// The folder that is to hold `path`, on a way without links.
fn open_folder(root: &Root, path: &EntryPath) -> io::Result<OwnedFd> {
    let (flags, mode) = (OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let folder = path.parent().unwrap_or(EntryPath::ROOT);
    if folder.is_root() {
        return Ok(rustix::fs::openat(root, ".", flags, mode)?);
    }
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        // The kernel asks to try again when something was renamed meanwhile.
        match rustix::fs::openat2(root, folder.as_bytes(), flags, mode, beneath) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn temporary_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!(".ovmlayer-cp-{}-{number}", std::process::id())
}
