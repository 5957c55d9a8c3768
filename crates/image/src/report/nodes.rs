//! The trees that the map shows: by directory and by package.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use tree::EntryPath;

use super::kinds::{Kind, Sizes};
use crate::inventory::{Ecosystem, File, Inventory, sums};

/// What takes less of the whole than one part in this many is put together with its like.
const SMALLEST: u64 = 20_000;

/// The most parts that one is divided into.
const PARTS: usize = 200;

/// The most nodes of one view.
const NODES: usize = 20_000;

/// One way to divide the whole.
#[derive(Debug, Serialize)]
pub(super) struct View {
    id: &'static str,
    label: &'static str,
    /// The first is the whole; parents come before their parts.
    nodes: Vec<Node>,
}

/// Number of the parent, name, bytes, and the kind of most of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Node(usize, String, u64, Kind);

/// Something that may have parts of its own, by which it is known.
struct Part<K> {
    name: String,
    sizes: Sizes,
    key: K,
}

/// All views.
pub(super) fn views(inventory: &Inventory) -> Vec<View> {
    vec![
        View { id: "directories", label: "By directory", nodes: by_directory(&inventory.files) },
        View { id: "packages", label: "By package", nodes: by_package(inventory) },
    ]
}

/// How many bytes there are of each kind.
pub(super) fn kinds(files: &[File]) -> Sizes {
    let mut sizes = Sizes::default();
    files.iter().for_each(|file| sizes.add(&sizes_of(file)));
    sizes
}

fn sizes_of(file: &File) -> Sizes {
    Sizes::of(Kind::of(&file.path), file.own_size())
}

fn by_directory(files: &[File]) -> Vec<Node> {
    let mut inside: HashMap<EntryPath, Vec<Part<EntryPath>>> = HashMap::new();
    let mut all = Sizes::default();
    let leaves =
        files.iter().filter(|file| file.own_size() > 0).map(|file| (file.path.clone(), sizes_of(file)));
    for (path, sizes) in leaves.chain(sums(files, sizes_of, Sizes::add)) {
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => {
                inside.entry(folder).or_default().push(Part { name: shown(name), sizes, key: path.clone() });
            }
            _ => all = sizes,
        }
    }
    flat(EntryPath::ROOT, &all, |folder| inside.remove(&folder).unwrap_or_default())
}

/// A name alone, as a path of one part is shown.
fn shown(name: &[u8]) -> String {
    EntryPath::parse(name).map(|name| name.to_string()).unwrap_or_default()
}

/// What has parts when the whole is divided by packages.
enum Whole {
    Everything,
    Ecosystem(Ecosystem),
    Package(usize),
    Others,
    File,
}

fn by_package(inventory: &Inventory) -> Vec<Node> {
    let owned = inventory.files_by_package();
    let sizes: Vec<Sizes> = owned.iter().map(|files| sum(files.iter().copied())).collect();
    let others = || inventory.files.iter().filter(|file| file.owner.is_none());
    let of = |ecosystem| {
        let packages = inventory.packages.iter().enumerate();
        packages.filter(move |(_, package)| package.ecosystem == ecosystem).map(|(number, _)| number)
    };
    flat(Whole::Everything, &kinds(&inventory.files), |whole| match whole {
        Whole::Everything => {
            let part = |ecosystem: Ecosystem| {
                let mut all = Sizes::default();
                of(ecosystem).for_each(|number| all.add(&sizes[number]));
                Part { name: ecosystem.to_string(), sizes: all, key: Whole::Ecosystem(ecosystem) }
            };
            let rest = Part { name: "no package".to_owned(), sizes: sum(others()), key: Whole::Others };
            Ecosystem::ALL.into_iter().map(part).chain([rest]).collect()
        }
        Whole::Ecosystem(ecosystem) => of(ecosystem)
            .map(|number| {
                let package = &inventory.packages[number];
                let name = format!("{} {}", package.name, package.version);
                Part { name, sizes: sizes[number], key: Whole::Package(number) }
            })
            .collect(),
        Whole::Package(number) => leaves(owned[number].iter().copied()),
        Whole::Others => leaves(others()),
        Whole::File => Vec::new(),
    })
}

fn sum<'f>(files: impl Iterator<Item = &'f File>) -> Sizes {
    let mut all = Sizes::default();
    files.for_each(|file| all.add(&sizes_of(file)));
    all
}

fn leaves<'f>(files: impl Iterator<Item = &'f File>) -> Vec<Part<Whole>> {
    let leaf = |file: &File| Part { name: file.path.to_string(), sizes: sizes_of(file), key: Whole::File };
    files.filter(|file| file.own_size() > 0).map(leaf).collect()
}

/// The nodes of a tree, level by level, so that a bound cuts off what is deepest. What is too small is put together.
fn flat<K>(root: K, all: &Sizes, mut parts_of: impl FnMut(K) -> Vec<Part<K>>) -> Vec<Node> {
    let total = all.total();
    let mut nodes = vec![Node(0, String::new(), total, all.most())];
    let mut next = VecDeque::from([(0, root)]);
    while let Some((number, key)) = next.pop_front() {
        let mut parts = parts_of(key);
        parts.retain(|part| part.sizes.total() > 0);
        parts.sort_by(|a, b| b.sizes.total().cmp(&a.sizes.total()).then_with(|| a.name.cmp(&b.name)));
        let most = PARTS.min(NODES.saturating_sub(nodes.len()));
        let large = parts.iter().take(most).take_while(|part| part.sizes.total() >= total / SMALLEST).count();
        let small = parts.split_off(large);
        for part in parts {
            next.push_back((nodes.len(), part.key));
            nodes.push(Node(number, part.name, part.sizes.total(), part.sizes.most()));
        }
        if !small.is_empty() {
            let mut sizes = Sizes::default();
            small.iter().for_each(|part| sizes.add(&part.sizes));
            nodes.push(Node(number, format!("{} smaller", small.len()), sizes.total(), sizes.most()));
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree by its parts' numbers of bytes: each has as many parts as it has bytes less one, of one byte each.
    fn parts(count: u64) -> Vec<Part<u64>> {
        (0..count).map(|n| Part { name: n.to_string(), sizes: Sizes::of(Kind::Other, 1), key: 0 }).collect()
    }

    #[test]
    fn what_is_small_is_put_together_and_no_byte_is_lost() {
        for count in [0, 1, 200, 201, 50_000] {
            let nodes = flat(count, &Sizes::of(Kind::Other, count), parts);
            assert!(nodes.len() <= PARTS + 2, "{count}: {}", nodes.len());
            assert_eq!(nodes[1..].iter().map(|node| node.2).sum::<u64>(), count, "{count}");
        }
        let nodes = flat(201, &Sizes::of(Kind::Other, 201), parts);
        assert_eq!(nodes.last().unwrap(), &Node(0, "1 smaller".to_owned(), 1, Kind::Other));
    }

    #[test]
    fn the_number_of_nodes_is_bounded() {
        // Every part has as many parts, without end.
        let endless = |bytes: u64| {
            let part = |n: u64| Part {
                name: n.to_string(),
                sizes: Sizes::of(Kind::Other, bytes / 10),
                key: bytes / 10,
            };
            (0..10).map(part).collect()
        };
        let whole = 10_u64.pow(19);
        assert!(flat(whole, &Sizes::of(Kind::Other, whole), endless).len() <= 2 * NODES);
    }
}
