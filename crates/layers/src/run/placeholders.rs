//! Files and folders that are made in a merge point only to mount something on, and that go afterwards.
//!
//! A command may look at what is around it (a bundler that finds an empty `package.json` fails), and what it finds is
//! exported with the layer. So what is made is first written to a list, and whoever is the last to leave the merge
//! point removes what is still empty; the list outlives a run that was killed. Every run holds a shared lock of the
//! list for as long as it lives, and only who gets it alone removes anything: the placeholders of one run may be in use
//! by another.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sandbox::{Placeholder, Sandbox, make_placeholders, remove_placeholders};

use crate::{Error, Result};

/// A list longer than this, in bytes, is not of our making.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// A merge point's list, held while a command runs there.
#[derive(Debug)]
pub(super) struct Placeholders {
    list: File,
    path: PathBuf,
    /// Where the merge point is mounted.
    merged: PathBuf,
}

impl Placeholders {
    /// Takes part in the list at `path`, which is made when it is missing.
    pub(super) fn enter(path: &Path, merged: &Path) -> Result<Self> {
        loop {
            let mut options = File::options();
            options.read(true).append(true).create(true).mode(0o600);
            let list = options.open(path).map_err(Error::io("open", path))?;
            rustix::io::retry_on_intr(|| flock(&list, FlockOperation::LockShared))
                .map_err(Error::io("lock", path))?;
            let own = list.metadata().map_err(Error::io("look at", path))?;
            // Somebody may have removed it between the two.
            match path.symlink_metadata() {
                Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {
                    return Ok(Self { list, path: path.to_owned(), merged: merged.to_owned() });
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("look at", path)(error)),
            }
        }
    }

    /// Makes what the mounts of `sandbox`, whose root is the merge point, lack there.
    pub(super) fn make(&mut self, sandbox: &Sandbox) -> Result<()> {
        let fail = || Error::sandbox("make places to mount on");
        let missing = sandbox.missing_targets().map_err(fail())?;
        if missing.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for placeholder in &missing {
            text.push(if placeholder.directory { b'd' } else { b'f' });
            text.extend_from_slice(placeholder.path.as_os_str().as_bytes());
            text.push(0);
        }
        // One write: entries of runs side by side do not mix.
        self.list.write_all(&text).map_err(Error::io("write", &self.path))?;
        make_placeholders(&self.merged, &missing).map_err(fail())
    }

    /// Leaves, and if nobody else is there, removes what is still empty.
    pub(super) fn leave(mut self) -> Result<()> {
        // The shared lock goes first, so of two that leave together the second is alone.
        match rustix::io::retry_on_intr(|| flock(&self.list, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(errno) => return Err(Error::io("lock", &self.path)(errno)),
        }
        let mut text = Vec::new();
        self.list
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&self.list).take(MAX_LIST).read_to_end(&mut text))
            .map_err(Error::io("read", &self.path))?;
        if text.is_empty() {
            return Ok(());
        }
        let mut made: Vec<Placeholder> = text.split(|&byte| byte == 0).filter_map(entry).collect();
        // What lies in another one comes after it.
        made.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        made.dedup();
        remove_placeholders(&self.merged, &made).map_err(Error::sandbox("remove places of mounts"))?;
        self.list.set_len(0).map_err(Error::io("write", &self.path))
    }
}

fn entry(text: &[u8]) -> Option<Placeholder> {
    let (kind, path) = text.split_first()?;
    let path = PathBuf::from(OsStr::from_bytes(path));
    path.is_absolute().then_some(Placeholder { path, directory: *kind == b'd' })
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
            let merged = self.folder.path().join("merged");
            let mut placeholders = Placeholders::enter(&self.folder.path().join("list"), &merged).unwrap();
            let mut sandbox = Sandbox::new(merged);
            for (source, target) in binds {
                sandbox = sandbox.bind(self.folder.path().join(source), target);
            }
            placeholders.make(&sandbox).unwrap();
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
