//! Files that the user named.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to `path` in one rename: nobody sees half of them, and what was there stays when the disk is full.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let Some(name) = path.file_name() else {
        return Err(format!("cannot write {}: it is not the name of a file", path.display()).into());
    };
    let temporary = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = (|| -> io::Result<()> {
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|error| {
        // One that another program of this number left is not ours to remove.
        if error.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(&temporary);
        }
        format!("cannot write {}: {error}", path.display()).into()
    })
}
