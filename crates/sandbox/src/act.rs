//! The steps by which a fresh set of namespaces becomes a sandbox.
//!
//! A plan is a list of acts, made before the fork and carried out after it. Carrying out means system calls only:
//! nothing here may allocate, so every string is a prepared `CString` and every slot for a descriptor exists.
//! When an act fails its index is all that travels back, and its `Display` makes the message.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use crate::raw;

/// Where a cloned mount waits between being taken from the machine and being put into the root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot(pub(crate) usize);

/// Attributes that every mount of ours carries: no devices, no set-user-id.
const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV.union(MountAttrFlags::MOUNT_ATTR_NOSUID);

const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// One step.
#[derive(Debug)]
pub(crate) enum Act {
    /// Detach our mounts from those of the caller.
    Detach,
    /// Take a copy of a mount of the machine into a slot.
    Take { slot: Slot, source: CString, recursive: bool, read_only: bool },
    /// Make the mount in the slot our root, and let go of the old one.
    Enter { slot: Slot, root: CString },
    /// Put the mount in the slot to a place in the root.
    Put { slot: Slot, target: CString },
    /// The same, and a symbolic link at the end of the place is covered, not followed.
    Cover { slot: Slot, target: CString },
    /// Make a new file system, in a slot. This comes before [`Act::Enter`]: the kernel makes a new `/proc` for
    /// an ordinary user only while an unobstructed one is in sight.
    New { slot: Slot, kind: &'static CStr, options: Vec<(&'static CStr, CString)>, exec: bool },
    /// Make a directory, if it is not there.
    Directory { path: CString, mode: u32 },
    /// Make an empty file, if it is not there.
    File { path: CString },
    /// Make a symbolic link.
    Link { path: CString, target: CString },
    /// Write a file and take a read-only mount of it into a slot.
    Content { slot: Slot, path: CString, bytes: Vec<u8> },
    /// Unmount.
    Unmount { path: CString },
    /// Make a part of a mount read-only, if it is there.
    ReadOnly { path: CString },
    /// Cover a file by `/dev/null` or a directory by an empty one, if it is there.
    Mask { path: CString },
    /// Bring up the loopback network device.
    Loopback,
    /// Set the host name.
    HostName { name: CString },
    /// Change to the directory in which the command starts.
    WorkIn { path: CString },
}

impl Act {
    /// Carries it out. Makes system calls only.
    pub(crate) fn run(&self, slots: &mut [Option<OwnedFd>]) -> Result<(), Errno> {
        match self {
            Self::Detach => {
                let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
                rustix::mount::mount_change(c"/", flags)
            }
            Self::Take { slot, source, recursive, read_only } => {
                let mount = match clone_mount(source, *recursive) {
                    // Mounts below it that came from a more powerful namespace must not be uncovered.
                    Err(Errno::INVAL) if !recursive => clone_mount(source, true)?,
                    other => other?,
                };
                let attributes = if *read_only { READ_ONLY } else { MountAttrFlags::empty() };
                raw::set_mount_attributes(&mount, attributes)?;
                fill(slots, *slot, mount)
            }
            Self::Enter { slot, root } => enter(&take(slots, *slot)?, root),
            Self::Put { slot, target } => {
                let mount = take(slots, *slot)?;
                match attach(&mount, target) {
                    // A link that leads nowhere.
                    Err(Errno::NOENT) => cover(&mount, target),
                    other => other,
                }
            }
            Self::Cover { slot, target } => cover(&take(slots, *slot)?, target),
            Self::New { slot, kind, options, exec } => fill(slots, *slot, new_mount(kind, options, *exec)?),
            Self::Directory { path, mode } => make(rustix::fs::mkdir(path, Mode::from_raw_mode(*mode))),
            Self::File { path } => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                make(rustix::fs::open(path, flags, Mode::from_raw_mode(0o644)).map(drop))
            }
            Self::Link { path, target } => rustix::fs::symlink(target, path),
            Self::Content { slot, path, bytes } => fill(slots, *slot, write_content(path, bytes)?),
            Self::Unmount { path } => rustix::mount::unmount(path, UnmountFlags::DETACH),
            Self::ReadOnly { path } => read_only(path),
            Self::Mask { path } => mask(path),
            Self::Loopback => raw::loopback_up(),
            Self::HostName { name } => {
                rustix::system::sethostname(name.to_bytes())?;
                rustix::system::setdomainname(b"(none)")
            }
            Self::WorkIn { path } => rustix::process::chdir(path),
        }
    }
}

