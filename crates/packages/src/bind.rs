//! Folders and files of the machine that layers see.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The largest file with binds, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A folder or file of the machine, and where it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// What is shown.
    pub source: PathBuf,
    /// Where: an absolute path inside.
    pub target: PathBuf,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// Whether what is mounted below the source is shown as well.
    pub recursive: bool,
}

impl Bind {
    /// A folder that can be written to, at the same place inside.
    #[must_use]
    pub fn same(path: &Path) -> Self {
        Self::at(path, path)
    }

    /// `source`, writable, at `target`.
    #[must_use]
    pub fn at(source: &Path, target: &Path) -> Self {
        Self { source: source.to_owned(), target: target.to_owned(), read_only: false, recursive: false }
    }

    /// Reads `src=PATH,dst=PATH[,ro|rw][,recursive|nonrecursive]`: writable and not recursive unless it says otherwise.
    ///
    /// # Errors
    /// [`Error::Bind`].
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why| Error::Bind { text: text.to_owned(), why };
        let (mut source, mut target, mut read_only, mut recursive) = (None, None, None, None);
        for part in text.trim().split(',') {
            let known = match part.split_once('=') {
                Some(("src" | "source", path)) => source.replace(path).is_some(),
                Some(("dst" | "target" | "destination", path)) => target.replace(path).is_some(),
                Some(("type", "bind")) => false,
                None if matches!(part, "ro" | "rw") => read_only.replace(part == "ro").is_some(),
                None if matches!(part, "recursive" | "nonrecursive") => {
                    recursive.replace(part == "recursive").is_some()
                }
                _ => return Err(wrong("there is a word in it that is not known")),
            };
            if known {
                return Err(wrong("something is said twice"));
            }
        }
        let path = |path: Option<&str>| path.filter(|path| !path.is_empty()).map(PathBuf::from);
        let target = path(target).ok_or_else(|| wrong("`dst` is missing"))?;
        if !target.is_absolute() {
            return Err(wrong("`dst` is not an absolute path"));
        }
        let source = path(source).ok_or_else(|| wrong("`src` is missing"))?;
        Ok(Self {
            source,
            target,
            read_only: read_only.unwrap_or(false),
            recursive: recursive.unwrap_or(false),
        })
    }

    /// Reads a file with one bind a line; empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Bind`] for the first line that is not usable.
    pub fn read_file(path: &Path) -> Result<Vec<Self>> {
        let bytes = crate::files::read(path, MAX_FILE).map_err(Error::io("read the binds in", path))?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(Self::parse).collect()
    }

    /// Whether there is something to show.
    #[must_use]
    pub fn is_there(&self) -> bool {
        fs::metadata(&self.source).is_ok()
    }

    /// What `--mount=` of `ovmlayer` takes.
    #[must_use]
    pub fn to_mount(&self) -> OsString {
        let mut text = OsString::from("type=bind,src=");
        text.push(&self.source);
        text.push(",dst=");
        text.push(&self.target);
        text.push(if self.read_only { ",ro" } else { ",rw" });
        text.push(if self.recursive { ",recursive" } else { ",nonrecursive" });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_read_as_launchers_write_them() {
        let cases = [
            ("src=/a,dst=/b", Some("type=bind,src=/a,dst=/b,rw,nonrecursive")),
            ("src=/a b,dst=/b,ro,recursive", Some("type=bind,src=/a b,dst=/b,ro,recursive")),
            ("type=bind,source=/a,target=/b,recursive,rw", Some("type=bind,src=/a,dst=/b,rw,recursive")),
            ("src=/a", None),
            ("dst=/a", None),
            ("src=,dst=/a", None),
            ("src=/a,dst=b", None),
            ("src=/a,dst=/b,rw,ro", None),
            ("src=/a,dst=/b,no", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let mount = Bind::parse(text).ok().map(|bind| bind.to_mount());
            assert_eq!(mount.as_deref(), expected.map(std::ffi::OsStr::new), "{text}");
        }
    }

    #[test]
    fn a_file_has_one_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("binds");
        fs::write(&path, "# caches\nsrc=/a,dst=/b\n\n  src=/c,dst=/d,ro  \n").expect("a file");
        let binds = Bind::read_file(&path).expect("binds");
        assert_eq!(binds.iter().map(|bind| bind.read_only).collect::<Vec<_>>(), [false, true]);
    }
}
