//! Finding the manifest that a reference means (section 1.10 of the contract).

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use crate::manifest::PackageManifest;
use crate::reference::{Reference, clean};
use crate::{Files, yaml};

/// A folder in which packages and blocks lie.
pub type SearchPath = PathBuf;

/// What kind of manifest is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// A task: `block` in `blocks`, then `task` in `tasks`.
    Task,
    /// A subflow.
    Subflow,
    /// A flow that fills a slot.
    Slotflow,
    /// A service, in `services`, then in `blocks`.
    Service,
}

impl Search {
    /// Names of manifests, and of the folders in which they lie, in the order in which they are tried.
    const fn places(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Task => &[("block", "blocks"), ("task", "tasks")],
            Self::Subflow => &[("subflow", "subflows")],
            Self::Slotflow => &[("slotflow", "slotflows")],
            Self::Service => &[("service", "services"), ("service", "blocks")],
        }
    }

    /// What to call it in a message.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Subflow => "subflow",
            Self::Slotflow => "slotflow",
            Self::Service => "service",
        }
    }
}

/// Both endings of manifests, the better one first.
const ENDINGS: [&str; 2] = [".oo.yaml", ".oo.yml"];

/// Looks references up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver<'a, F: ?Sized> {
    pub(crate) files: &'a F,
    pub(crate) search: &'a [SearchPath],
}

impl<F: Files + ?Sized> Resolver<'_, F> {
    /// The manifest that `text` means in a flow that lies in `flow_dir`, or where it was looked for. `package` is the
    /// folder whose `package.oo.yaml` pins versions.
    pub(crate) fn find(
        &self,
        text: &str,
        kind: Search,
        flow_dir: &Path,
        package: &Path,
    ) -> Result<PathBuf, Vec<PathBuf>> {
        let mut tried = Tried { files: self.files, paths: Vec::new() };
        let found = match Reference::parse(text) {
            Reference::Own(name) => self.own(&mut tried, &name, kind, flow_dir),
            Reference::Absolute(path) => tried.path(&clean(&path), kind),
            Reference::Relative(path) => tried.path(&clean(&flow_dir.join(path)), kind),
            Reference::Package { package: name, block } => {
                let folder = self.folder_name(&name, package);
                self.in_package(&mut tried, &folder, &block, kind, flow_dir)
            }
            Reference::Direct(name) => self.direct(&mut tried, &name, kind, flow_dir),
        };
        found.ok_or(tried.paths)
    }

    /// The folder of the package `name`, for a flow in `flow_dir`.
    pub(crate) fn package_folder(&self, name: &str, flow_dir: &Path, package: &Path) -> Option<PathBuf> {
        let folder = self.folder_name(name, package);
        let found =
            self.search.iter().map(|search| search.join(&folder)).find(|path| self.files.is_dir(path));
        let near = || Some(clean(&flow_dir.join(&folder))).filter(|path| self.files.is_dir(path));
        found.map(|path| self.files.canonical(&path)).or_else(near)
    }

    fn folder_name(&self, name: &str, package: &Path) -> String {
        self.version(name, package).map_or_else(|| name.to_owned(), |version| format!("{name}-{version}"))
    }

    fn own(&self, tried: &mut Tried<'_, F>, name: &str, kind: Search, flow_dir: &Path) -> Option<PathBuf> {
        for (prefix, folder) in kind.places() {
            let path = clean(&flow_dir.join("../..").join(folder).join(name));
            if let Some(found) = tried.manifest(&path, prefix).or_else(|| tried.with_ending(&path)) {
                return Some(found);
            }
        }
        None
    }

    fn in_package(
        &self,
        tried: &mut Tried<'_, F>,
        folder: &str,
        block: &str,
        kind: Search,
        flow_dir: &Path,
    ) -> Option<PathBuf> {
        for (prefix, parent) in kind.places() {
            for search in self.search {
                if let Some(found) = tried.manifest(&search.join(folder).join(parent).join(block), prefix) {
                    return Some(self.files.canonical(&found));
                }
            }
            let near = clean(&flow_dir.join(folder).join(parent).join(block));
            if let Some(found) = tried.manifest(&near, prefix) {
                return Some(found);
            }
        }
        None
    }

    fn direct(&self, tried: &mut Tried<'_, F>, name: &str, kind: Search, flow_dir: &Path) -> Option<PathBuf> {
        for (prefix, _) in kind.places() {
            for search in self.search {
                if let Some(found) = tried.manifest(&search.join(name), prefix) {
                    return Some(self.files.canonical(&found));
                }
            }
        }
        let near = clean(&flow_dir.join(name));
        for (prefix, _) in kind.places() {
            if let Some(found) = tried.manifest(&near, prefix) {
                return Some(found);
            }
            let is_manifest = ENDINGS.iter().any(|ending| near.ends_with(format!("{prefix}{ending}")));
            if is_manifest && self.files.is_file(&near) {
                return Some(near);
            }
        }
        None
    }

    /// The version of a package that is meant: the one that `package` depends on, else the highest in the search paths.
    pub(crate) fn version(&self, name: &str, package: &Path) -> Option<String> {
        let pinned =
            self.package(package).and_then(|manifest| manifest.dependencies.get(name).cloned().flatten());
        if pinned.is_some() {
            return pinned;
        }
        let mut best: Option<String> = None;
        for search in self.search {
            for folder in self.files.folders(search) {
                if folder == name || !folder.starts_with(name) {
                    continue;
                }
                let Some(manifest) = self.package(&search.join(&folder)) else { continue };
                let Some(version) = manifest.version.filter(|_| manifest.name.as_deref() == Some(name))
                else {
                    continue;
                };
                if best.as_ref().is_none_or(|best| compare_versions(&version, best) == Ordering::Greater) {
                    best = Some(version);
                }
            }
        }
        best
    }

    fn package(&self, folder: &Path) -> Option<PackageManifest> {
        let path = ENDINGS
            .iter()
            .map(|ending| folder.join(format!("package{ending}")))
            .find(|p| self.files.is_file(p))?;
        let bytes = self.files.read(&path).ok()?;
        Some(PackageManifest::read(&yaml::parse(&path, &bytes).ok()?))
    }
}

