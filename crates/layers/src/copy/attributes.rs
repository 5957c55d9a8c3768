//! Owner, mode, times and extended attributes.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{Gid, Mode, Nsecs, Secs, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Failure, From, failed};
use crate::store::Form;

/// Extended attributes by name.
pub(super) type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// The greatest size of a list of names or of a value.
const MAX: usize = 64 * 1024;

/// Marks of overlayfs that mean something wherever the layer is. The others (where a file was copied up from, and the
/// like) speak of the stack in which they were written.
const MARKS: [&[u8]; 3] = [b"opaque", b"whiteout", b"protattr"];

/// Says of a directory that it was copied up from a lower one. Whatever the value is, it makes the kernel look for
/// whiteouts in a directory that has no lower one in another stack; without it they would be listed as broken entries.
const ORIGIN: &str = "origin";

/// What went wrong with an attribute.
pub(super) struct Lost {
    pub(super) what: &'static str,
    pub(super) errno: Errno,
}

impl Lost {
    /// Whether the file system cannot keep it, or setting it failed for another reason.
    pub(super) fn or(self, path: impl AsRef<Path>) -> Failure {
        match self.errno {
            Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::ACCESS | Errno::NOSYS => {
                Failure::NotKept { what: self.what, source: io::Error::from(self.errno) }
            }
            errno => failed("write the attributes of", path)(errno),
        }
    }
}

/// The attributes of an open directory, named as the target names them.
pub(super) fn read(from: &From, form: Form) -> Result<Attributes, Errno> {
    read_at(&handle_path(from.fd.as_fd()), from.form, form)
}

/// Marks a directory that has whiteouts in it, or may have.
pub(super) fn mark_whiteouts(attributes: &mut Attributes, form: Form) {
    // Empty: copied up from somewhere unknown.
    attributes.insert(format!("{}{ORIGIN}", form.prefix()).into_bytes(), Vec::new());
}

/// Whether a directory may have whiteouts although it stands alone.
pub(super) fn may_have_whiteouts(from: &From) -> bool {
    let name = format!("{}{ORIGIN}", from.form.prefix());
    // Only asked for its size.
    rustix::fs::fgetxattr(&from.fd, name, &mut [0_u8; 0][..]).is_ok()
}

/// The attributes of what a path from [`handle_path`] leads to.
pub(super) fn read_at(path: &[u8], from: Form, to: Form) -> Result<Attributes, Errno> {
    let mut found = Attributes::new();
    let mut buffer = [0_u8; 1024];
    let mut large;
    let list = match rustix::fs::listxattr(path, &mut buffer[..]) {
        Ok(length) => &buffer[..length],
        Err(Errno::OPNOTSUPP) => return Ok(found),
        Err(Errno::RANGE) => {
            large = vec![0; MAX];
            let length = rustix::fs::listxattr(path, &mut large[..])?;
            &large[..length]
        }
        Err(errno) => return Err(errno),
    };
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Some(target) = renamed(name, from, to) else { continue };
        let mut value = vec![0; MAX];
        match rustix::fs::getxattr(path, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                value.shrink_to_fit();
                found.insert(target, value);
            }
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// The name of an attribute in the target, or `None` when it does not belong to the layer.
fn renamed(name: &[u8], from: Form, to: Form) -> Option<Vec<u8>> {
    if let Some(mark) = name.strip_prefix(from.prefix().as_bytes()) {
        // `overlay.overlay.` is what an overlay within the layer has written.
        let kept = MARKS.contains(&mark) || mark.starts_with(b"overlay.");
        return kept.then(|| [to.prefix().as_bytes(), mark].concat());
    }
    let foreign = [Form::User, Form::Trusted].iter().any(|form| name.starts_with(form.prefix().as_bytes()));
    let machine = name == b"security.selinux" || name.starts_with(b"system.nfs4");
    (!foreign && !machine).then(|| name.to_vec())
}

/// Whether a directory hides what is below it.
pub(super) fn is_opaque(from: &From) -> bool {
    let mut value = [0_u8; 4];
    let name = format!("{}opaque", from.form.prefix());
    rustix::fs::fgetxattr(&from.fd, name, &mut value[..]).is_ok_and(|length| value[..length] == *b"y")
}

/// Whether an empty file says that there is nothing.
pub(super) fn is_marked_whiteout(from: &From, name: &CStr) -> bool {
    let path = child_path(from.fd.as_fd(), name);
    let mark = format!("{}whiteout", from.form.prefix());
    rustix::fs::lgetxattr(&path[..], mark, &mut [0_u8; 16][..]).is_ok()
}

/// Gives an open file or directory owner, mode, attributes and times. The order matters: changing the owner takes
/// set-id bits and capabilities away.
pub(super) fn dress(fd: BorrowedFd<'_>, status: &Stat, attributes: &Attributes) -> Result<(), Lost> {
    let lost = |what| move |errno| Lost { what, errno };
    rustix::fs::fchown(fd, owner(status), group(status)).map_err(lost("the owners of files"))?;
    rustix::fs::fchmod(fd, mode(status)).map_err(lost("the modes of files"))?;
    for (name, value) in attributes {
        rustix::fs::fsetxattr(fd, &name[..], value, XattrFlags::empty())
            .map_err(lost("extended attributes"))?;
    }
    rustix::fs::futimens(fd, &times(status)).map_err(lost("the times of files"))
}

pub(super) fn owner(status: &Stat) -> Option<Uid> {
    Some(Uid::from_raw(status.st_uid))
}

pub(super) fn group(status: &Stat) -> Option<Gid> {
    Some(Gid::from_raw(status.st_gid))
}

pub(super) fn mode(status: &Stat) -> Mode {
    Mode::from_raw_mode(status.st_mode & 0o7777)
}

/// The times of last access and of last modification, to the nanosecond.
pub(super) fn times(status: &Stat) -> Timestamps {
    Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    }
}

/// The kernel's numbers have other widths on other machines.
fn time(seconds: impl TryInto<Secs>, nanoseconds: impl TryInto<Nsecs>) -> Timespec {
    Timespec { tv_sec: seconds.try_into().unwrap_or(0), tv_nsec: nanoseconds.try_into().unwrap_or(0) }
}

/// The path under which the kernel offers an open file.
pub(super) fn handle_path(fd: BorrowedFd<'_>) -> Vec<u8> {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes()
}

/// The path of a name in an open directory.
pub(super) fn child_path(fd: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    [&handle_path(fd)[..], b"/", name.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_get_the_names_of_the_target() {
        let table: &[(&str, Form, Form, Option<&str>)] = &[
            ("user.overlay.opaque", Form::User, Form::Trusted, Some("trusted.overlay.opaque")),
            ("trusted.overlay.opaque", Form::Trusted, Form::User, Some("user.overlay.opaque")),
            ("user.overlay.origin", Form::User, Form::User, None),
            ("user.overlay.impure", Form::User, Form::User, None),
            ("trusted.overlay.opaque", Form::User, Form::User, None),
            ("user.overlay.overlay.opaque", Form::User, Form::User, Some("user.overlay.overlay.opaque")),
            ("user.note", Form::User, Form::Trusted, Some("user.note")),
            ("security.capability", Form::User, Form::User, Some("security.capability")),
            ("security.selinux", Form::User, Form::User, None),
        ];
        for (name, from, to, want) in table {
            let got = renamed(name.as_bytes(), *from, *to);
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{name}");
        }
    }
}
