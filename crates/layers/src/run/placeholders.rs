//! Files and folders that are made in a merge point only to mount something on, and that go afterwards.
//!
//! A command may look at what is around it (a bundler that finds an empty `package.json` fails), and what it finds is
//! exported with the layer. So what is made is first written to a list, one for each layer that is written to, and whoever
//! is the last to leave removes what is still empty, and the list. The list outlives a run that was killed, and then the
//! next run does so, or whoever unmerges. Every run holds a shared lock of the list for as long as it lives, and only who
//! gets it alone removes anything: the placeholders of one run may be in use by another.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, StatxFlags, flock, statx};
use rustix::io::Errno;
use sandbox::{Placeholder, Sandbox, make_placeholders, remove_placeholders};

use crate::unmerge::Joined;
use crate::{Error, Result};

/// A list longer than this, in bytes, is not of our making.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// Begins the entry that says which folder those after it are about.
const FOLDER: u8 = b'=';

/// A layer's list, held while a command runs in a merge point in which that layer is written to.
#[derive(Debug)]
pub(crate) struct Placeholders {
    /// None in a store that is read-only.
    list: Option<List>,
    layer: PathBuf,
    /// The merge point, which is possibly mounted nowhere any more.
    root: OwnedFd,
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) directory: bool,
    /// Whether the layer had a mark there that hides what is below.
    pub(super) over_whiteout: bool,
}

impl Made {
    pub(super) fn placeholder(&self) -> Placeholder {
        Placeholder { path: self.path.clone(), directory: self.directory }
    }
}

impl Placeholders {
    /// Takes part in the list at `path`, which is made when it is missing.
    pub(crate) fn enter(path: &Path, joined: &Joined) -> Result<Self> {
        let root = joined.root.try_clone().map_err(Error::io("open", &joined.path))?;
        let list = List::enter(path)?;
        Ok(Self { list, layer: joined.top.clone(), root })
    }

    /// Makes what the mounts of `sandbox`, whose root is the merge point, lack there.
    ///
    /// In a store that is read-only nothing can be made: then files of the machine that were not asked for are not shown,
    /// if there is no place for them.
    pub(super) fn make(&mut self, sandbox: Sandbox) -> Result<Sandbox> {
        let fail = || Error::sandbox("make places to mount on");
        let missing = sandbox.missing_targets().map_err(fail())?;
        if missing.is_empty() {
            return Ok(sandbox);
        }
        let Some(list) = &mut self.list else { return Ok(sandbox.resolver(false)) };
        let mut text = vec![FOLDER];
        text.extend_from_slice(folder_mark(&self.layer)?.as_bytes());
        text.push(0);
        for placeholder in &missing {
            let kind = if placeholder.directory { b'd' } else { b'f' };
            let hides = is_whiteout(&self.layer, &placeholder.path);
            text.push(if hides { kind.to_ascii_uppercase() } else { kind });
            text.extend_from_slice(placeholder.path.as_os_str().as_bytes());
            text.push(0);
        }
        // One write: entries of runs side by side do not mix.
        list.file.write_all(&text).map_err(Error::io("write", &list.path))?;
        make_placeholders(&handle(&self.root), &missing).map_err(fail())?;
        Ok(sandbox)
    }

    /// Leaves, and if nobody else is there, removes what is still empty, and the list.
    pub(crate) fn leave(self) -> Result<()> {
        let Some(mut list) = self.list else { return Ok(()) };
        // The shared lock goes first, so of two that leave together the second is alone.
        if !list.is_alone()? {
            return Ok(());
        }
        remove_through(&handle(&self.root), &list.read(&self.layer)?)?;
        list.remove()
    }
}

/// Removes what is still empty through a merge point, in which it hides again what it hid.
pub(super) fn remove_through(merged: &Path, made: &[Made]) -> Result<()> {
    let made: Vec<Placeholder> = made.iter().map(Made::placeholder).collect();
    remove_placeholders(merged, &made).map_err(Error::sandbox("remove places of mounts"))
}

/// A list of what was made.
#[derive(Debug)]
pub(super) struct List {
    file: File,
    path: PathBuf,
}

impl List {
    /// Opens the list, or makes it, and keeps others from removing what is on it; none where nothing can be written.
    fn enter(path: &Path) -> Result<Option<Self>> {
        loop {
            let mut options = File::options();
            options.read(true).append(true).create(true).mode(0o600);
            let file = match options.open(path) {
                Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => return Ok(None),
                file => file.map_err(Error::io("open", path))?,
            };
            rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared))
                .map_err(Error::io("lock", path))?;
            let list = Self { file, path: path.to_owned() };
            // Somebody may have removed it between the two.
            if list.is_there()? {
                return Ok(Some(list));
            }
        }
    }

    /// Opens a list that nobody holds; `None` when there is none, or somebody does.
    pub(super) fn left(path: &Path) -> Result<Option<Self>> {
        let file = match File::options().read(true).open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io("open", path))?,
        };
        let list = Self { file, path: path.to_owned() };
        Ok((list.is_alone()? && list.is_there()?).then_some(list))
    }

    /// What was made in the folder `layer`, what lies in another one after it. What is said of other folders, such as one
    /// that had the same name before, counts for nothing.
    pub(super) fn read(&mut self, layer: &Path) -> Result<Vec<Made>> {
        let mut text = Vec::new();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&self.file).take(MAX_LIST).read_to_end(&mut text))
            .map_err(Error::io("read", &self.path))?;
        if text.is_empty() || !layer.exists() {
            return Ok(Vec::new());
        }
        let mark = folder_mark(layer)?;
        let mut ours = false;
        let mut made = Vec::new();
        for line in text.split(|&byte| byte == 0) {
            match line.split_first() {
                Some((&FOLDER, rest)) => ours = rest == mark.as_bytes(),
                Some((kind, path)) if ours => made.extend(entry(*kind, path)),
                _ => {}
            }
        }
        made.sort_unstable();
        made.dedup();
        Ok(made)
    }

    /// Removes the list, whose lock is held by nobody else.
    pub(super) fn remove(self) -> Result<()> {
        // Whoever was alone before may have removed it, and somebody else made a new one.
        if !self.is_there()? {
            return Ok(());
        }
        std::fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }

    fn is_alone(&self) -> Result<bool> {
        match rustix::io::retry_on_intr(|| flock(&self.file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(Error::io("lock", &self.path)(errno)),
        }
    }

    fn is_there(&self) -> Result<bool> {
        let own = self.file.metadata().map_err(Error::io("look at", &self.path))?;
        match self.path.symlink_metadata() {
            Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("look at", &self.path)(error)),
        }
    }
}

