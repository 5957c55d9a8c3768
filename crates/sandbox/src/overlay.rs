//! Overlay mounts: a stack of directories shown as one, with one on top that takes what is written.
//!
//! Made by the new mount API, which takes the lowers one by one; the old one takes them in a single page with
//! separators that paths may hold too. Every option that changes what is kept in an upper is given, so that no
//! default of the machine matters: each upper stays complete by itself and may be stacked anew with other neighbours.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};

use crate::{Error, raw};

/// Lowers that the kernel takes at most (`OVL_MAX_STACK`).
pub const MAX_LOWERS: usize = 500;

/// Bytes that a string given by fsconfig(2) may have; the kernel's limit of 256 counts the end.
const LONGEST_STRING: usize = 255;

/// Where the overlay keeps its marks, such as that of an opaque directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Xattrs {
    /// `user.overlay.*`: what an ordinary user can write, and root as well.
    User,
    /// `trusted.overlay.*`: root of the machine only, not of a user namespace.
    Trusted,
}

/// An overlay to be mounted. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// What the mount table shows as its source; at most 255 bytes.
    pub source: String,
    /// Where its marks are kept.
    pub xattrs: Xattrs,
    /// Directories that are only read, top first: 1 to [`MAX_LOWERS`], and 2 at least where there is no upper.
    pub lowers: Vec<PathBuf>,
    /// Where writes go; without it the overlay is read-only.
    pub upper: Option<Upper>,
}

/// The writable top of an [`Overlay`].
#[derive(Clone, Debug)]
pub struct Upper {
    /// The directory that takes the writes.
    pub upper: PathBuf,
    /// An empty directory on the same mount, for the kernel's use while this overlay is mounted.
    pub work: PathBuf,
}

impl Overlay {
    /// Mounts it at `target`, a directory; mounts made beneath it stay private to this mount namespace.
    ///
    /// # Errors
    /// [`Error::UpperInUse`], which the kernel itself would not mind. When the stack has no valid size, a path is missing
    /// or cannot be given to the kernel, or the kernel refuses; also when the file system of the upper is full.
    pub fn mount(&self, target: &Path) -> Result<(), Error> {
        let _turn = self.turn()?;
        if let Some(Upper { upper, .. }) = &self.upper
            && marked(upper)?
        {
            return Err(Error::UpperInUse { upper: upper.clone() });
        }
        let mount = self.make()?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        let attached = rustix::mount::move_mount(&mount, c"", CWD, target, flags);
        attached.map_err(Error::system(format!("mount an overlay at {}", target.display())))?;
        // Only now: the kernel makes it shared when it is attached to a mount that is.
        raw::set_mount_attributes(&mount, MountAttrFlags::empty()).map_err(|errno| {
            // The first failure is the one to tell.
            let _ = crate::mounts::unmount(target, true);
            Error::system(format!("make the mount at {} private", target.display()))(errno)
        })
    }

    /// Lets the kernel set it up, and drops it without having attached it anywhere.
    ///
    /// Like a mount this leaves a folder `work` in the work folder. Whether the upper is in use is not looked at.
    ///
    /// # Errors
    /// As [`Overlay::mount`].
    pub fn probe(&self) -> Result<(), Error> {
        let _turn = self.turn()?;
        self.make().map(drop)
    }

    fn turn(&self) -> Result<Option<Turn>, Error> {
        self.upper.as_ref().map(|Upper { upper, .. }| Turn::take(upper)).transpose()
    }

