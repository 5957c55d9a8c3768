//! Unpacks wheels (binary distribution format, "Installing a wheel").

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;

use tree::EntryPath;
use zip::ZipArchive;

use super::record::{self, Row};
use super::{WheelName, entry_points};
use crate::files::Written;
use crate::{Error, Files};

/// What stands in `INSTALLER`.
const INSTALLER: &str = "ovmlayer-rootfs\n";

/// The greatest number of files in a wheel.
const MAX_FILES: usize = 200_000;

/// The greatest size of all files of a wheel together, in bytes.
const MAX_SIZE: u64 = 16 << 30;

/// The greatest size of a text that is read as a whole, in bytes.
const MAX_TEXT: u64 = 64 << 20;

/// Where the parts of a package go: relative to the root, without a slash at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// The modules, such as `usr/local/lib/python3.13/dist-packages`.
    pub library: String,
    /// The programs, such as `usr/local/bin`.
    pub scripts: String,
    /// Other files, such as `usr/local`.
    pub data: String,
    /// The headers of C, in a folder of the package's name.
    pub headers: String,
    /// The interpreter that programs begin with, such as `/usr/bin/python3`.
    pub python: String,
}

/// Whether somebody asked for a package, or another one needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// By its name.
    ByName,
    /// Only because of another one.
    ByOthers,
}

/// Unpacks the wheel called `file`, whose contents have been verified, into `files`.
///
/// # Errors
/// [`Error::Wheel`] when it is no wheel, [`Error::WheelRecord`] when its list contradicts it, [`Error::Path`] when a name in
/// it leads outside.
pub fn install(
    file: &str,
    contents: File,
    scheme: &Scheme,
    requested: Requested,
    files: &mut Files<'_>,
) -> Result<(), Error> {
    let mut wheel = Wheel::open(file, contents)?;
    let listed = wheel.listed()?;
    let mut installed = Installed { file, scheme, files, rows: BTreeMap::new() };
    wheel.unpack(&listed, &mut installed)?;
    if let Some(text) = wheel.text(&format!("{}/entry_points.txt", wheel.information))? {
        let launchers = entry_points::read(&text).map_err(|message| wheel.wrong(message))?;
        for launcher in launchers {
            let script = launcher.script(&scheme.python);
            installed.generate(&format!("{}/{}", scheme.scripts, launcher.name), 0o755, &script)?;
        }
    }
    let information = format!("{}/{}", scheme.library, wheel.information);
    installed.generate(&format!("{information}/INSTALLER"), 0o644, INSTALLER)?;
    if requested == Requested::ByName {
        installed.generate(&format!("{information}/REQUESTED"), 0o644, "")?;
    }
    installed.finish(&format!("{information}/RECORD"))
}

/// A wheel that is open.
struct Wheel<'a> {
    file: &'a str,
    archive: ZipArchive<File>,
    /// The project's name.
    project: String,
    /// The folder with what is said about the package.
    information: String,
    /// The folder with what does not go where the modules go.
    data: String,
}

impl<'a> Wheel<'a> {
    fn open(file: &'a str, contents: File) -> Result<Self, Error> {
        let wrong = |message: String| Error::Wheel { file: file.to_owned(), message };
        let name =
            WheelName::parse(file).ok_or_else(|| wrong("its name is not that of a wheel".to_owned()))?;
        let archive = ZipArchive::new(contents).map_err(|error| wrong(error.to_string()))?;
        if archive.len() > MAX_FILES {
            return Err(wrong(format!("it has more than {MAX_FILES} files")));
        }
        let names = archive.file_names().filter_map(Result::ok);
        let folders = names.filter_map(|path| path.strip_suffix("/WHEEL").map(str::to_owned));
        let folders = folders.filter(|folder| folder.ends_with(".dist-info") && !folder.contains('/'));
        let information = match folders.collect::<Vec<_>>().as_slice() {
            [folder] => folder.clone(),
            [] => return Err(wrong("it has no folder `.dist-info` with a file WHEEL".to_owned())),
            _ => return Err(wrong("it has several folders `.dist-info`".to_owned())),
        };
        let data = format!("{}.data", information.trim_end_matches(".dist-info"));
        let mut wheel = Self { file, archive, project: name.project, information, data };
        wheel.check_version()?;
        Ok(wheel)
    }

    /// Installers must refuse a version with another first number.
    fn check_version(&mut self) -> Result<(), Error> {
        let text = self.text(&format!("{}/WHEEL", self.information))?.unwrap_or_default();
        let version = text.lines().find_map(|line| line.strip_prefix("Wheel-Version:")).map(str::trim);
        match version {
            Some(version) if version.split('.').next() == Some("1") => Ok(()),
            Some(version) => Err(self.wrong(format!("wheel version {version} is not known: 1 is"))),
            None => Err(self.wrong("its file WHEEL names no version".to_owned())),
        }
    }

    /// What its list says of each file.
    fn listed(&mut self) -> Result<HashMap<String, String>, Error> {
        let text = self.text(&format!("{}/RECORD", self.information))?;
        let text = text.ok_or_else(|| self.wrong("it has no RECORD".to_owned()))?;
        Ok(record::read(&text).into_iter().map(|row| (row.path, row.hash)).collect())
    }

