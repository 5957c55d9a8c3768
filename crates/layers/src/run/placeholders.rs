//! Files and folders that are made in a merge point only to mount something on, and that go afterwards.
//!
//! A command may look at what is around it (a bundler that finds an empty `package.json` fails), and what it finds is
//! exported with the layer. So what was made is written to a list before it is made, and whoever is the last to leave
//! the merge point removes what is still empty; the list outlives a run that was killed. Every run holds a shared lock of
//! the list for as long as it lives, and only who gets it alone removes anything: the placeholders of one run may be
//! in use by another.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tree::{EntryPath, Kind, Root};

use super::Bind;
use crate::cp::place;
use crate::{Error, Result};

/// A list longer than this, in bytes, is not of our making.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// A merge point's list, held while a command runs there.
#[derive(Debug)]
pub(super) struct Placeholders {
    list: File,
    path: PathBuf,
}

impl Placeholders {
    /// Takes part in the list at `path`, which is made when it is missing.
    pub(super) fn enter(path: &Path) -> Result<Self> {
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
                    return Ok(Self { list, path: path.to_owned() });
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("look at", path)(error)),
            }
        }
    }

    /// Makes what `binds` lack in `merged`. What lies in another bind is not seen here; the sandbox makes it there.
    pub(super) fn make(&mut self, merged: &Root, binds: &[Bind]) -> Result<()> {
        for bind in binds {
            let target = bind.target.as_os_str().as_bytes();
            // Other failures are of the mount, which knows more to say about them.
            let Ok(place) = place::folder(merged, None, target) else { continue };
            let Some((last, folders)) = place.missing.split_last() else { continue };
            self.announce(place.missing.iter().map(|missing| &missing.path))?;
            let fail = |path: &EntryPath| Error::tree("make a place to mount on for", format!("/{path}"));
            for folder in folders {
                merged.make_dir(&folder.path, &folder.metadata).map_err(fail(&folder.path))?;
            }
            if bind.source.is_dir() {
                merged.make_dir(&last.path, &last.metadata).map_err(fail(&last.path))?;
            } else {
                let metadata = tree::Metadata { mode: 0o644, ..last.metadata.clone() };
                match merged.write_file(&last.path, &metadata, &mut std::io::empty()) {
                    Err(error) if error.io_kind() != Some(std::io::ErrorKind::AlreadyExists) => {
                        return Err(fail(&last.path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn announce<'p>(&mut self, paths: impl Iterator<Item = &'p EntryPath>) -> Result<()> {
        let mut text = Vec::new();
        for path in paths {
            text.extend_from_slice(path.as_bytes());
            text.push(0);
        }
        // One write: lines of runs side by side do not mix.
        self.list.write_all(&text).map_err(Error::io("write", &self.path))
    }

    /// Leaves, and if nobody else is there, removes what is still empty.
    pub(super) fn leave(mut self, merged: &Root) -> Result<()> {
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
        let mut paths: Vec<EntryPath> =
            text.split(|&byte| byte == 0).filter_map(|path| EntryPath::parse(path).ok()).collect();
        paths.sort_unstable();
        paths.dedup();
        merged.forget_parents();
        for path in paths.iter().rev().filter(|path| !path.is_root()) {
            // What cannot be removed is in use in a way that we do not know, and stays.
            let _ = match merged.kind(path) {
                Ok(Some(Kind::Directory)) => merged.remove_dir(path),
                Ok(Some(Kind::File { size: 0 })) => merged.remove_file(path),
                _ => Ok(false),
            };
        }
        self.list.set_len(0).map_err(Error::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tree::Links;

    use super::*;

    struct Stage {
        folder: TempDir,
        merged: Root,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["merged/root", "merged/real", "source"] {
                std::fs::create_dir_all(folder.path().join(name)).unwrap();
            }
            std::fs::write(folder.path().join("file"), "x").unwrap();
            std::os::unix::fs::symlink("/real", folder.path().join("merged/link")).unwrap();
            let merged = Root::open(folder.path().join("merged"), Links::Refuse).unwrap();
            Self { folder, merged }
        }

        fn run(&self, binds: &[(&str, &str)]) -> Placeholders {
            let mut placeholders = Placeholders::enter(&self.folder.path().join("list")).unwrap();
            let binds: Vec<Bind> = binds
                .iter()
                .map(|(source, target)| Bind {
                    source: self.folder.path().join(source),
                    target: target.into(),
                    read_only: false,
                    recursive: false,
                })
                .collect();
            placeholders.make(&self.merged, &binds).unwrap();
            placeholders
        }

        fn has(&self, path: &str) -> bool {
            self.folder.path().join("merged").join(path).symlink_metadata().is_ok()
        }
    }

    #[test]
    fn what_was_made_goes_and_what_was_there_stays() {
        let stage = Stage::new();
        let run = stage.run(&[("source", "/a/b/c"), ("file", "/root/file"), ("file", "/link/x"), ("source", "/root")]);
        assert!(stage.has("a/b/c") && stage.has("root/file") && stage.has("real/x"));
        run.leave(&stage.merged).unwrap();
        assert!(!stage.has("a") && !stage.has("root/file") && !stage.has("real/x"));
        assert!(stage.has("root") && stage.has("real") && stage.has("link"));
    }

    #[test]
    fn what_was_filled_stays() {
        let stage = Stage::new();
        let run = stage.run(&[("source", "/a/b"), ("file", "/root/file")]);
        std::fs::write(stage.folder.path().join("merged/a/mine"), "").unwrap();
        std::fs::write(stage.folder.path().join("merged/root/file"), "mine").unwrap();
        run.leave(&stage.merged).unwrap();
        assert!(!stage.has("a/b") && stage.has("a/mine") && stage.has("root/file"));
    }

    #[test]
    fn the_last_one_removes() {
        let stage = Stage::new();
        let one = stage.run(&[("source", "/a")]);
        let two = stage.run(&[("source", "/a"), ("source", "/b")]);
        one.leave(&stage.merged).unwrap();
        assert!(stage.has("a") && stage.has("b"));
        two.leave(&stage.merged).unwrap();
        assert!(!stage.has("a") && !stage.has("b"));
    }

    #[test]
    fn a_killed_run_is_tidied_up_after() {
        let stage = Stage::new();
        drop(stage.run(&[("source", "/a")]));
        assert!(stage.has("a"));
        stage.run(&[]).leave(&stage.merged).unwrap();
        assert!(!stage.has("a"));
    }
}
