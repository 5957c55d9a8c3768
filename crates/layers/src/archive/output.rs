//! A file that is there whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result, record};

/// What is being written in the place of a file.
///
/// It has no name until it is complete, so that nothing stays when this process is killed. Where the file system has no such
/// files, and between the two system calls that give the complete one its name, it has a temporary name. It is
/// locked (flock(2)) all the while: what has such a name and is not locked was left by a process that was killed, and is
/// removed by the next one that writes the same file.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A pipe or device, which is written straight into.
    Straight,
    /// A file without a name.
    Nameless,
    /// A file with a temporary name.
    Named(PathBuf),
    /// Its name is the final one.
    Complete,
}

impl Output {
    /// Opens what will become the file at `path`. A file that is there stays until [`Output::commit`]; a symbolic link to
    /// one is followed.
    pub(super) fn create(path: &Path) -> Result<(Output, File)> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&path) {
            Ok(status) if status.is_dir() => {
                return Err(Error::io("write", &path)(io::Error::from(io::ErrorKind::IsADirectory)));
            }
            Ok(status) if status.file_type().is_fifo() || status.file_type().is_char_device() => {
                let file = OpenOptions::new().write(true).open(&path).map_err(Error::io("open", &path))?;
                return Ok((Output { path, state: State::Straight }, file));
            }
            _ => {}
        }
        sweep(&path);
        if let Some(file) = nameless(&path) {
            return Ok((Output { path, state: State::Nameless }, file));
        }
        loop {
            let temporary = beside(&path)?;
            match File::create_new(&temporary) {
                Ok(file) => {
                    lock(&file);
                    // Another process may have taken it for one that was left, right before it was locked.
                    if is_at(&file, &temporary) {
                        return Ok((Output { path, state: State::Named(temporary) }, file));
                    }
                }
                // That of a process in another container, or left by one.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
    }

    /// Whether what is written goes straight to somebody, who has it then.
    pub(super) fn is_straight(&self) -> bool {
        matches!(self.state, State::Straight)
    }

    /// Makes what was written durable and gives it its name.
    pub(super) fn commit(mut self, file: &File) -> Result<()> {
        if self.is_straight() {
            return Ok(());
        }
        file.sync_all().map_err(Error::io("write", &self.path))?;
        if matches!(self.state, State::Nameless) {
            self.state = State::Named(self.name(file)?);
        }
        if let State::Named(temporary) = &self.state {
            fs::rename(temporary, &self.path).map_err(Error::io("write", &self.path))?;
            self.state = State::Complete;
        }
        record::sync_folder(parent(&self.path))
    }

    /// Gives a file without a name a temporary one: only a rename can put it in the place of another.
    fn name(&self, file: &File) -> Result<PathBuf> {
        // The way that takes no right to look up any file.
        let handle = format!("/proc/self/fd/{}", file.as_raw_fd());
        loop {
            let temporary = beside(&self.path)?;
            match rustix::fs::linkat(CWD, &handle, CWD, &temporary, AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => return Ok(temporary),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::io("write", &self.path)(errno)),
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let State::Named(temporary) = &self.state {
            // The error that is on its way says more.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A locked file without a name in the folder of `path`, where its file system has such files. What else may be wrong is told
/// when one with a name is made.
fn nameless(path: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(parent(path), flags, Mode::from_raw_mode(0o666)).ok()?);
    lock(&file);
    Some(file)
}

/// Locks a file that is ours alone, or for a moment that of a process that looks whether it is. On a file system without
/// locks nobody else gets one either, so nothing is removed there.
fn lock(file: &File) {
    while let Err(Errno::INTR) = rustix::fs::flock(file, FlockOperation::LockExclusive) {}
}

/// Removes what processes that were killed have left in the place of `path`.
fn sweep(path: &Path) {
    let Some(stem) = stem(path) else { return };
    // A folder that cannot be listed can still be written to.
    let Ok(names) = fs::read_dir(parent(path)) else { return };
    for name in names.flatten().map(|entry| entry.file_name()).filter(|name| is_temporary(name, &stem)) {
        let temporary = parent(path).join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&temporary, flags, Mode::empty()).map(File::from) else { continue };
        let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && file.metadata().is_ok_and(|status| status.is_file()) && is_at(&file, &temporary) {
            // Somebody else's in a folder like /tmp stays.
            let _ = fs::remove_file(&temporary);
        }
    }
}

/// Whether `path` still is this file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary name in the same folder.
fn beside(path: &Path) -> Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let Some(mut temporary) = stem(path) else {
        return Err(Error::io("write", path)(io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!("{}-{number}.tmp", std::process::id()));
    Ok(parent(path).join(temporary))
}

/// What the temporary names for a file begin with.
fn stem(path: &Path) -> Option<OsString> {
    let mut stem = OsString::from(".");
    // Long names have to leave room for ours.
    stem.push(path.file_name()?.to_string_lossy().chars().take(40).collect::<String>());
    stem.push(".");
    Some(stem)
}

/// Whether [`beside`] could have given this name.
fn is_temporary(name: &OsStr, stem: &OsStr) -> bool {
    let rest = name.as_bytes().strip_prefix(stem.as_bytes());
    let Some(numbers) = rest.and_then(|rest| rest.strip_suffix(b".tmp")) else { return false };
    let mut parts = numbers.split(|byte| *byte == b'-');
    let mut number =
        || parts.next().is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    number() && number() && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_was_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let stays =
            [".a.tar.1-2.tmp.old", ".a.tar.1.tmp", ".a.tar.x-1.tmp", ".b.tar.1-2.tmp", ".a.tar.5-0.tmp"];
        for name in stays.iter().chain(&[".a.tar.1-2.tmp", ".a.tar.4194304-17.tmp"]) {
            fs::write(at(name), name).unwrap();
        }
        let alive = File::open(at(".a.tar.5-0.tmp")).unwrap();
        rustix::fs::flock(&alive, FlockOperation::LockExclusive).unwrap();
        let (output, mut file) = Output::create(&at("a.tar")).unwrap();
        file.write_all(b"whole").unwrap();
        output.commit(&file).unwrap();
        let mut expected: Vec<OsString> = stays.iter().chain(&["a.tar"]).map(OsString::from).collect();
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
        assert_eq!(fs::read(at("a.tar")).unwrap(), b"whole");
    }

    #[test]
    fn what_is_not_complete_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        fs::write(&path, "old").unwrap();
        let (output, mut file) = Output::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()), ["a.tar"]);
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.tar"]);
    }

    #[test]
    fn two_writers_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let (first, first_file) = Output::create(&path).unwrap();
        let named = Output { path: path.clone(), state: State::Named(first.name(&first_file).unwrap()) };
        let (second, mut file) = Output::create(&path).unwrap();
        file.write_all(b"second").unwrap();
        second.commit(&file).unwrap();
        assert_eq!(names(folder.path()).len(), 2, "the first is locked");
        named.commit(&first_file).unwrap();
        assert_eq!(names(folder.path()), ["a.tar"]);
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
}