    fn unpack(
        &mut self,
        listed: &HashMap<String, String>,
        installed: &mut Installed<'_, '_>,
    ) -> Result<(), Error> {
        // The list and what signs it: a new list is written, and signatures are about the old one.
        let lists = ["RECORD", "RECORD.jws", "RECORD.p7s"].map(|name| format!("{}/{name}", self.information));
        let mut total = 0_u64;
        for index in 0..self.archive.len() {
            let refuse = |message: String| Error::Wheel { file: self.file.to_owned(), message };
            let wrong = |error: zip::result::ZipError| refuse(error.to_string());
            let member = self.archive.by_index(index).map_err(wrong)?;
            let name = member.name().map_err(wrong)?.into_owned();
            if member.is_dir() || lists.contains(&name) {
                continue;
            }
            total = total.saturating_add(member.size());
            if total > MAX_SIZE {
                return Err(refuse(format!("its files are larger than {MAX_SIZE} bytes together")));
            }
            let executable = member.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            let place = Place::of(&name, &self.data, &self.project, installed.scheme);
            let place = place.ok_or_else(|| refuse(format!("{name} in it is for no known place")))?;
            let size = member.size();
            let hash = installed.add(&place, executable, &mut member.take(size))?;
            if listed.get(&name).is_some_and(|expected| contradicts(expected, &hash)) {
                return Err(Error::WheelRecord { file: self.file.to_owned(), path: name });
            }
        }
        Ok(())
    }

    fn text(&mut self, path: &str) -> Result<Option<String>, Error> {
        let wrong = |message: String| Error::Wheel { file: self.file.to_owned(), message };
        let member = match self.archive.by_name(path) {
            Ok(member) => member,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let mut text = String::new();
        let read = member.take(MAX_TEXT).read_to_string(&mut text);
        read.map_err(|source| Error::Io { what: format!("{path} in {}", self.file), source })?;
        Ok(Some(text))
    }

    fn wrong(&self, message: String) -> Error {
        Error::Wheel { file: self.file.to_owned(), message }
    }
}

/// Whether a hash of the list is another one than that of the file. Of other algorithms nothing is said.
fn contradicts(listed: &str, found: &str) -> bool {
    listed.starts_with("sha256=") && listed.trim_end_matches('=') != found
}

/// Where a file of a wheel goes.
struct Place {
    path: String,
    is_script: bool,
}

impl Place {
    fn of(name: &str, data: &str, project: &str, scheme: &Scheme) -> Option<Self> {
        let inner = name.strip_prefix(data).and_then(|rest| rest.strip_prefix('/'));
        let Some(inner) = inner else {
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
struct Installed<'a, 'r> {
    file: &'a str,
    scheme: &'a Scheme,
    files: &'a mut Files<'r>,
    rows: BTreeMap<String, Row>,
}

impl Installed<'_, '_> {
    /// Writes a file of the wheel. The answer is the hash of what the wheel has there.
    fn add(&mut self, place: &Place, executable: bool, contents: &mut dyn Read) -> Result<String, Error> {
        let path = self.path(&place.path)?;
        let failed = |source| Error::Io { what: self.file.to_owned(), source };
        if !place.is_script {
            let mode = if executable { 0o755 } else { 0o644 };
            let written = self.files.write(&path, mode, contents)?;
            self.note(&place.path, &written);
            return Ok(record::spelled(&written.sha256));
        }
        // Only the first line can be another one; what follows is not looked at.
        let mut first = Vec::new();
        read_line(contents, &mut first).map_err(failed)?;
        let original = first.clone();
        if first.starts_with(b"#!python") {
            first = format!("#!{}\n", self.scheme.python).into_bytes();
        }
        let unchanged = first == original;
        let mut tee = Tee { inner: contents, hasher: sha2::Digest::new() };
        sha2::Digest::update(&mut tee.hasher, &original);
        let written = self.files.write(&path, 0o755, &mut first.as_slice().chain(&mut tee))?;
        let wheel: [u8; 32] =
            if unchanged { written.sha256 } else { sha2::Digest::finalize(tee.hasher).into() };
        self.note(&place.path, &written);
        Ok(record::spelled(&wheel))
    }

    /// Writes a file that no wheel has.
    fn generate(&mut self, path: &str, mode: u32, text: &str) -> Result<(), Error> {
        let written = self.files.write(&self.path(path)?, mode, &mut text.as_bytes())?;
        self.note(path, &written);
        Ok(())
    }

    fn finish(mut self, path: &str) -> Result<(), Error> {
        self.insert(Row { path: self.relative(path), hash: String::new(), size: String::new() });
        let text = record::write(self.rows.values());
        self.files.write(&self.path(path)?, 0o644, &mut text.as_bytes())?;
        Ok(())
    }

    fn note(&mut self, path: &str, written: &Written) {
        let hash = record::spelled(&written.sha256);
        self.insert(Row { path: self.relative(path), hash, size: written.size.to_string() });
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
    hasher: sha2::Sha256,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        sha2::Digest::update(&mut self.hasher, &buffer[..count]);
        Ok(count)
    }
}
