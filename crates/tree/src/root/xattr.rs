//! Extended attributes of what may be no file one can open.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::layer::Marks;

/// The greatest size of a list of names or of a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MAX: usize = 64 * 1024;

/// The path under which the kernel offers what `fd` refers to. `/proc/self/fd` is the one way to reach the attributes of
/// something that is only held by a handle, on kernels before 6.13.
pub(super) fn handle_path(fd: BorrowedFd<'_>) -> Vec<u8> {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes()
}

/// The path of `name` in the open directory `parent`.
fn child_path(parent: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = handle_path(parent);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// Sets an attribute of an open file or directory.
pub(super) fn fset(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())
}

/// Sets an attribute of what a path from [`handle_path`] leads to.
pub(super) fn set_handle(path: &[u8], name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty())
}

/// Sets an attribute of `name` in the open directory `parent`, not following it.
pub(super) fn set_child(
    parent: BorrowedFd<'_>,
    name: &[u8],
    key: &[u8],
    value: &[u8],
) -> rustix::io::Result<()> {
    rustix::fs::lsetxattr(child_path(parent, name), key, value, XattrFlags::empty())
}

/// The attributes of a tree's entry: those that belong to its contents. What the machine adds (`security.selinux`), what a
/// file system keeps for itself (`trusted.overlay.*`) and the like is left out.
///
/// With `marks`, the attributes that overlayfs keeps there are read too.
pub(super) fn read(
    parent: BorrowedFd<'_>,
    name: &[u8],
    marks: Option<Marks>,
) -> rustix::io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let path = child_path(parent, name);
    let mut names = [0u8; 1024];
    let mut large;
    let list = match rustix::fs::llistxattr(&path[..], &mut names[..]) {
        Ok(length) => &names[..length],
        Err(Errno::OPNOTSUPP) => return Ok(found),
        Err(Errno::RANGE) => {
            large = vec![0u8; MAX];
            let length = rustix::fs::llistxattr(&path[..], &mut large[..])?;
            &large[..length]
        }
        Err(errno) => return Err(errno),
    };
    let wanted = |key: &[u8]| belongs_to_tree(key) || marks.is_some_and(|marks| marks.concerns(key));
    for key in list.split(|&byte| byte == 0).filter(|key| wanted(key)) {
        let mut value = vec![0u8; MAX];
        match rustix::fs::lgetxattr(&path[..], key, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                value.shrink_to_fit();
                found.insert(key.to_vec(), value);
            }
            // Removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

pub(crate) fn belongs_to_tree(name: &[u8]) -> bool {
    matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_tree() {
        let table: &[(&[u8], bool)] = &[
            (b"security.capability", true),
            (b"user.note", true),
            (b"system.posix_acl_access", true),
            (b"security.selinux", false),
            (b"trusted.overlay.opaque", false),
            (b"user.overlay.opaque", false),
            (b"", false),
        ];
        for (name, want) in table {
            assert_eq!(belongs_to_tree(name), *want, "{}", name.escape_ascii());
        }
    }
}