/// What tells a folder from others that had its name before or get it later.
fn folder_mark(folder: &Path) -> Result<String> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let status =
        statx(CWD, folder, AtFlags::SYMLINK_NOFOLLOW, wanted).map_err(Error::io("look at", folder))?;
    Ok(format!("{}.{}.{}", status.stx_ino, status.stx_btime.tv_sec, status.stx_btime.tv_nsec))
}

fn is_whiteout(layer: &Path, path: &Path) -> bool {
    let path = layer.join(path.strip_prefix("/").unwrap_or(path));
    path.symlink_metadata().is_ok_and(|status| status.file_type().is_char_device() && status.rdev() == 0)
}

/// A path of what is open.
fn handle(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

fn entry(kind: u8, path: &[u8]) -> Option<Made> {
    let path = PathBuf::from(OsStr::from_bytes(path));
    let directory = kind.eq_ignore_ascii_case(&b'd');
    path.is_absolute().then_some(Made { path, directory, over_whiteout: kind.is_ascii_uppercase() })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct Stage {
        folder: TempDir,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["merged/root", "merged/real", "merged/dev", "merged/proc", "source"] {
                std::fs::create_dir_all(folder.path().join(name)).unwrap();
            }
            std::fs::write(folder.path().join("file"), "x").unwrap();
            std::os::unix::fs::symlink("/real", folder.path().join("merged/link")).unwrap();
            Self { folder }
        }

        fn run(&self, binds: &[(&str, &str)]) -> Placeholders {
            let path = self.folder.path().join("merged");
            let root = File::open(&path).unwrap().into();
            let joined = Joined { path: path.clone(), root, top: path.clone() };
            let mut placeholders = Placeholders::enter(&self.folder.path().join("list"), &joined).unwrap();
            let mut sandbox = Sandbox::new(path);
            for (source, target) in binds {
                sandbox = sandbox.bind(self.folder.path().join(source), target);
            }
            placeholders.make(sandbox).unwrap();
            placeholders
        }

        fn has(&self, path: &str) -> bool {
            self.folder.path().join("merged").join(path).symlink_metadata().is_ok()
        }
    }

    #[test]
    fn what_was_made_goes_and_what_was_there_stays() {
        let stage = Stage::new();
        let run = stage.run(&[
            ("source", "/a/b/c"),
            ("file", "/root/file"),
            ("file", "/link/x"),
            ("source", "/root"),
        ]);
        assert!(stage.has("a/b/c") && stage.has("root/file") && stage.has("real/x"));
        run.leave().unwrap();
        assert!(!stage.has("a") && !stage.has("root/file") && !stage.has("real/x"));
        assert!(stage.has("root") && stage.has("real") && stage.has("link"));
    }

    #[test]
    fn what_was_filled_stays() {
        let stage = Stage::new();
        let run = stage.run(&[("source", "/a/b"), ("file", "/root/file")]);
        std::fs::write(stage.folder.path().join("merged/a/mine"), "").unwrap();
        std::fs::write(stage.folder.path().join("merged/root/file"), "mine").unwrap();
        run.leave().unwrap();
        assert!(!stage.has("a/b") && stage.has("a/mine") && stage.has("root/file"));
    }

    #[test]
    fn the_last_one_removes() {
        let stage = Stage::new();
        let one = stage.run(&[("source", "/a")]);
        let two = stage.run(&[("source", "/a"), ("source", "/b")]);
        one.leave().unwrap();
        assert!(stage.has("a") && stage.has("b"));
        two.leave().unwrap();
        assert!(!stage.has("a") && !stage.has("b"));
        assert!(!stage.folder.path().join("list").exists());
    }

    #[test]
    fn what_is_said_of_another_folder_of_the_name_counts_for_nothing() {
        let stage = Stage::new();
        drop(stage.run(&[("source", "/a")]));
        let merged = stage.folder.path().join("merged");
        std::fs::rename(&merged, stage.folder.path().join("old")).unwrap();
        std::fs::create_dir_all(merged.join("a")).unwrap();
        let path = stage.folder.path().join("list");
        let mut list = List::left(&path).unwrap().unwrap();
        assert_eq!(list.read(&merged).unwrap(), []);
        assert_eq!(list.read(&stage.folder.path().join("old")).unwrap().len(), 1);
        list.remove().unwrap();
        assert!(List::left(&path).unwrap().is_none());
    }

    #[test]
    fn a_killed_run_is_tidied_up_after() {
        let stage = Stage::new();
        drop(stage.run(&[("source", "/a")]));
        assert!(stage.has("a"));
        stage.run(&[]).leave().unwrap();
        assert!(!stage.has("a"));
    }
}
