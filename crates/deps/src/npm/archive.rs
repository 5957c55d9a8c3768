//! Unpacks the archives of npm packages, as npm does, and links their programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;

use tree::codec::{Format, decoder};
use tree::tar::{Limits, Reader};
use tree::{EntryPath, Kind};

use super::Selected;
use crate::{Error, Files, bounds};

/// Unpacks the archive of `package`, whose contents have been verified, into `folder` and its place in there. `folder` is
/// relative to the root, such as `usr/local/lib`.
///
/// # Errors
/// [`Error::NpmArchive`] when it is no archive, [`Error::Path`] when a name in it leads outside.
pub fn install(package: &Selected, contents: File, folder: &str, files: &mut Files<'_>) -> Result<(), Error> {
    let wrong = |message: String| Error::NpmArchive { package: package.name.clone(), message };
    let mut reader = open(&package.name, contents)?;
    let mut ignores = BTreeSet::new();
    while let Some(member) = reader.next().map_err(|error| wrong(error.to_string()))? {
        // Links and devices are not installed by npm either.
        let Kind::File { .. } = member.entry.kind else { continue };
        let Some(inner) = inner_path(&member.entry.path) else { continue };
        let Some(inner) = ignore_file(inner, &mut ignores) else { continue };
        let path = path_of(package, &format!("{folder}/{}/{inner}", package.place))?;
        // npm's own: what the archive says and what everybody may do, without the usual mask.
        let mode = ((member.entry.metadata.mode & 0o777) | 0o666) & !0o022;
        files.write(&path, mode, &mut reader.data())?;
    }
    Ok(())
}

/// What reads the archive of a package.
pub(super) fn open(package: &str, contents: File) -> Result<Reader<Box<dyn Read + Send>>, Error> {
    let failed = |source| Error::Io { what: format!("the archive of {package}"), source };
    let total = bounds::contents_of(contents.metadata().map_err(failed)?.len());
    let source = decoder(Format::Gzip, contents).map_err(failed)?;
    Ok(Reader::with_limits(source, Limits { entries: bounds::ENTRIES, total, ..Limits::default() }))
}

/// The path without its first component, whatever that is called; none when nothing is left, or it is no text.
pub(super) fn inner_path(path: &EntryPath) -> Option<String> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    text.split_once('/').map(|(_, inner)| inner.to_owned())
}

/// npm calls `.gitignore` `.npmignore`, unless there is one already.
fn ignore_file(path: String, seen: &mut BTreeSet<String>) -> Option<String> {
    let base = path.rsplit('/').next().unwrap_or_default();
    if base == ".npmignore" {
        seen.insert(path.clone());
    } else if base == ".gitignore" {
        let renamed = format!("{}.npmignore", path.strip_suffix(".gitignore").unwrap_or_default());
        return seen.insert(renamed.clone()).then_some(renamed);
    }
    Some(path)
}

/// Makes the programs of `packages` executable, and links to them: in the `.bin` beside each package, and those of packages
/// that `package.json` names in `programs`, if that is given. Both folders are relative to the root.
///
/// # Errors
/// Those of writing.
pub fn link_programs(
    packages: &[Selected],
    folder: &str,
    programs: Option<&str>,
    files: &Files<'_>,
) -> Result<(), Error> {
    // Of programs with one name in one folder the first package's counts.
    let mut links: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        for (name, file) in &package.programs {
            let file = file.trim_start_matches("./");
            let target = path_of(package, &format!("{folder}/{}/{file}", package.place))?;
            let beneath = path_of(package, &format!("{folder}/{}", package.place))?;
            let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
            if !is_name || !target.starts_with(&beneath) || !files.set_mode(&target, 0o755)? {
                continue;
            }
            let depth = package.name_depth();
            let above = package.place.rsplitn(depth + 1, '/').nth(depth).unwrap_or("node_modules");
            let inside = package.place.strip_prefix(above).unwrap_or(&package.place);
            links
                .entry(format!("{folder}/{above}/.bin/{name}"))
                .or_insert((index, format!("..{inside}/{file}")));
            if let Some(programs) = programs.filter(|_| package.direct) {
                let up = "../".repeat(programs.split('/').count());
                let target = format!("{up}{folder}/{}/{file}", package.place);
                links.entry(format!("{programs}/{name}")).or_insert((index, target));
            }
        }
    }
    for (link, (index, target)) in links {
        files.link(&path_of(&packages[index], &link)?, &target)?;
    }
    Ok(())
}

impl Selected {
    /// How many components the package has in its folder `node_modules`: two with a scope.
    fn name_depth(&self) -> usize {
        let last = self.place.rsplit("node_modules/").next().unwrap_or_default();
        last.split('/').count()
    }
}

fn path_of(package: &Selected, path: &str) -> Result<EntryPath, Error> {
    EntryPath::parse(path.as_bytes()).map_err(|source| Error::Path {
        package: package.name.clone(),
        name: path.to_owned(),
        source,
    })
}
