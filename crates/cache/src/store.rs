//! The cache folder: its layout, contents by digest, and records.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::file_lock::{Patience, lock};
use crate::partial::{Claim, claim};
use crate::writer::Writer;
use crate::{Digest, Error, Result};

/// The number in the `version` file; changing the layout in a way old programs cannot read is a new number.
pub const FORMAT_VERSION: u32 = 1;

/// The setting that moves the cache.
pub(crate) const CHOOSE: &str = "`--cache-dir` or XDG_CACHE_HOME";

/// A record is a small fact; more than this is not one of ours.
const RECORD_LIMIT: u64 = 16 << 20;

const CACHEDIR_TAG: &[u8] =
    b"Signature: 8a477f597d28d172789f06886806bc55\n# Downloads of ovmlayer-rootfs; safe to delete.\n";

/// A folder of contents by digest. Cheap to clone; all methods may be called from many threads and processes.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The folder used unless told otherwise: `$XDG_CACHE_HOME/ovmlayer-rootfs`, else `~/.cache/ovmlayer-rootfs`.
    ///
    /// # Errors
    /// [`Error::NoPlace`] when neither variable holds an absolute path (relative ones are ignored, as the XDG base
    /// directory specification says).
    pub fn default_path() -> Result<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|base| base.join("ovmlayer-rootfs"))
            .ok_or(Error::NoPlace)
    }

    /// Opens the cache at `root`, creating it (mode 0700) when it does not exist.
    ///
    /// # Errors
    /// [`Error::Format`] for a folder of another format, [`Error::NoSpace`], [`Error::Io`].
    pub fn open(root: &Path) -> Result<Self> {
        let cache = Self { root: root.to_owned() };
        make_folder(root)?;
        cache.check_format()?;
        for name in ["files", "partial", "temporary", "records"] {
            make_folder(&root.join(name))?;
        }
        cache.reclaim()?;
        Ok(cache)
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the contents with this digest for reading, if they are here.
    ///
    /// # Errors
    /// [`Error::Io`] for any failure but absence.
    pub fn file(&self, digest: &Digest) -> Result<Option<File>> {
        let path = self.path(digest);
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::io("open", &path, CHOOSE, source)),
        }
    }

    /// Whether the contents with this digest are here.
    ///
    /// # Errors
    /// As [`Cache::file`].
    pub fn contains(&self, digest: &Digest) -> Result<bool> {
        Ok(self.file(digest)?.is_some())
    }

    /// Where the contents with this digest are, or would be.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("files").join(&name[..2]).join(name)
    }

    /// Forgets the contents with this digest, for a caller who found them damaged.
    ///
    /// # Errors
    /// [`Error::Io`] for any failure but absence.
    pub fn discard(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", &path, CHOOSE, source))
            }
            _ => Ok(()),
        }
    }

    /// Begins to store contents; nothing is visible before [`Writer::commit`].
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`].
    pub fn insert(&self) -> Result<Writer> {
        Writer::begin(self)
    }

    /// Claims the download of contents, waiting for another process or thread that is at it.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`].
    pub fn partial(&self, digest: &Digest) -> Result<Claim> {
        loop {
            if let Some(claim) = claim(self, digest, Patience::Wait)? {
                return Ok(claim);
            }
        }
    }

    /// Claims the download of contents; `None` while another process or thread is at it.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`].
    pub fn try_partial(&self, digest: &Digest) -> Result<Option<Claim>> {
        claim(self, digest, Patience::Now)
    }

    /// The fact kept under `kind` and `key`, if any.
    ///
    /// # Errors
    /// [`Error::Io`] for any failure but absence.
    pub fn record(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let path = self.record_path(kind, key);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("open", &path, CHOOSE, source)),
        };
        let mut bytes = Vec::new();
        file.take(RECORD_LIMIT)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::io("read", &path, CHOOSE, source))?;
        Ok(Some(bytes))
    }

    /// Keeps a fact under `kind` (a short word) and `key` (any text, such as a URL), replacing an earlier one.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`].
    pub fn put_record(&self, kind: &str, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.record_path(kind, key);
        make_folder(&self.root.join("records").join(word(kind)))?;
        let mut writer = self.insert()?;
        writer.append(bytes)?;
        writer.place(&path)
    }

    fn record_path(&self, kind: &str, key: &str) -> PathBuf {
        self.root.join("records").join(word(kind)).join(Digest::of(key.as_bytes()).to_string())
    }

    pub(crate) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.to_string())
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    /// Renames a complete, synced file to its final name; of two at once either wins, the bytes are the same.
    pub(crate) fn adopt(&self, from: &Path, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        fs::rename(from, &path).map_err(|source| Error::io("store", &path, CHOOSE, source))
    }

    fn check_format(&self) -> Result<()> {
        let path = self.root.join("version");
        let known = format!("{FORMAT_VERSION}\n");
        match fs::read(&path) {
            Ok(found) if found == known.as_bytes() => Ok(()),
            Ok(found) => Err(Error::Format {
                path: self.root.clone(),
                found: String::from_utf8_lossy(&found).trim().chars().take(40).collect(),
                known: FORMAT_VERSION,
            }),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {
                self.place_whole("CACHEDIR.TAG", CACHEDIR_TAG)?;
                self.place_whole("version", known.as_bytes())
            }
            Err(source) => Err(Error::io("read", &path, CHOOSE, source)),
        }
    }

    /// Writes a small file in one rename: two programs may be making the same new cache.
    fn place_whole(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(name);
        let temporary = self.root.join(format!(".{name}.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_data()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&temporary);
            Error::io("write", &path, CHOOSE, source)
        })
    }

    /// Removes insertions whose owner died. Those of living owners are locked.
    fn reclaim(&self) -> Result<()> {
        let folder = self.temporary();
        let entries = fs::read_dir(&folder).map_err(|source| Error::io("read", &folder, CHOOSE, source))?;
        for entry in entries.flatten() {
            let path = entry.path();
            // One that vanished meanwhile was somebody's own business.
            let Ok(file) = File::open(&path) else { continue };
            if lock(&file, Patience::Now) == Ok(true) {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }
}

/// The name of a kind of records: nothing but letters, digits and hyphens reaches the file system.
fn word(kind: &str) -> String {
    kind.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

/// Creates a folder and its parents, mode 0700, if it does not exist.
fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::io("create the folder", path, CHOOSE, source))
}