fn take(slots: &mut [Option<OwnedFd>], slot: Slot) -> Result<OwnedFd, Errno> {
    slots.get_mut(slot.0).and_then(Option::take).ok_or(Errno::BADF)
}

fn fill(slots: &mut [Option<OwnedFd>], slot: Slot, mount: OwnedFd) -> Result<(), Errno> {
    *slots.get_mut(slot.0).ok_or(Errno::BADF)? = Some(mount);
    Ok(())
}

/// What is there already is as good as made.
fn make(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn clone_mount(path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let flags = if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags };
    rustix::mount::open_tree(CWD, path, flags)
}

/// Attaches a mount; a symbolic link at the end of `target` is followed, within the root we are in by then.
fn attach(mount: &OwnedFd, target: &CStr) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    rustix::mount::move_mount(mount, c"", CWD, target, flags)
}

/// Attaches a mount; a symbolic link at the end of `target` is not followed.
fn cover(mount: &OwnedFd, target: &CStr) -> Result<(), Errno> {
    rustix::mount::move_mount(mount, c"", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// pivot_root(2) onto the same directory twice: the old root lands on top of the new one and is detached.
fn enter(mount: &OwnedFd, root: &CStr) -> Result<(), Errno> {
    attach(mount, root)?;
    rustix::process::fchdir(mount)?;
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

fn new_mount(kind: &CStr, options: &[(&'static CStr, CString)], exec: bool) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key)?;
        } else {
            rustix::mount::fsconfig_set_string(&context, *key, value)?;
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    let attributes = if exec { PLAIN } else { PLAIN | MountAttrFlags::MOUNT_ATTR_NOEXEC };
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn write_content(path: &CStr, mut bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    while !bytes.is_empty() {
        let written = rustix::io::write(&file, bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    drop(file);
    let mount = clone_mount(path, false)?;
    raw::set_mount_attributes(&mount, READ_ONLY)?;
    Ok(mount)
}

fn read_only(path: &CStr) -> Result<(), Errno> {
    let mount = match clone_mount(path, true) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    raw::set_mount_attributes(&mount, READ_ONLY)?;
    attach(&mount, path)
}

fn mask(path: &CStr) -> Result<(), Errno> {
    let status = match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
        return attach(&clone_mount(c"/dev/null", false)?, path);
    }
    let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, c"mode", c"555")?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = PLAIN | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
    attach(&rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?, path)
}

impl fmt::Display for Act {
    /// Fits "cannot …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |s: &CStr| s.to_string_lossy().into_owned();
        match self {
            Self::Detach => write!(f, "make mounts private"),
            Self::Take { source, .. } => write!(f, "bind {}", text(source)),
            Self::Enter { root, .. } => write!(f, "make {} the root", text(root)),
            Self::Put { target, .. } | Self::Cover { target, .. } => {
                write!(f, "mount onto {} of the root", text(target))
            }
            Self::New { kind, .. } => write!(f, "make a new {} file system", text(kind)),
            Self::Directory { path, .. } => write!(f, "make directory {} in the root", text(path)),
            Self::File { path } | Self::Content { path, .. } => {
                write!(f, "make file {} in the root", text(path))
            }
            Self::Link { path, .. } => write!(f, "make link {} in the root", text(path)),
            Self::Unmount { path } => write!(f, "unmount {} of the root", text(path)),
            Self::ReadOnly { path } => write!(f, "make {} of the root read-only", text(path)),
            Self::Mask { path } => write!(f, "hide {} of the root", text(path)),
            Self::Loopback => write!(f, "bring up the loopback network device"),
            Self::HostName { name } => write!(f, "set the host name `{}`", text(name)),
            Self::WorkIn { path } => write!(f, "change to directory {} of the root", text(path)),
        }
    }
}