    /// The mount, attached nowhere.
    fn make(&self) -> Result<OwnedFd, Error> {
        self.check()?;
        let context = Context::open()?;
        context.string("source", &self.source)?;
        // With `userxattr`, `off` is refused where the machine's default is to follow redirects anyway.
        // `auto` makes a file's device and inode the same at every look, as tools that compare them expect.
        // A uuid would be written into the upper.
        let options = [
            ("redirect_dir", "nofollow"),
            ("metacopy", "off"),
            ("index", "off"),
            ("nfs_export", "off"),
            ("xino", "auto"),
            ("uuid", "null"),
        ];
        for (key, value) in options {
            context.string(key, value)?;
        }
        if self.xattrs == Xattrs::User {
            context.flag("userxattr")?;
        }
        for lower in &self.lowers {
            context.path("lowerdir+", lower)?;
        }
        if let Some(Upper { upper, work }) = &self.upper {
            context.path("upperdir", upper)?;
            context.path("workdir", work)?;
        }
        context.create().map_err(|errno| self.explain(&context, errno))?;
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let mount = rustix::mount::fsmount(&context.0, flags, MountAttrFlags::empty())
            .map_err(|errno| self.explain(&context, errno))?;
        self.check_writable(&mount)?;
        Ok(mount)
    }

    /// Whether a mount with an upper can be written to: where the kernel cannot make what it needs in the work folder it
    /// does not fail but mounts read-only, for good.
    fn check_writable(&self, mount: &OwnedFd) -> Result<(), Error> {
        let Some(Upper { work, .. }) = &self.upper else { return Ok(()) };
        let doing =
            || format!("set up an overlay that can be written to, with its work in {}", work.display());
        let status = rustix::fs::fstatvfs(mount).map_err(Error::system(doing()))?;
        if !status.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Ok(());
        }
        // The kernel keeps the reason to itself, so its step is tried again.
        let attempt = work.join("attempt");
        let (remedy, source) = match fs::create_dir(&attempt) {
            Err(error) => ("make room on its file system, or make it writable".to_owned(), error),
            Ok(()) => {
                // What stays would be swept with the work folder.
                let _ = fs::remove_dir(&attempt);
                let remedy = "try again, with more free space on its file system; `dmesg` tells the reason";
                (remedy.to_owned(), Errno::ROFS.into())
            }
        };
        Err(Error::Mount { doing: doing(), remedy, source })
    }

    fn check(&self) -> Result<(), Error> {
        let count = self.lowers.len();
        if count > MAX_LOWERS {
            return Err(Error::TooManyLowers { count });
        }
        let needed = if self.upper.is_some() { 1 } else { 2 };
        if count < needed {
            return Err(Error::TooFewLowers { count, needed });
        }
        // In another namespace the kernel takes the mount and sees none of the marks.
        if self.xattrs == Xattrs::Trusted && !in_first_user_namespace() {
            return Err(Error::TrustedXattrs);
        }
        Ok(())
    }

    /// Makes an error of the kernel's refusal of the whole, for which it has few numbers and many reasons.
    fn explain(&self, context: &Context, errno: Errno) -> Error {
        let remedy = match (errno, &self.upper) {
            (Errno::PERM | Errno::ACCESS, _) => {
                "it takes root, or a user namespace of one's own, and the right to read every layer"
                    .to_owned()
            }
            (Errno::NOSPC | Errno::DQUOT, Some(Upper { work, .. })) => {
                format!("make room on the file system of {}", work.display())
            }
            (Errno::LOOP, _) => "no layer may be given twice, or lie inside another".to_owned(),
            (Errno::INVAL | Errno::OPNOTSUPP, Some(Upper { upper, .. })) => format!(
                "the file system of {} can probably not take the writes of an overlay (`dmesg` tells more): \
                 use a folder on ext4, xfs, btrfs or tmpfs",
                upper.display()
            ),
            _ => "`dmesg` may tell the reason".to_owned(),
        };
        Error::Mount { doing: format!("set up an overlay{}", context.said()), remedy, source: errno.into() }
    }
}

/// Whether a live overlay mount, in whatever mount namespace or in none any more, has this directory as its upper.
///
/// The kernel marks the directory itself and is asked by an attempt to mount it that must fail: it refuses an
/// upper in use before it refuses a work folder on another mount. Nothing is mounted and nothing written; the kernel's
/// log gets a line. A directory that does not exist is not in use.
///
/// Both this and mounting lock the directory around it (flock(2)) while they last: the caller must not have done so.
///
/// # Errors
/// When the kernel does not tell: for want of the right to mount, or where the directory is on a read-only mount.
pub fn upper_in_use(upper: &Path) -> Result<bool, Error> {
    if matches!(fs::symlink_metadata(upper), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return Ok(false);
    }
    let _turn = Turn::take(upper)?;
    marked(upper)
}

