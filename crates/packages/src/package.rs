//! Packages: folders with a `package.oo.yaml`.

use std::fs;
use std::path::{Path, PathBuf};

use flow::{Disk, Metadata, PackageManifest, Problem, Problems};

use crate::{Error, Result};

/// The names of the manifest, the better one first.
const MANIFESTS: [&str; 2] = ["package.oo.yaml", "package.oo.yml"];

/// A package that lies in a folder.
#[derive(Debug, Clone)]
pub struct Package {
    /// The folder: absolute, without `.` and `..`.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: PathBuf,
    /// What stands in that.
    pub about: PackageManifest,
    /// Where that begins, for messages.
    place: flow::Place,
}

impl Package {
    /// Reads the package in a folder; `path` is absolute.
    ///
    /// # Errors
    /// [`Error::NoPackage`]; [`Error::Manifest`] with file and line when the manifest cannot be understood.
    pub fn read(path: &Path) -> Result<Self> {
        let path = flow::clean(path);
        let manifest = manifest(&path).ok_or_else(|| Error::NoPackage(path.clone()))?;
        let bytes = crate::files::read(&manifest, flow::yaml::MAX_SIZE as u64)
            .map_err(Error::io("read", &manifest))?;
        let yaml = flow::yaml::parse(&manifest, &bytes)?;
        Ok(Self { about: PackageManifest::read(&yaml), place: yaml.place, path, manifest })
    }

    /// The name that it says, else that of its folder.
    #[must_use]
    pub fn name(&self) -> String {
        let folder = || self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.about.name.clone().unwrap_or_else(folder)
    }

    /// The name and the version that it must have to be published.
    ///
    /// # Errors
    /// [`Error::Manifest`] with file and line when one of them is missing.
    pub fn identity(&self) -> Result<(&str, &str)> {
        let name = self.about.name.as_deref().ok_or_else(|| self.missing("name", "my-package"));
        match (name, self.version()) {
            (Ok(name), Ok(version)) => Ok((name, version)),
            (Err(problem), Ok(_)) => Err(Problems(vec![problem]).into()),
            (Err(problem), Err(Error::Manifest(Problems(others)))) => {
                Err(Problems(std::iter::once(problem).chain(others).collect()).into())
            }
            (_, Err(error)) => Err(error),
        }
    }

    /// The version that it must have where others share it.
    ///
    /// # Errors
    /// [`Error::Manifest`] with file and line when it is missing.
    pub fn version(&self) -> Result<&str> {
        let missing = || Problems(vec![self.missing("version", "0.1.0")]).into();
        self.about.version.as_deref().ok_or_else(missing)
    }

    fn missing(&self, key: &str, example: &str) -> Problem {
        let message = format!("a package needs a `{key}` that is a text, such as `{key}: {example}`");
        Problem::error(self.place.clone(), message)
    }

    /// Refuses packages whose blocks do not run here.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn check_runs_here(&self) -> Result<()> {
        let refused = |why| Err(Error::Refused { package: self.path.clone(), why });
        if Metadata::read(&Disk, &self.path).hide_source {
            return refused("its source is not here (`hide_source`), its blocks run on a server");
        }
        if self.about.name.as_deref().is_some_and(|name| name.starts_with("@connector/")) {
            return refused("it is a connector, its blocks run on a server");
        }
        Ok(())
    }
}

/// The manifest in a folder.
fn manifest(folder: &Path) -> Option<PathBuf> {
    MANIFESTS.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The packages in a folder, and in folders in it whose names begin with `@`, in the order of their paths.
#[must_use]
pub fn folders(search: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in sorted_folders(search) {
        if manifest(&path).is_some() {
            found.push(path);
        } else if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"@")) {
            found.extend(sorted_folders(&path).into_iter().filter(|path| manifest(path).is_some()));
        }
    }
    found
}

fn sorted_folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_lacks_is_told_at_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p");
        fs::create_dir(&path).expect("a folder");
        let error = Package::read(&path).expect_err("no manifest").to_string();
        assert!(error.ends_with("/p is no package: it has no package.oo.yaml"), "{error}");
        let cases = [
            ("# nothing\nversion: 1.0.0\n", &["package.oo.yaml:2:1: a package needs a `name`"][..]),
            ("name: a\nversion: [1]\n", &["package.oo.yaml:1:1: a package needs a `version`"]),
            ("a: 1\n", &["needs a `name`", "needs a `version`"]),
            ("a: [\n", &["package.oo.yaml:2:1: this is not YAML"]),
        ];
        for (text, parts) in cases {
            fs::write(path.join("package.oo.yaml"), text).expect("a file");
            let package = Package::read(&path);
            let error = package.and_then(|package| package.identity().map(|_| ())).expect_err("a mistake");
            let error = error.to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
        fs::write(path.join("package.oo.yaml"), "name: \"@a/b\"\nversion: 1.0.0\n").expect("a file");
        let package = Package::read(&folder.path().join("./q/../p")).expect("a package");
        assert_eq!(package.path, path);
        assert_eq!(package.identity().expect("both"), ("@a/b", "1.0.0"));
    }

    #[test]
    fn packages_that_run_elsewhere_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
        write("package.oo.yaml", "name: \"@connector/a\"\n");
        let check = || Package::read(folder.path()).expect("a package").check_runs_here();
        assert!(check().expect_err("a connector").to_string().contains("connector"));
        write("package.oo.yaml", "name: a\n");
        check().expect("a package that runs here");
        write(".metadata.oo.json", "{\"hide_source\": true}");
        assert!(check().expect_err("hidden").to_string().contains("hide_source"));
    }

    #[test]
    fn packages_with_a_scope_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b", "@s/c", "a", "x/y"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
            fs::write(folder.path().join(name).join("package.oo.yml"), "{}").expect("a file");
        }
        let names: Vec<PathBuf> = ["@s/c", "a", "b"].iter().map(|name| folder.path().join(name)).collect();
        assert_eq!(folders(folder.path()), names);
    }
}
