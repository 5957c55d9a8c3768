//! Unpacks wheels (binary distribution format, "Installing a wheel").

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read as _;

use tree::EntryPath;
use zip::ZipArchive;
use zip::result::ZipError;

use super::installed::{Installed, Place};
use super::name::{WheelName, normalized};
use super::{entry_points, record};
use crate::{Error, Files, bounds};

/// What stands in `INSTALLER`.
const INSTALLER: &str = "ovmlayer-rootfs\n";

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
    let mut installed = Installed::new(file, scheme, files);
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
    /// How large its files may be together, in bytes.
    room: u64,
    /// The project's name.
    project: String,
    /// The folder with what is said about the package.
    information: String,
}

impl<'a> Wheel<'a> {
    fn open(file: &'a str, contents: File) -> Result<Self, Error> {
        let wrong = |message: String| Error::Wheel { file: file.to_owned(), message };
        let name =
            WheelName::parse(file).ok_or_else(|| wrong("its name is not that of a wheel".to_owned()))?;
        let read = |source| Error::Io { what: file.to_owned(), source };
        let room = bounds::contents_of(contents.metadata().map_err(read)?.len());
        let archive = ZipArchive::new(contents).map_err(|error| wrong(error.to_string()))?;
        if archive.len() as u64 > bounds::ENTRIES {
            return Err(wrong(format!("it has more than {} files", bounds::ENTRIES)));
        }
        if archive.has_duplicate_names() {
            return Err(wrong("two files in it have one name".to_owned()));
        }
        let information = information(&archive, &name.project).map_err(wrong)?;
        let mut wheel = Self { file, archive, room, project: name.project, information };
        wheel.check_version()?;
        Ok(wheel)
    }

    /// Installers must refuse a version with another first number.
    fn check_version(&mut self) -> Result<(), Error> {
        let text = self.text(&format!("{}/WHEEL", self.information))?;
        let text = text.ok_or_else(|| self.wrong("it has no file WHEEL".to_owned()))?;
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
        let mut listed = HashMap::new();
        for row in record::read(&text) {
            match listed.insert(row.path.clone(), row.hash.clone()) {
                Some(other) if other != row.hash => return Err(self.contradiction(row.path)),
                _ => {}
            }
        }
        Ok(listed)
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
            let wrong = |error: ZipError| refuse(error.to_string());
            let member = self.archive.by_index(index).map_err(wrong)?;
            let name = member.name().map_err(wrong)?.into_owned();
            check_name(self.file, &name)?;
            if member.is_dir() || lists.contains(&name) {
                continue;
            }
            total = total.saturating_add(member.size());
            if total > self.room {
                return Err(refuse(format!("its files are larger than {} bytes together", self.room)));
            }
            // A link is written as a file with its target in it, as pip does.
            let executable = member.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            let place = Place::of(&name, &self.project, installed.scheme());
            let place = place.ok_or_else(|| refuse(format!("{name} in it is for no known place")))?;
            let size = member.size();
            let hash = installed.add(&place, executable, &mut member.take(size))?;
            if listed.get(&name).map(|listed| listed.trim_end_matches('=')) != Some(&hash) {
                return Err(self.contradiction(name));
            }
        }
        Ok(())
    }

    fn text(&mut self, path: &str) -> Result<Option<String>, Error> {
        let wrong = |message: String| Error::Wheel { file: self.file.to_owned(), message };
        let member = match self.archive.by_name(path) {
            Ok(member) if member.size() > MAX_TEXT => {
                return Err(wrong(format!("{path} in it is larger than {MAX_TEXT} bytes")));
            }
            Ok(member) => member,
            Err(ZipError::FileNotFound) => return Ok(None),
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

    fn contradiction(&self, path: String) -> Error {
        Error::WheelRecord { file: self.file.to_owned(), path }
    }
}

/// The name of the folder with what is said about the package: there is one, and it is this package's.
fn information(archive: &ZipArchive<File>, project: &str) -> Result<String, String> {
    let names = archive.file_names().filter_map(Result::ok);
    let folders: BTreeSet<String> = names
        .filter_map(|name| name.split_once('/').map(|(folder, _)| folder.to_owned()))
        .filter(|folder| folder.ends_with(".dist-info"))
        .collect();
    let mut folders = folders.into_iter();
    let folder = match (folders.next(), folders.next()) {
        (Some(folder), None) => folder,
        (None, _) => return Err("it has no folder `.dist-info`".to_owned()),
        (Some(_), Some(_)) => return Err("it has several folders `.dist-info`".to_owned()),
    };
    // Versions have no `-`, and so neither has what stands before the name's end.
    let own = folder.trim_end_matches(".dist-info").rsplit_once('-').map_or(folder.as_str(), |(own, _)| own);
    if normalized(own) != normalized(project) {
        return Err(format!("what it says of itself is about another package: {folder}"));
    }
    Ok(folder)
}

/// A name is spelled in the one way that there is for a path inside.
fn check_name(file: &str, name: &str) -> Result<(), Error> {
    let wrong = |source| Error::Path { package: file.to_owned(), name: name.to_owned(), source };
    let path = EntryPath::parse(name.as_bytes()).map_err(wrong)?;
    if path.as_bytes() == name.trim_end_matches('/').as_bytes() && !name.contains(char::is_control) {
        return Ok(());
    }
    let message = format!("{} in it is spelled as no name of a file is", name.escape_debug());
    Err(Error::Wheel { file: file.to_owned(), message })
}
