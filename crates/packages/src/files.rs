//! Small files: read within bounds, written in one rename, changed under a lock.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The largest store, in bytes: some hundred thousand packages.
const MAX_STORE: u64 = 64 << 20;

/// All of a file that is not larger than `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Writes a file in one rename, so that nobody sees half of it and a full disk leaves what was there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let temporary = folder.join(format!(".{}.tmp", crate::names::random()));
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    });
    written.inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// The text of a JSON file for people.
pub(crate) fn pretty(value: &impl Serialize) -> Vec<u8> {
    // What is written here has texts as keys, which is all that could fail.
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Takes the lock in the file at `path`, which stays; waits for whoever has it.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let open = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let file = File::options().create(true).append(true).open(path)?;
        rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
        Ok::<_, io::Error>(file)
    };
    open().map_err(Error::io("lock", path))
}

/// A store: a value in a JSON file that several processes read and change.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Store {
    /// The store in a file, or in the one that a link there leads to: the link itself stays.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) }
    }

    /// What it holds; what it holds at first when there is no file.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self) -> Result<T> {
        match read(&self.path, MAX_STORE) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(T::default()),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Error::Store { path: self.path.clone(), why: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
            Err(error) => Err(Error::io("read", &self.path)(error)),
        }
    }

    /// Changes what it holds, while nobody else does.
    pub(crate) fn change<T, R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R>
    where
        T: DeserializeOwned + Serialize + Default,
    {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let _lock = lock(&self.path.with_file_name(format!(".{name}.lock")))?;
        let mut value: T = self.read()?;
        let result = change(&mut value);
        write(&self.path, &pretty(&value)).map_err(Error::io("write", &self.path))?;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn changes_of_many_are_all_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/store.json");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..10 {
                        let change =
                            |map: &mut BTreeMap<String, u32>| map.insert(format!("{thread}.{number}"), 1);
                        Store::at(path).change(change).expect("a change");
                    }
                });
            }
        });
        let map: BTreeMap<String, u32> = Store::at(&path).read().expect("the store");
        assert_eq!(map.len(), 40);
    }

    #[test]
    fn a_link_stays_and_a_broken_store_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "{}").expect("a file");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let change = |map: &mut BTreeMap<String, u32>| map.insert("a".to_owned(), 1);
        Store::at(&link).change(change).expect("a change");
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(fs::read_to_string(&real).expect("a file"), "{\n  \"a\": 1\n}\n");
        fs::write(&real, "[").expect("a file");
        let error = Store::at(&link).read::<BTreeMap<String, u32>>().expect_err("it is broken").to_string();
        assert!(error.contains(&real.display().to_string()) && error.contains("line 1"), "{error}");
    }
}
