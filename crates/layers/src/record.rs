//! Small JSON files that are written whole or not at all.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Whether a record has to survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// It is synced before it gets its name, and its folder after.
    Yes,
    /// It means nothing after the machine was started again.
    No,
}

/// What the names of unfinished records begin with.
pub(crate) const UNFINISHED: &str = ".new-";

/// Puts a record in the place of `path` in one rename.
pub(crate) fn replace(path: &Path, value: &impl Serialize, durable: Durable) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut bytes = serde_json::to_vec(value)
        .map_err(|error| Error::Record { path: path.to_owned(), why: error.to_string() })?;
    bytes.push(b'\n');
    let (temporary, mut file) = create(folder)?;
    let written = file
        .write_all(&bytes)
        .and_then(|()| if durable == Durable::Yes { file.sync_all() } else { Ok(()) })
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&temporary);
        return Err(Error::io("write", path)(error));
    }
    if durable == Durable::Yes {
        sync_folder(folder)?;
    }
    Ok(())
}

/// Makes the names in a folder durable. File systems that cannot are left alone.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    match File::open(folder).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(Error::io("sync", folder)(error)),
        _ => Ok(()),
    }
}

fn create(folder: &Path) -> Result<(PathBuf, File)> {
    loop {
        let path = folder.join(format!("{UNFINISHED}{}", random_name()));
        match OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("write a file in", folder)(error)),
        }
    }
}

/// A name that nobody else thinks of: 16 hexadecimal digits.
pub(crate) fn random_name() -> String {
    // The standard library takes the keys of its hash maps from the kernel, and counts on from there.
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// Refuses a record of a newer format, before anything else in it is looked at.
pub(crate) fn check_format(path: &Path, text: &str, known: u32, bad: &dyn Fn(String) -> Error) -> Result<()> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let Versioned { format } = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    match format {
        0 => Err(bad("its format is 0".to_owned())),
        found if found > known => Err(Error::Format { path: path.to_owned(), found, known }),
        _ => Ok(()),
    }
}
