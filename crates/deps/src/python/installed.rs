//! What has been installed of a wheel so far, and the list of it.

use std::collections::BTreeMap;
use std::io::Read;

use sha2::{Digest as _, Sha256};
use tree::EntryPath;

use super::record::{self, Row};
use super::wheel::Scheme;
use crate::files::Written;
use crate::{Error, Files};

/// Where a file of a wheel goes.
pub(super) struct Place {
    path: String,
    is_script: bool,
}

impl Place {
    /// The place for `name` in a wheel of `project`; none when there is none for it.
    pub(super) fn of(name: &str, project: &str, scheme: &Scheme) -> Option<Self> {
        // As pip does it: whatever the folder is called before `.data`.
        let data = name.split_once('/').filter(|(folder, _)| folder.ends_with(".data"));
        let Some((_, inner)) = data else {
            return Some(Self { path: format!("{}/{name}", scheme.library), is_script: false });
        };
        let (part, rest) = inner.split_once('/')?;
        let folder = match part {
            "purelib" | "platlib" => scheme.library.clone(),
            "scripts" => scheme.scripts.clone(),
            "data" => scheme.data.clone(),
            "headers" => format!("{}/{project}", scheme.headers),
            _ => return None,
        };
        Some(Self { path: format!("{folder}/{rest}"), is_script: part == "scripts" })
    }
}

/// What has been installed of a package.
pub(super) struct Installed<'a, 'r> {
    /// The wheel's file name.
    file: &'a str,
    scheme: &'a Scheme,
    files: &'a mut Files<'r>,
    rows: BTreeMap<String, Row>,
}

impl<'a, 'r> Installed<'a, 'r> {
    /// Nothing yet.
    pub(super) fn new(file: &'a str, scheme: &'a Scheme, files: &'a mut Files<'r>) -> Self {
        Self { file, scheme, files, rows: BTreeMap::new() }
    }

    /// Where files go.
    pub(super) fn scheme(&self) -> &'a Scheme {
        self.scheme
    }

    /// Writes a file of the wheel. The answer is the hash of what the wheel has there.
    pub(super) fn add(
        &mut self,
        place: &Place,
        executable: bool,
        contents: &mut dyn Read,
    ) -> Result<String, Error> {
        let path = self.path(&place.path)?;
        if self.rows.contains_key(&self.relative(&path.to_string())) {
            let message = format!("two files in it are for {path}");
            return Err(Error::Wheel { file: self.file.to_owned(), message });
        }
        if !place.is_script {
            let mode = if executable { 0o755 } else { 0o644 };
            let written = self.files.write(&path, mode, contents)?;
            self.note(&path, &written);
            return Ok(record::spelled(&written.sha256));
        }
        // Only the first line can be another one; what follows is not looked at.
        let mut first = Vec::new();
        let failed = |source| Error::Io { what: self.file.to_owned(), source };
        read_line(contents, &mut first).map_err(failed)?;
        let mut tee = Tee { inner: contents, hasher: Sha256::new() };
        tee.hasher.update(&first);
        if first.starts_with(b"#!python") {
            first = format!("#!{}\n", self.scheme.python).into_bytes();
        }
        let written = self.files.write(&path, 0o755, &mut first.as_slice().chain(&mut tee))?;
        self.note(&path, &written);
        Ok(record::spelled(&tee.hasher.finalize().into()))
    }

    /// Writes a file that is of no wheel, in the place of one that is.
    pub(super) fn generate(&mut self, path: &str, mode: u32, text: &str) -> Result<(), Error> {
        let path = self.path(path)?;
        let written = self.files.write(&path, mode, &mut text.as_bytes())?;
        self.note(&path, &written);
        Ok(())
    }

    /// Writes the list of all files to `path`.
    pub(super) fn finish(mut self, path: &str) -> Result<(), Error> {
        self.insert(Row { path: self.relative(path), hash: String::new(), size: String::new() });
        let text = record::write(self.rows.values());
        self.files.write(&self.path(path)?, 0o644, &mut text.as_bytes())?;
        Ok(())
    }

    fn note(&mut self, path: &EntryPath, written: &Written) {
        let hash = record::spelled(&written.sha256);
        let path = self.relative(&path.to_string());
        self.insert(Row { path, hash, size: written.size.to_string() });
    }

    fn insert(&mut self, row: Row) {
        self.rows.insert(row.path.clone(), row);
    }

    /// A path as the list has it: from the modules' folder.
    fn relative(&self, path: &str) -> String {
        let library = &self.scheme.library;
        if let Some(inner) = path.strip_prefix(library.as_str()).and_then(|rest| rest.strip_prefix('/')) {
            return inner.to_owned();
        }
        let (from, to): (Vec<&str>, Vec<&str>) = (library.split('/').collect(), path.split('/').collect());
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let up = std::iter::repeat_n("..", from.len() - shared);
        up.chain(to[shared..].iter().copied()).collect::<Vec<_>>().join("/")
    }

    fn path(&self, path: &str) -> Result<EntryPath, Error> {
        EntryPath::parse(path.as_bytes()).map_err(|source| Error::Path {
            package: self.file.to_owned(),
            name: path.to_owned(),
            source,
        })
    }
}

/// Reads up to the first line feed, which is part of it, and of a longer line its beginning.
fn read_line(contents: &mut dyn Read, line: &mut Vec<u8>) -> std::io::Result<()> {
    const LONGEST: usize = 512;
    let mut byte = [0];
    while line.len() < LONGEST && contents.read(&mut byte)? == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    Ok(())
}

/// Hashes what is read.
struct Tee<'a> {
    inner: &'a mut dyn Read,
    hasher: Sha256,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
