//! What goes into which layer of an image.

use std::collections::HashMap;

use image::build::{Packages, group, split};
use tree::layer::Change;
use tree::{Entry, EntryPath, Kind, Root};

use crate::Error;
use crate::concerns::Concerns;
use crate::format::Layers;

/// How many names of packages the history of a layer shows.
const SHOWN: usize = 40;

/// One layer to be.
#[derive(Debug)]
pub(crate) struct Part {
    /// How it came to be, for the image's history.
    pub(crate) origin: String,
    /// What is in it, in path order.
    pub(crate) changes: Vec<Change>,
}

/// Deals `entries`, all of `root` that goes into the image, out to layers, the lowest first.
pub(crate) fn parts(
    layers: Layers,
    root: &Root,
    entries: &[Entry],
    concerns: &Concerns,
) -> Result<Vec<Part>, Error> {
    let parts = match layers {
        Layers::Concerns => by_concern(entries, concerns),
        Layers::Budget(count) => by_package(usize::from(count), root, entries, concerns)?,
    };
    Ok(parts.into_iter().filter(|part| !part.changes.is_empty()).collect())
}

fn by_concern(entries: &[Entry], concerns: &Concerns) -> Vec<Part> {
    let names = concerns.names();
    let layers = split(entries, names.len().max(1), |entry| concerns.of(&entry.path));
    let origins = names.iter().map(|name| (*name).to_owned());
    origins.zip(layers).map(|(origin, changes)| Part { origin, changes }).collect()
}

/// Groups of packages; the last layer has the package database and whatever else belongs to no package, or was changed by a
/// step.
fn by_package(count: usize, root: &Root, entries: &[Entry], concerns: &Concerns) -> Result<Vec<Part>, Error> {
    let last = count.max(1) - 1;
    let packages = Packages::read(root)?;
    let groups = group(packages.shares(), last.max(1));
    let layer_of = |entry: &Entry| match packages.owner(&entry.path) {
        Some(owner) if concerns.of(&entry.path) == 0 => groups[owner].min(last),
        _ => last,
    };
    let layers = split(entries, last + 1, layer_of).into_iter().enumerate();
    let parts = layers.map(|(number, mut changes)| {
        if number == last {
            return Part { origin: "what belongs to no package".to_owned(), changes };
        }
        settle_directories(&mut changes);
        let names = packages.shares().iter().zip(&groups).filter(|(_, group)| **group == number);
        let names: Vec<&str> = names.map(|(package, _)| package.name.as_str()).collect();
        Part { origin: names_in_words(&names), changes }
    });
    Ok(parts.collect())
}

fn names_in_words(names: &[&str]) -> String {
    let (shown, more) = names.split_at(names.len().min(SHOWN));
    let mut words = format!("packages {}", shown.join(" "));
    if !more.is_empty() {
        words.push_str(&format!(" and {} more", more.len()));
    }
    words
}

/// Gives directories the time of the newest file that the layer has beneath them. Their own changes with every package that
/// has a file there, and a layer must not change because of packages that are not in it.
fn settle_directories(changes: &mut [Change]) {
    let mut newest: HashMap<EntryPath, i64> = HashMap::new();
    for change in &*changes {
        let Change::Added(entry) = change else { continue };
        if entry.kind == Kind::Directory {
            continue;
        }
        let mut above = entry.path.parent();
        while let Some(path) = above {
            above = path.parent();
            let time = newest.entry(path).or_insert(entry.metadata.mtime);
            *time = (*time).max(entry.metadata.mtime);
        }
    }
    for change in changes {
        if let Change::Added(entry) = change
            && entry.kind == Kind::Directory
            && let Some(time) = newest.get(&entry.path)
        {
            entry.metadata.mtime = *time;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use tree::Links;

    use super::*;

    /// A root with one file for each package.
    fn root(folder: &Path, packages: &[&str]) -> Root {
        let info = folder.join("var/lib/dpkg/info");
        fs::create_dir_all(&info).expect("a database");
        let mut status = String::new();
        for (number, name) in packages.iter().enumerate() {
            let size = 1000 + name.len() * 100 + number;
            status.push_str(&format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: all\nInstalled-Size: {size}\n\n"
            ));
            fs::write(info.join(format!("{name}.list")), format!("/.\n/usr\n/usr/bin\n/usr/bin/{name}\n"))
                .expect("a list");
            fs::create_dir_all(folder.join("usr/bin")).expect("a folder");
            fs::write(folder.join("usr/bin").join(name), name).expect("a file");
        }
        fs::write(info.join("../status"), status).expect("a status");
        Root::open(folder, Links::Refuse).expect("a root")
    }

    /// The layers for a budget as the names of their files.
    fn layers(packages: &[&str], count: u16) -> Vec<BTreeSet<String>> {
        let folder = tempfile::tempdir().expect("a folder");
        let root = root(folder.path(), packages);
        let entries: Vec<Entry> = root.scan().collect::<Result<_, _>>().expect("entries");
        let parts = parts(Layers::Budget(count), &root, &entries, &Concerns::default()).expect("layers");
        let files = |part: Part| {
            let files = part.changes.into_iter().filter_map(|change| match change {
                Change::Added(entry) if entry.kind != Kind::Directory => Some(entry.path.to_string()),
                _ => None,
            });
            files.collect()
        };
        parts.into_iter().map(files).collect()
    }

    #[test]
    fn a_budget_is_kept_and_the_database_is_last() {
        let packages = ["aa", "bbb", "c", "dddd", "ee", "f", "gg", "h"];
        for count in [1, 2, 3, 5, 10] {
            let layers = layers(&packages, count);
            assert!(layers.len() <= usize::from(count), "{count}: {layers:?}");
            let last = layers.last().expect("a layer");
            assert!(last.contains("var/lib/dpkg/status"), "{count}: {last:?}");
            assert_eq!(last.iter().any(|path| path.starts_with("usr")), count == 1, "{count}: {last:?}");
            let files = layers.iter().flatten().filter(|path| path.starts_with("usr")).count();
            assert_eq!(files, packages.len(), "{count}: each once");
        }
    }

    #[test]
    fn one_more_package_changes_few_layers() {
        let fewer = ["aa", "bbb", "c", "dddd", "ee", "gg", "h"];
        let more = ["aa", "bbb", "c", "dddd", "ee", "f", "gg", "h"];
        let (before, after) = (layers(&fewer, 9), layers(&more, 9));
        let changed = after.iter().filter(|layer| !before.contains(layer)).count();
        assert!(changed <= 3, "{before:?}\n{after:?}");
    }
}