/// The turn of one process to deal with the uppers in a directory.
///
/// An attempt to mount an upper marks it as long as it lasts. A second attempt would take that for a use, and a mount
/// made meanwhile would go unmarked for good: of 300 mounts made while another process kept asking, 47 did.
#[derive(Debug)]
struct Turn(OwnedFd);

impl Turn {
    fn take(upper: &Path) -> Result<Self, Error> {
        let around = upper.parent().unwrap_or(upper);
        let doing = || format!("lock {}", around.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(around, flags, Mode::empty()).map_err(Error::system(doing()))?;
        loop {
            match rustix::fs::flock(&directory, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                // A file system without locks is none of those for uppers.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOLCK) => return Ok(Self(directory)),
                Err(errno) => return Err(Error::system(doing())(errno)),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // To close it is not enough where a process that another thread is about to start has it too.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Whether the kernel has marked a directory as an upper. It is this process's turn.
fn marked(upper: &Path) -> Result<bool, Error> {
    let context = Context::open()?;
    match context.give("upperdir", upper) {
        Err(Refusal::Kernel(Errno::NOENT)) => return Ok(false),
        // It cannot be an upper; or not by a read-only mount, of which there may be another one.
        Err(Refusal::Kernel(Errno::INVAL)) if upper.is_dir() && !read_only(upper) => return Ok(false),
        other => other.map_err(|refusal| context.refused("upperdir", upper, refusal))?,
    }
    let options = [("index", "on"), ("redirect_dir", "nofollow"), ("metacopy", "off"), ("nfs_export", "off")];
    for (key, value) in options {
        context.string(key, value)?;
    }
    // Any directory does as a lower. Two candidates, since the upper might be on either's mount.
    context.path("lowerdir+", Path::new("/"))?;
    let elsewhere = if upper.starts_with("/proc") { "/dev" } else { "/proc" };
    context.path("workdir", Path::new(elsewhere))?;
    match context.create() {
        Err(Errno::BUSY) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        // Cannot be: the work folder is on another mount.
        Ok(()) => Err(Error::Plan { what: format!("{} is on the mount of {elsewhere}", upper.display()) }),
        Err(errno) => {
            let doing = format!("ask whether {} is in use by an overlay", upper.display());
            Err(Error::Mount {
                doing,
                remedy: "`dmesg` may tell the reason".to_owned(),
                source: errno.into(),
            })
        }
    }
}

/// Whether this thread is in the user namespace that the machine started with, the only one with `trusted.*`.
fn in_first_user_namespace() -> bool {
    // `PROC_USER_INIT_INO` of the kernel; the same on every machine.
    const NUMBER: u64 = 0xEFFF_FFFD;
    fs::metadata("/proc/thread-self/ns/user").is_ok_and(|metadata| metadata.ino() == NUMBER)
}

fn read_only(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|status| status.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Why a path was not taken.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// The kernel says so.
    Kernel(Errno),
    /// Only a descriptor can stand for this path, and this kernel takes none.
    NoDescriptors,
}

/// An overlay in the making (fsopen(2)).
struct Context(OwnedFd);

impl Context {
    fn open() -> Result<Self, Error> {
        let opened = rustix::mount::fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC);
        opened.map(Self).map_err(|errno| Error::Mount {
            doing: "make an overlay".to_owned(),
            remedy: match errno {
                Errno::NODEV => "this kernel has no overlayfs: try `modprobe overlay`".to_owned(),
                Errno::PERM => "it takes root, or a user namespace of one's own".to_owned(),
                _ => "use Linux 6.7 or newer, and a seccomp filter that allows fsopen".to_owned(),
            },
            source: errno.into(),
        })
    }

    fn string(&self, key: &str, value: &str) -> Result<(), Error> {
        self.option(&format!("{key}={value}"), rustix::mount::fsconfig_set_string(&self.0, key, value))
    }

    fn flag(&self, key: &str) -> Result<(), Error> {
        self.option(key, rustix::mount::fsconfig_set_flag(&self.0, key))
    }

    fn option(&self, option: &str, result: Result<(), Errno>) -> Result<(), Error> {
        result.map_err(|errno| Error::Mount {
            doing: format!("give the option `{option}` to overlayfs{}", self.said()),
            remedy: "use Linux 6.7 or newer".to_owned(),
            source: errno.into(),
        })
    }

    fn path(&self, key: &str, path: &Path) -> Result<(), Error> {
        self.give(key, path).map_err(|refusal| self.refused(key, path, refusal))
    }

    /// Gives a path as a string where one can hold it: only then is it looked up at no cost in descriptors, and by
    /// kernels before 6.13. A backslash goes by descriptor, since strings of some keys take it for an escape.
    fn give(&self, key: &str, path: &Path) -> Result<(), Refusal> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() <= LONGEST_STRING && !bytes.contains(&b'\\') {
            return rustix::mount::fsconfig_set_string(&self.0, key, path).map_err(Refusal::Kernel);
        }
        // Since 6.15 a descriptor that cannot read does, which takes no right to read the directory.
        match give_descriptor(self.0.as_fd(), key, path, OFlags::PATH)? {
            Err(Errno::BADF | Errno::INVAL) => {}
            other => return other.map_err(Refusal::Kernel),
        }
        match give_descriptor(self.0.as_fd(), key, path, OFlags::RDONLY)? {
            Err(Errno::BADF | Errno::INVAL) if !at_least((6, 13)) => Err(Refusal::NoDescriptors),
            other => other.map_err(Refusal::Kernel),
        }
    }

    fn refused(&self, key: &str, path: &Path, refusal: Refusal) -> Error {
        let errno = match refusal {
            Refusal::NoDescriptors => return Error::OverlayPath { path: path.to_owned() },
            Refusal::Kernel(errno) => errno,
        };
        let remedy = match errno {
            Errno::NOTDIR => "it is not a directory",
            Errno::INVAL if !path.is_dir() => "it is not a directory",
            Errno::INVAL if key == "lowerdir+" && !at_least((6, 7)) => {
                "this kernel is too old: use Linux 6.7 or newer"
            }
            Errno::INVAL if key == "lowerdir+" => "choose a folder on another file system",
            Errno::INVAL => "it must be writable, and on ext4, xfs, btrfs or tmpfs",
            Errno::NOENT => "it does not exist",
            Errno::ACCESS | Errno::PERM => "make it readable to you",
            _ => "`dmesg` may tell the reason",
        };
        Error::Mount {
            doing: format!("use {} in an overlay{}", path.display(), self.said()),
            remedy: remedy.to_owned(),
            source: errno.into(),
        }
    }

    fn create(&self) -> Result<(), Errno> {
        rustix::mount::fsconfig_create(&self.0)
    }

    /// What the kernel has to say so far, in brackets.
    fn said(&self) -> Said {
        let mut said = Vec::new();
        let mut buffer = [0_u8; 1024];
        // Each read gives one message, of the form `e overlay: text`.
        while let Ok(length @ 1..) = rustix::io::read(&self.0, &mut buffer) {
            let line = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
            said.push(line.get(2..).unwrap_or_default().trim().to_owned());
        }
        Said(said)
    }
}

fn give_descriptor(
    context: BorrowedFd<'_>,
    key: &str,
    path: &Path,
    access: OFlags,
) -> Result<Result<(), Errno>, Refusal> {
    let flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(Refusal::Kernel)?;
    Ok(rustix::mount::fsconfig_set_fd(context, key, &directory))
}

/// Messages of the kernel, shown in brackets if there are any.
#[derive(Debug)]
struct Said(Vec<String>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0.join("; ")) }
    }
}

/// Whether the running kernel is of this version or newer.
fn at_least(version: (u32, u32)) -> bool {
    crate::probe::kernel_version(&rustix::system::uname().release().to_string_lossy()) >= version
}
