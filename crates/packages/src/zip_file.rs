//! A folder as a ZIP archive, the same bytes every time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::{Error, Result};

/// Writes the files that lie directly in `folder` into the archive at `path`, in the order of their names, with the oldest time
/// that the format has, so that the same files give the same bytes. The archive appears when it is complete.
///
/// # Errors
/// [`Error::Io`].
pub fn zip_folder(folder: &Path, path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = parent.join(format!(".{}.tmp", crate::names::random()));
    let written = write(folder, &temporary).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path)(error)
    })
}

fn write(folder: &Path, path: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    let mut archive = ZipWriter::new(File::create_new(path)?);
    for name in names {
        let mut file = File::open(folder.join(&name))?;
        let is_large = file.metadata()?.len() > u64::from(u32::MAX) / 2;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(is_large);
        archive.start_file(name, options)?;
        io::copy(&mut file, &mut archive)?;
    }
    let mut file = archive.finish()?;
    file.flush()?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_same_files_are_the_same_archive() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("source");
        fs::create_dir(&source).expect("a folder");
        for name in ["b", "a", ".hidden"] {
            fs::write(source.join(name), name.repeat(1000)).expect("a file");
        }
        let archive = |name: &str| {
            let path = folder.path().join(name);
            zip_folder(&source, &path).expect("an archive");
            fs::read(path).expect("the archive")
        };
        let first = archive("first.zip");
        File::open(source.join("a"))
            .and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))
            .expect("a time");
        assert!(first == archive("second.zip"));
        let mut read = zip::ZipArchive::new(io::Cursor::new(first)).expect("an archive");
        assert_eq!(read.len(), 2);
        let mut text = String::new();
        read.by_name("b").expect("a member").read_to_string(&mut text).expect("its text");
        assert_eq!(text, "b".repeat(1000));
    }
}
