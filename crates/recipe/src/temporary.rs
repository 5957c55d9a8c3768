//! What is not finished yet: beside its final place, under a name that nobody takes for it, and gone when its owner is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::Error;

/// A file or folder beside `target` that has not got its name yet; removed when dropped.
///
/// It is held by `flock`, so that the next build can tell what a killed one left from what a living one is writing.
#[derive(Debug)]
pub(crate) struct Temporary {
    /// Empty once it has its final name.
    path: PathBuf,
    target: PathBuf,
    held: File,
    is_folder: bool,
}

impl Temporary {
    /// A new, empty file for `target`. What dead owners left for the same target is removed first.
    pub(crate) fn file(target: &Path) -> Result<Self, Error> {
        Self::new(target, false)
    }

    /// A new, empty folder for `target`, likewise.
    pub(crate) fn folder(target: &Path) -> Result<Self, Error> {
        Self::new(target, true)
    }

    fn new(target: &Path, is_folder: bool) -> Result<Self, Error> {
        let parent = folder_of(target);
        // Held until the new one is locked: nobody else may take it for a dead one before.
        let gate = File::open(parent).map_err(Error::io("open", parent))?;
        gate.lock().map_err(Error::io("lock", parent))?;
        reclaim(parent, target)?;
        let path = parent.join(format!("{}{}.tmp", prefix(target), std::process::id()));
        let made = if is_folder {
            fs::create_dir(&path)
        } else {
            OpenOptions::new().write(true).create_new(true).open(&path).map(drop)
        };
        made.map_err(Error::io("create", &path))?;
        let mut temporary = Self { path, target: target.into(), held: gate, is_folder };
        let opened = if is_folder {
            File::open(&temporary.path)
        } else {
            OpenOptions::new().write(true).open(&temporary.path)
        };
        let held = opened.map_err(Error::io("open", &temporary.path))?;
        held.lock().map_err(Error::io("lock", &temporary.path))?;
        // This lets the gate go.
        temporary.held = held;
        Ok(temporary)
    }

    /// Where it is now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, to be written.
    pub(crate) fn writer(&self) -> &File {
        &self.held
    }

    /// Gives it its final name, in place of what has that name.
    pub(crate) fn publish(mut self) -> Result<PathBuf, Error> {
        let replaced = self.is_folder && self.target.is_dir() && exchange(&self.path, &self.target)?;
        if !replaced {
            if self.is_folder && self.target.is_dir() {
                cache::remove_tree(&self.target)?;
            }
            fs::rename(&self.path, &self.target).map_err(Error::io("rename", &self.path))?;
            self.path.clear();
        }
        let parent = folder_of(&self.target);
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", parent))?;
        // What was replaced has the name of the temporary now, and goes with it.
        Ok(std::mem::take(&mut self.target))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(&self.path, self.is_folder);
        }
    }
}

/// Gives two folders each other's name, in one step: nobody sees the name without a folder. Says whether the file system can
/// do that.
fn exchange(path: &Path, target: &Path) -> Result<bool, Error> {
    match renameat_with(CWD, path, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(Error::io("rename", path)(errno.into())),
    }
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the names of all temporaries for `target` begin with.
fn prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what dead owners left for `target`.
fn reclaim(parent: &Path, target: &Path) -> Result<(), Error> {
    let prefix = prefix(target);
    for entry in fs::read_dir(parent).map_err(Error::io("read", parent))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".tmp"));
        if owner.is_none_or(|owner| owner.parse::<u32>().is_err()) {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // One that vanished meanwhile, or is somebody else's, is none of our business.
        if File::open(entry.path()).is_ok_and(|file| is_dead(&file)) {
            remove(&entry.path(), is_folder);
        }
    }
    Ok(())
}

fn is_dead(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// Nothing can be done about one that does not go away.
fn remove(path: &Path, is_folder: bool) {
    let _ =
        if is_folder { cache::remove_tree(path).map_err(io::Error::other) } else { fs::remove_file(path) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_dead_owners_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a.tar");
        fs::write(folder.path().join(".a.tar.1.tmp"), "dead").expect("a file");
        fs::create_dir_all(folder.path().join(".a.tar.2.tmp/usr")).expect("a folder");
        for kept in [".a.tar.x.tmp", ".a.tar.gz.1.tmp", ".b.tar.1.tmp", "a.tar.1.tmp"] {
            fs::write(folder.path().join(kept), "kept").expect("a file");
        }
        let living = File::create(folder.path().join(".a.tar.3.tmp")).expect("a file");
        living.lock().expect("a lock");
        drop(Temporary::file(&target).expect("a temporary"));
        let kept = [".a.tar.3.tmp", ".a.tar.gz.1.tmp", ".a.tar.x.tmp", ".b.tar.1.tmp", "a.tar.1.tmp"];
        assert_eq!(names(folder.path()), kept);
    }

    #[test]
    fn publishing_replaces_files_and_folders() {
        for is_folder in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let target = folder.path().join("a");
            for round in ["1", "2"] {
                let temporary = Temporary::new(&target, is_folder).expect("a temporary");
                if is_folder {
                    fs::write(temporary.path().join(round), "").expect("a file");
                }
                assert_eq!(temporary.publish().expect("published"), target);
                assert_eq!(names(folder.path()), ["a"]);
            }
            if is_folder {
                assert_eq!(names(&target), ["2"]);
            }
        }
    }
}
