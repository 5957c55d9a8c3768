//! What a tree changes in another one below it.

use std::cmp::Ordering;
use std::collections::HashSet;

use tree::layer::Change;
use tree::{Entry, EntryPath, Kind};

use super::split::{Layering, directories};

/// The changes that make `upper` of `lower`, both whole trees in path order: what is new or different, and whiteouts for
/// what is gone. `same` says of two entries of one path whether nothing about them changed, contents included.
///
/// When one name of a file changed, all of them are among the changes, so that none links to a layer below.
pub fn changes_between(
    lower: &[Entry],
    upper: &[Entry],
    same: impl Fn(&Entry, &Entry) -> bool,
) -> Vec<Change> {
    let changed = changed(lower, upper, same);
    let directories = directories(upper);
    let mut layer = Layering::new(&directories);
    // What hides everything beneath it: a whiteout, or something that was a directory and is none any more.
    let mut hidden: Option<EntryPath> = None;
    each(lower, upper, |below, above| match (below, above) {
        (below, Some(above)) => {
            if below.is_some_and(|below| below.kind == Kind::Directory) && above.kind != Kind::Directory {
                hidden = Some(above.path.clone());
            }
            if changed.contains(&above.path) {
                layer.push(Change::Added(above.clone()));
            }
        }
        (Some(below), None) => {
            if hidden.as_ref().is_none_or(|hidden| !below.path.starts_with(hidden)) {
                hidden = Some(below.path.clone());
                layer.push(Change::Whiteout(below.path.clone()));
            }
        }
        (None, None) => {}
    });
    layer.finish()
}

/// The paths that are in a layer of changes.
fn changed<'e>(
    lower: &[Entry],
    upper: &'e [Entry],
    same: impl Fn(&Entry, &Entry) -> bool,
) -> HashSet<&'e EntryPath> {
    let mut changed = HashSet::new();
    let mut position = 0;
    each(lower, upper, |below, above| {
        if above.is_none() {
            return;
        }
        let above = &upper[position];
        position += 1;
        if below.is_none_or(|below| !same(below, above)) {
            changed.insert(&above.path);
        }
    });
    let first = |entry: &'e Entry| match &entry.kind {
        Kind::HardLink { target } => target,
        _ => &entry.path,
    };
    let links = || upper.iter().filter(|entry| matches!(entry.kind, Kind::HardLink { .. }));
    let linked: HashSet<&EntryPath> = links().map(first).collect();
    let touched: HashSet<&EntryPath> = upper
        .iter()
        .filter(|entry| linked.contains(first(entry)) && changed.contains(&entry.path))
        .map(first)
        .collect();
    changed.extend(upper.iter().filter(|entry| touched.contains(first(entry))).map(|entry| &entry.path));
    changed
}

/// Calls `visit` for every path of two trees, in path order, with what each of them has there.
fn each<'e>(
    lower: &'e [Entry],
    upper: &'e [Entry],
    mut visit: impl FnMut(Option<&'e Entry>, Option<&'e Entry>),
) {
    let (mut lower, mut upper) = (lower.iter().peekable(), upper.iter().peekable());
    loop {
        let order = match (lower.peek(), upper.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(below), Some(above)) => below.path.cmp(&above.path),
        };
        match order {
            Ordering::Less => visit(lower.next(), None),
            Ordering::Equal => visit(lower.next(), upper.next()),
            Ordering::Greater => visit(None, upper.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tree::Metadata;

    use super::*;

    /// `d` is a directory, `f` a file with a number as its contents, `l` another name of the file after it.
    fn tree(entries: &[&str]) -> Vec<Entry> {
        let mut tree: Vec<Entry> = entries
            .iter()
            .map(|text| {
                let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
                let (path, more) = rest.split_once('=').unwrap_or((rest, "1"));
                let kind = match kind {
                    "d" => Kind::Directory,
                    "f" => Kind::File { size: more.parse().unwrap() },
                    _ => Kind::HardLink { target: more.parse().unwrap() },
                };
                Entry { path: path.parse().unwrap(), kind, metadata: Metadata::new(0o755, 0) }
            })
            .collect();
        tree.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    #[test]
    fn what_changes() {
        let lower =
            ["d", "d a", "f a/x", "f a/y", "l a/z=a/y", "d b", "d b/c", "f b/c/x", "f b/c/y", "f e", "d g"];
        let changes = |upper: &[&str]| {
            let changes = changes_between(&tree(&lower), &tree(upper), |below, above| below == above);
            let words = changes.iter().map(|change| match change {
                Change::Added(entry) => entry.path.to_string(),
                Change::Whiteout(path) => format!("-{path}"),
                Change::Opaque(entry) => format!("!{}", entry.path),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let with = |without: &[&str], more: &[&'static str]| {
            let kept = lower.iter().filter(|entry| !without.contains(*entry)).copied();
            changes(&kept.chain(more.iter().copied()).collect::<Vec<_>>())
        };
        for (summary, without, more, expected) in [
            ("nothing", &[][..], &[][..], ""),
            ("a new file", &[], &["f a/new"], ". a a/new"),
            ("another file", &["f a/x"], &["f a/x=2"], ". a a/x"),
            ("a file is gone", &["f a/x"], &[], ". a -a/x"),
            ("a directory is gone", &["d b", "d b/c", "f b/c/x", "f b/c/y"], &[], ". -b"),
            ("an inner directory is gone", &["d b/c", "f b/c/x", "f b/c/y"], &[], ". b -b/c"),
            ("a directory becomes a file", &["d b/c", "f b/c/x", "f b/c/y"], &["f b/c"], ". b b/c"),
            ("a file becomes a directory", &["f e"], &["d e", "f e/x"], ". e e/x"),
            ("a name goes", &["l a/z=a/y"], &[], ". a -a/z"),
            ("a linked file changes", &["f a/y"], &["f a/y=2"], ". a a/y a/z"),
            ("another name of an old file", &[], &["l g/w=a/y"], ". a a/y a/z g g/w"),
            ("in two places", &["f e", "f a/x"], &["f b/n"], ". a -a/x b b/n -e"),
        ] {
            assert_eq!(with(without, more), expected, "{summary}");
        }
    }
}
