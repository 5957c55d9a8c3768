//! Which package a file belongs to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tree::EntryPath;

use super::dpkg::Diversion;
use super::fact::Fact;
use super::file::{Contents, File};
use super::{Ecosystem, Inventory, OsRelease, Package, python};

/// How many symbolic links are followed on the way to one folder, as Linux does it.
const HOPS: u32 = 40;

/// The deepest folder whose links are followed. Deeper ones are no package's.
const DEPTH: usize = 100;

/// The inventory of `files`, which are in path order, and of what some of them say.
pub(super) fn inventory(
    mut files: Vec<File>,
    facts: &BTreeMap<EntryPath, Arc<Fact>>,
    notes: Vec<String>,
) -> Inventory {
    let newest = files.iter().filter(|file| !file.is_directory()).map(|file| file.mtime).max();
    let mut owners = Owners { links: Links { files: &files, known: HashMap::new() }, facts };
    let release = owners.release();
    let mut packages = owners.packages();
    let owner = owners.claims(&mut packages);
    for (file, owner) in files.iter_mut().zip(owner) {
        file.owner = owner;
        if let Some(package) = owner.and_then(|owner| packages.get_mut(owner)) {
            package.files += 1;
            package.size += file.own_size();
        }
    }
    Inventory { release, packages, files, newest: newest.unwrap_or(0).max(0), notes }
}

struct Owners<'f> {
    links: Links<'f>,
    facts: &'f BTreeMap<EntryPath, Arc<Fact>>,
}

