//! A file that is there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result, record};

/// What is being written in the place of a file.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    /// The temporary name; none for a pipe or device, which is written straight into.
    temporary: Option<PathBuf>,
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
                return Ok((Output { path, temporary: None }, file));
            }
            _ => {}
        }
        loop {
            let temporary = beside(&path)?;
            match File::create_new(&temporary) {
                Ok(file) => return Ok((Output { path, temporary: Some(temporary) }, file)),
                // Left by a process that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
    }

    /// Makes what was written durable and gives it its name.
    pub(super) fn commit(mut self, file: &File) -> Result<()> {
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        let renamed = file.sync_all().and_then(|()| fs::rename(&temporary, &self.path));
        if let Err(error) = renamed {
            self.temporary = Some(temporary);
            return Err(Error::io("write", &self.path)(error));
        }
        record::sync_folder(parent(&self.path))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The error that is on its way says more.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary name in the same folder.
fn beside(path: &Path) -> Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let Some(name) = path.file_name() else {
        return Err(Error::io("write", path)(io::Error::from(io::ErrorKind::InvalidInput)));
    };
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    // Long names have to leave room for ours.
    temporary.push(name.to_string_lossy().chars().take(40).collect::<String>());
    temporary.push(format!(".{}-{number}.tmp", std::process::id()));
    Ok(parent(path).join(temporary))
}