/// Where a manifest was looked for.
struct Tried<'a, F: ?Sized> {
    files: &'a F,
    paths: Vec<PathBuf>,
}

impl<F: Files + ?Sized> Tried<'_, F> {
    /// `PREFIX.oo.yaml` in a folder.
    fn manifest(&mut self, folder: &Path, prefix: &str) -> Option<PathBuf> {
        self.with_ending(&folder.join(prefix))
    }

    fn with_ending(&mut self, stem: &Path) -> Option<PathBuf> {
        let name = |ending: &str| {
            let mut path = stem.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        self.paths.push(name(ENDINGS[0]));
        ENDINGS.iter().map(|ending| name(ending)).find(|path| self.files.is_file(path))
    }

    /// A path of its own: a folder with a manifest, a manifest, or one without its ending.
    fn path(&mut self, path: &Path, kind: Search) -> Option<PathBuf> {
        if self.files.is_dir(path) {
            return kind.places().iter().find_map(|(prefix, _)| self.manifest(path, prefix));
        }
        let name = path.to_string_lossy();
        if ENDINGS.iter().any(|ending| name.ends_with(ending)) && self.files.is_file(path) {
            return Some(path.to_owned());
        }
        self.with_ending(path)
    }
}

/// The order of versions: numbers by their value, a version with a suffix before the one without.
fn compare_versions(left: &str, right: &str) -> Ordering {
    let split = |text: &str| {
        let text = text.split('+').next().unwrap_or_default();
        let (core, suffix) = text.split_once('-').map_or((text, None), |(core, suffix)| (core, Some(suffix)));
        let numbers: Vec<u64> = core.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        (numbers, suffix.map(str::to_owned))
    };
    let ((left, left_suffix), (right, right_suffix)) = (split(left), split(right));
    left.cmp(&right).then_with(|| match (left_suffix, right_suffix) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(left), Some(right)) => compare_suffixes(&left, &right),
    })
}

fn compare_suffixes(left: &str, right: &str) -> Ordering {
    let parts = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    for (left, right) in parts(left).iter().zip(&parts(right)) {
        let order = match (left.parse::<u64>(), right.parse::<u64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    parts(left).len().cmp(&parts(right).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        let ascending =
            ["0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.10"];
        for (index, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(compare_versions(left, right), index.cmp(&other), "{left} {right}");
            }
        }
    }
}
