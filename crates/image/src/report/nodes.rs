//! The trees that the map shows: by directory and by package.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use tree::EntryPath;

use crate::inventory::{File, Inventory};

/// What takes less of the whole than one part in this many is put together with its like.
const SMALLEST: u64 = 5000;

/// The most parts that one is divided into.
const PARTS: usize = 80;

/// The most nodes of one view.
const NODES: usize = 20_000;

/// One way to divide the whole.
#[derive(Debug, Serialize)]
pub(super) struct View {
    id: &'static str,
    label: &'static str,
    /// Number of the parent, name and bytes. The first is the whole; parents come before their parts.
    nodes: Vec<(usize, String, u64)>,
}

/// A node with what it is divided into.
#[derive(Debug, Default)]
struct Part {
    name: String,
    bytes: u64,
    parts: Vec<Part>,
}

/// All views.
pub(super) fn views(inventory: &Inventory) -> Vec<View> {
    let total = inventory.size();
    vec![
        View { id: "directories", label: "By directory", nodes: by_directory(&inventory.files, total) },
        View { id: "packages", label: "By package", nodes: flat(by_package(inventory), total) },
    ]
}

fn by_directory(files: &[File], total: u64) -> Vec<(usize, String, u64)> {
    let mut sizes: HashMap<EntryPath, u64> = HashMap::new();
    for file in files.iter().filter(|file| file.own_size() > 0) {
        *sizes.entry(file.path.clone()).or_default() += file.own_size();
    }
    let mut above: HashMap<EntryPath, u64> = HashMap::new();
    for (path, size) in &sizes {
        for folder in std::iter::successors(path.parent(), EntryPath::parent) {
            *above.entry(folder).or_default() += size;
        }
    }
    let mut inside: HashMap<EntryPath, Vec<(EntryPath, u64)>> = HashMap::new();
    for (path, size) in sizes.into_iter().chain(above) {
        if let Some(folder) = path.parent() {
            inside.entry(folder).or_default().push((path, size));
        }
    }
    let mut nodes = vec![(0, String::new(), total)];
    let mut next = VecDeque::from([(0, EntryPath::ROOT)]);
    while let Some((number, folder)) = next.pop_front() {
        let Some(mut parts) = inside.remove(&folder) else { continue };
        parts.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        let shown = shown(parts.iter().map(|(_, size)| *size), total).min(NODES.saturating_sub(nodes.len()));
        for (path, size) in &parts[..shown] {
            let name = path.file_name().unwrap_or_default();
            // A name alone is shown as a path of one part would be.
            let name = EntryPath::parse(name).map(|name| name.to_string()).unwrap_or_default();
            next.push_back((nodes.len(), path.clone()));
            nodes.push((number, name, *size));
        }
        nodes.extend(
            rest(parts[shown..].iter().map(|(_, size)| *size)).map(|(name, size)| (number, name, size)),
        );
    }
    nodes
}

fn by_package(inventory: &Inventory) -> Part {
    let mut kinds: Vec<Part> = Vec::new();
    for (package, files) in inventory.packages.iter().zip(inventory.files_by_package()) {
        let kind = package.ecosystem.name();
        if kinds.last().is_none_or(|last| last.name != kind) {
            kinds.push(Part { name: kind.to_owned(), ..Part::default() });
        }
        if let Some(last) = kinds.last_mut() {
            last.bytes += package.size;
            let name = format!("{} {}", package.name, package.version);
            last.parts.push(Part { name, bytes: package.size, parts: leaves(files.into_iter()) });
        }
    }
    let others = leaves(inventory.files.iter().filter(|file| file.owner.is_none()));
    let bytes = others.iter().map(|part| part.bytes).sum();
    kinds.push(Part { name: "no package".to_owned(), bytes, parts: others });
    Part { name: String::new(), bytes: inventory.size(), parts: kinds }
}

fn leaves<'f>(files: impl Iterator<Item = &'f File>) -> Vec<Part> {
    let leaf = |file: &File| Part { name: file.path.to_string(), bytes: file.own_size(), parts: Vec::new() };
    files.filter(|file| file.own_size() > 0).map(leaf).collect()
}

fn flat(whole: Part, total: u64) -> Vec<(usize, String, u64)> {
    let mut nodes = vec![(0, whole.name, whole.bytes)];
    let mut next = VecDeque::from([(0, whole.parts)]);
    while let Some((number, mut parts)) = next.pop_front() {
        parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        let shown = shown(parts.iter().map(|part| part.bytes), total).min(NODES.saturating_sub(nodes.len()));
        let rest = rest(parts[shown..].iter().map(|part| part.bytes));
        for part in parts.into_iter().take(shown) {
            next.push_back((nodes.len(), part.parts));
            nodes.push((number, part.name, part.bytes));
        }
        nodes.extend(rest.map(|(name, size)| (number, name, size)));
    }
    nodes
}

/// How many of the parts, the largest first, are shown each by itself.
fn shown(sizes: impl Iterator<Item = u64>, total: u64) -> usize {
    sizes.take(PARTS).take_while(|&size| size > 0 && size >= total / SMALLEST).count()
}

/// All others as one.
fn rest(sizes: impl Iterator<Item = u64>) -> Option<(String, u64)> {
    let (count, sum) = sizes.fold((0_u64, 0_u64), |(count, sum), size| (count + 1, sum + size));
    (sum > 0).then(|| (format!("{count} smaller"), sum))
}
