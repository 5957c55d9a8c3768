//! Removing a folder whatever is in it, and nothing but what is in it.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, chmod, fchmod, fstat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::scratch::CHOOSE;
use crate::{Error, Result};

/// Each level of recursion holds an open folder; deeper ones are first moved to the top.
const DEPTH_LIMIT: usize = 64;

/// Removes the folder `path` with all its contents, without following links or crossing mounts.
///
/// Folders without permission bits are opened up first. Files of subordinate ids can be removed only by root of a
/// user namespace that maps those ids, so that is who has to call this. Nothing happens if `path` does not exist.
///
/// # Errors
/// [`Error::Mounted`] when something is mounted inside; [`Error::Io`].
pub fn remove_tree(path: &Path) -> Result<()> {
    let top = match open_folder(rustix::fs::CWD, &c_string(path)?) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(source) => return Err(failed("open", path, source)),
    };
    let device = fstat(&top).map_err(|source| failed("inspect", path, source))?.st_dev;
    let mut removal = Removal { top: &top, device, moved: 0 };
    // A pass that moved deep folders to the top leaves them there for the next one.
    loop {
        let before = removal.moved;
        removal.empty(&top, path, 0)?;
        if removal.moved == before {
            break;
        }
    }
    std::fs::remove_dir(path).map_err(|source| Error::io("remove", path, CHOOSE, source))
}

struct Removal<'a> {
    top: &'a OwnedFd,
    /// The device all of it must be on.
    device: u64,
    /// How many folders were moved to the top.
    moved: u64,
}

impl Removal<'_> {
    fn empty(&mut self, folder: &OwnedFd, path: &Path, depth: usize) -> Result<()> {
        for entry in Dir::read_from(folder).map_err(|source| failed("read", path, source))? {
            let entry = entry.map_err(|source| failed("read", path, source))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let inside = path.join(OsStr::from_bytes(name.to_bytes()));
            if self.is_folder(folder, name, entry.file_type(), &inside)? {
                self.remove_folder(folder, name, &inside, depth)?;
            } else {
                gone(unlinkat(folder, name, AtFlags::empty()))
                    .map_err(|source| failed("remove", &inside, source))?;
            }
        }
        Ok(())
    }

    fn is_folder(&self, folder: &OwnedFd, name: &CStr, kind: FileType, path: &Path) -> Result<bool> {
        if kind != FileType::Unknown {
            return Ok(kind == FileType::Directory);
        }
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|source| failed("inspect", path, source))?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    fn remove_folder(&mut self, folder: &OwnedFd, name: &CStr, path: &Path, depth: usize) -> Result<()> {
        let inner = open_folder(folder, name).map_err(|source| failed("open", path, source))?;
        if fstat(&inner).map_err(|source| failed("inspect", path, source))?.st_dev != self.device {
            return Err(Error::Mounted { path: path.to_owned() });
        }
        if depth >= DEPTH_LIMIT {
            self.moved += 1;
            let target = format!(".deep-{}-{}", std::process::id(), self.moved);
            return renameat(folder, name, self.top, &*target).map_err(|source| failed("move", path, source));
        }
        self.empty(&inner, path, depth + 1)?;
        gone(unlinkat(folder, name, AtFlags::REMOVEDIR)).map_err(|source| failed("remove", path, source))
    }
}

/// Opens a folder; one that its permission bits close to us is opened up first.
fn open_folder(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let how = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = parent.as_fd();
    let folder = match openat(parent, name, how | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let handle = openat(parent, name, how | OFlags::PATH, Mode::empty())?;
            // `fchmod` refuses such a handle, and `chmodat` by name would follow a link put there meanwhile.
            chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
            openat(parent, name, how | OFlags::RDONLY, Mode::empty())?
        }
        other => other?,
    };
    // Reading takes r, removing takes w and x.
    if !Mode::from_raw_mode(fstat(&folder)?.st_mode).contains(Mode::RWXU) {
        fchmod(&folder, Mode::RWXU)?;
    }
    Ok(folder)
}

/// Another process may be removing the same things: that is no failure.
fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    if result == Err(Errno::NOENT) { Ok(()) } else { result }
}

fn failed(action: &'static str, path: &Path, source: Errno) -> Error {
    Error::io(action, path, CHOOSE, source)
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| failed("open", path, Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn removes_closed_folders_and_not_what_links_point_to() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let base = tempfile::tempdir().unwrap();
        let tree = base.path().join("tree");
        fs::create_dir_all(tree.join("closed/inner")).unwrap();
        fs::write(tree.join("closed/inner/file"), "x").unwrap();
        symlink(outside.path(), tree.join("closed/link")).unwrap();
        fs::set_permissions(tree.join("closed/inner"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.path().join("kept").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn removes_folders_deeper_than_the_descriptor_limit() {
        let base = tempfile::tempdir().unwrap();
        let tree = base.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut folder = openat(
            rustix::fs::CWD,
            c_string(&tree).unwrap(),
            OFlags::DIRECTORY | OFlags::RDONLY,
            Mode::empty(),
        )
        .unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&folder, c"d", Mode::RWXU).unwrap();
            folder = openat(&folder, c"d", OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        }
        drop(folder);
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn an_ordinary_user_removes_closed_folders_too() {
        // Root is never refused, so the case that matters is run as another user, in a child.
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let tree = base.path().join("tree");
        fs::create_dir_all(tree.join("closed")).unwrap();
        fs::write(tree.join("closed/file"), "x").unwrap();
        if rustix::process::geteuid().is_root() {
            for path in [tree.join("closed/file"), tree.join("closed"), tree.clone()] {
                std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
            }
        }
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
        std::thread::spawn(move || {
            if rustix::process::geteuid().is_root() {
                // Only this thread changes; the capabilities go with the user.
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            assert!(fs::read_dir(tree.join("closed")).is_err(), "the folder should be closed to this user");
            remove_tree(&tree).unwrap();
            assert!(!tree.exists());
        })
        .join()
        .unwrap();
    }
}