impl<'f> Owners<'f> {
    fn fact(&self, path: &str) -> Option<&'f Fact> {
        self.facts.get(&EntryPath::parse(path.as_bytes()).ok()?).map(AsRef::as_ref)
    }

    fn release(&self) -> OsRelease {
        let places = ["etc/os-release", "usr/lib/os-release"];
        let found = places.iter().find_map(|place| match self.fact(place) {
            Some(Fact::Release(release)) => Some(release.clone()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// All packages in their order, with the licences of Debian's, which lie elsewhere.
    fn packages(&mut self) -> Vec<Package> {
        let mut packages = Vec::new();
        for (path, fact) in self.facts {
            if let Fact::Packages(found) = &**fact {
                // A file that is another name of the same says where it is, not where the first is.
                packages.extend(found.iter().map(|one| Package { location: path.clone(), ..one.clone() }));
            }
        }
        for package in packages.iter_mut().filter(|package| package.ecosystem == Ecosystem::Debian) {
            let place = format!("usr/share/doc/{}/copyright", package.name);
            let Ok(place) = EntryPath::parse(place.as_bytes()) else { continue };
            if let Some(Fact::Licence(licence)) =
                self.facts.get(&self.links.follow(&place)).map(AsRef::as_ref)
            {
                package.licence = licence.clone();
            }
        }
        packages.sort();
        packages.dedup();
        packages
    }

    /// The owner of each file.
    fn claims(&mut self, packages: &mut [Package]) -> Vec<Option<usize>> {
        let mut owner = vec![None; self.links.files.len()];
        let diversions = match self.fact("var/lib/dpkg/diversions") {
            Some(Fact::Diversions(list)) => list.as_slice(),
            _ => &[],
        };
        let diversions: HashMap<&EntryPath, &Diversion> =
            diversions.iter().map(|diversion| (&diversion.from, diversion)).collect();
        for number in of(packages, Ecosystem::Debian) {
            let package = &packages[number];
            for path in self.debian_files(package) {
                let diverted = diversions.get(path).filter(|diversion| diversion.by != package.name);
                self.links.claim(diverted.map_or(path, |diversion| &diversion.to), number, &mut owner);
            }
        }
        for package in packages.iter_mut().filter(|package| package.ecosystem != Ecosystem::Debian) {
            package.part_of = self.links.place(&package.location).and_then(|place| owner[place]);
        }
        for number in of(packages, Ecosystem::Python) {
            let Some(place) =
                packages[number].location.parent().and_then(|folder| folder.join(b"RECORD").ok())
            else {
                continue;
            };
            if let Some(Fact::Record(bytes)) = self.facts.get(&place).map(AsRef::as_ref) {
                for path in python::record(bytes, &place) {
                    self.links.claim(&path, number, &mut owner);
                }
            }
        }
        self.claim_folders(packages, &mut owner);
        owner
    }

    /// What dpkg's lists say that a package has.
    fn debian_files(&self, package: &Package) -> &'f [EntryPath] {
        let name = &package.name;
        let architecture = package.architecture.as_deref().unwrap_or_default();
        let places = [
            format!("var/lib/dpkg/info/{name}.list"),
            format!("var/lib/dpkg/info/{name}:{architecture}.list"),
            format!("{}.md5sums", String::from_utf8_lossy(package.location.as_bytes())),
        ];
        let found = places.iter().find_map(|place| match self.fact(place) {
            Some(Fact::Paths(paths)) => Some(paths.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// A package of npm's is its folder, less the packages in it.
    fn claim_folders(&self, packages: &[Package], owner: &mut [Option<usize>]) {
        let folder = |number: usize| Some((packages[number].location.parent()?, number));
        let folders: HashMap<EntryPath, usize> = of(packages, Ecosystem::Npm).filter_map(folder).collect();
        if folders.is_empty() {
            return;
        }
        for (file, owner) in self.links.files.iter().zip(owner) {
            if owner.is_none() && !file.is_directory() {
                let mut above = std::iter::successors(file.path.parent(), EntryPath::parent).take(DEPTH);
                *owner = above.find_map(|folder| folders.get(&folder).copied());
            }
        }
    }
}

/// The places of all packages of one kind.
fn of(packages: &[Package], ecosystem: Ecosystem) -> impl Iterator<Item = usize> + use<> {
    let first = packages.partition_point(|package| package.ecosystem < ecosystem);
    let end = packages.partition_point(|package| package.ecosystem <= ecosystem);
    first..end
}

/// Follows the symbolic links of a tree: dpkg's lists say `/bin/sh` of what lies in `usr/bin`.
struct Links<'f> {
    files: &'f [File],
    known: HashMap<EntryPath, EntryPath>,
}

impl Links<'_> {
    fn place(&self, path: &EntryPath) -> Option<usize> {
        self.files.binary_search_by(|file| file.path.cmp(path)).ok()
    }

    /// Makes `path` the package's, unless it is a directory or another's already.
    fn claim(&mut self, path: &EntryPath, package: usize, owner: &mut [Option<usize>]) {
        let place = self.place(path).or_else(|| {
            let folder = self.follow(&path.parent()?);
            self.place(&folder.join(path.file_name()?).ok()?)
        });
        if let Some(place) = place.filter(|&place| !self.files[place].is_directory()) {
            owner[place].get_or_insert(package);
        }
    }

    /// Where `path` leads when every link on the way is followed; itself where that leads nowhere.
    fn follow(&mut self, path: &EntryPath) -> EntryPath {
        if path.components().count() > DEPTH {
            return path.clone();
        }
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let mut hops = HOPS;
        let found = self.walk(path, &mut hops).unwrap_or_else(|| path.clone());
        self.known.insert(path.clone(), found.clone());
        found
    }

    fn walk(&self, path: &EntryPath, hops: &mut u32) -> Option<EntryPath> {
        let mut left: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut here = EntryPath::ROOT;
        while let Some(part) = left.pop() {
            if part == b".." {
                here = here.parent().unwrap_or_default();
                continue;
            }
            let next = here.join(&part).ok()?;
            let target = match self.place(&next).map(|place| &self.files[place].contents) {
                Some(Contents::Symlink { target }) => target,
                _ => {
                    here = next;
                    continue;
                }
            };
            *hops = hops.checked_sub(1)?;
            if target.starts_with(b"/") {
                here = EntryPath::ROOT;
            }
            let parts = target.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
            let parts: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
            left.extend(parts.into_iter().rev());
        }
        Some(here)
    }
}
