//! What has changed from one tree to another: packages, files, and how an image is run.
//!
//! Times are not compared: two builds of the same differ in them and in nothing that matters.

pub mod versions;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::Process;
use crate::inventory::{Contents, Ecosystem, File, Inventory, Package};

/// The version of a [`Difference`] as JSON. Fields may be added to it; anything else makes another version.
pub const FORMAT: u32 = 1;

/// What has changed from one tree to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// [`FORMAT`].
    pub format: u32,
    /// Packages that came, went or have another version, by ecosystem, name and architecture.
    pub packages: Vec<PackageChange>,
    /// Entries that came, went or are different, in path order.
    pub files: Vec<FileChange>,
    /// How the image is run, by the names of the configuration.
    pub config: Vec<ConfigChange>,
}

/// A package that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// What happened to it.
    pub change: Change,
    /// Whose package it is.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// Debian's word for the machines it is for.
    pub architecture: Option<String>,
    /// The version before.
    pub from: Option<String>,
    /// The version now.
    pub to: Option<String>,
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is a later version.
    Upgraded,
    /// It is an earlier version.
    Downgraded,
    /// It is different.
    Changed,
}

/// An entry that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// What happened to it.
    pub change: Change,
    /// Its name.
    pub path: String,
    /// What it is, or was if it is gone.
    pub kind: &'static str,
    /// Its bytes before; nothing for what was no file.
    pub from_bytes: Option<u64>,
    /// Its bytes now.
    pub to_bytes: Option<u64>,
    /// What is different, of `kind`, `mode`, `owner`, `size`, `contents`, `target`, `device`, `xattrs`.
    pub what: Vec<&'static str>,
}

/// One field of an image's configuration that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigChange {
    /// Its name.
    pub field: String,
    /// Its value before; nothing when it was not there.
    pub from: Value,
    /// Its value now.
    pub to: Value,
}

/// Compares versions of packages of one ecosystem; nothing where it is not known which is later.
pub type VersionOrder<'o> = &'o dyn Fn(Ecosystem, &str, &str) -> Option<Ordering>;

impl Difference {
    /// What has changed from `before` to `after`.
    #[must_use]
    pub fn between(before: &Inventory, after: &Inventory, order: VersionOrder<'_>) -> Self {
        Self {
            format: FORMAT,
            packages: packages(before, after, order),
            files: files(&before.files, &after.files),
            config: Vec::new(),
        }
    }

    /// Adds what has changed in how two images are run.
    #[must_use]
    pub fn with_config(mut self, before: &Process, after: &Process) -> Self {
        let fields = |process: &Process| match serde_json::to_value(process) {
            Ok(Value::Object(fields)) => fields.into_iter().collect::<BTreeMap<_, _>>(),
            _ => BTreeMap::new(),
        };
        let (before, after) = (fields(before), fields(after));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for field in names {
            let value = |fields: &BTreeMap<String, Value>| fields.get(field).cloned().unwrap_or(Value::Null);
            let (from, to) = (value(&before), value(&after));
            if from != to {
                self.config.push(ConfigChange { field: field.clone(), from, to });
            }
        }
        self
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.files.is_empty() && self.config.is_empty()
    }
}

type Key<'p> = (Ecosystem, &'p str, Option<&'p str>);

fn packages(before: &Inventory, after: &Inventory, order: VersionOrder<'_>) -> Vec<PackageChange> {
    let versions =
        |inventory: &Inventory| -> BTreeMap<(Ecosystem, String, Option<String>), BTreeSet<String>> {
            let mut versions: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
            for Package { ecosystem, name, version, architecture, .. } in &inventory.packages {
                let key = (*ecosystem, name.clone(), architecture.clone());
                versions.entry(key).or_default().insert(version.clone());
            }
            versions
        };
    let (before, after) = (versions(before), versions(after));
    let nothing = BTreeSet::new();
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut changes = Vec::new();
    for key in keys {
        let (had, has) = (before.get(key).unwrap_or(&nothing), after.get(key).unwrap_or(&nothing));
        let gone: Vec<&String> = had.difference(has).collect();
        let new: Vec<&String> = has.difference(had).collect();
        let of: Key<'_> = (key.0, &key.1, key.2.as_deref());
        // Several versions may be there at the same time; only of one for one it is clear which became which.
        if let ([from], [to]) = (&gone[..], &new[..]) {
            let change = match order(key.0, from, to) {
                Some(Ordering::Less) => Change::Upgraded,
                Some(Ordering::Greater) => Change::Downgraded,
                Some(Ordering::Equal) | None => Change::Changed,
            };
            changes.push(package_change(change, of, Some(from), Some(to)));
            continue;
        }
        changes.extend(gone.iter().map(|from| package_change(Change::Removed, of, Some(from), None)));
        changes.extend(new.iter().map(|to| package_change(Change::Added, of, None, Some(to))));
    }
    changes
}

fn package_change(change: Change, key: Key<'_>, from: Option<&String>, to: Option<&String>) -> PackageChange {
    let (ecosystem, name, architecture) = key;
    PackageChange {
        change,
        ecosystem,
        name: name.to_owned(),
        architecture: architecture.map(str::to_owned),
        from: from.cloned(),
        to: to.cloned(),
    }
}

/// Both lists are in path order.
fn files(before: &[File], after: &[File]) -> Vec<FileChange> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some(old), Some(new)) => old.path.cmp(&new.path),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return changes,
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        changes.extend(file_change(old, new));
    }
}

fn file_change(old: Option<&File>, new: Option<&File>) -> Option<FileChange> {
    let one = new.or(old)?;
    let (change, what) = match (old, new) {
        (Some(old), Some(new)) => (Change::Changed, what_differs(old, new)),
        (None, _) => (Change::Added, Vec::new()),
        (_, None) => (Change::Removed, Vec::new()),
    };
    if change == Change::Changed && what.is_empty() {
        return None;
    }
    let bytes = |file: Option<&File>| file.and_then(size_of);
    Some(FileChange {
        change,
        path: one.path.to_string(),
        kind: one.contents.kind(),
        from_bytes: bytes(old),
        to_bytes: bytes(new),
        what,
    })
}

fn size_of(file: &File) -> Option<u64> {
    matches!(file.contents, Contents::Regular { .. }).then(|| file.size())
}

fn what_differs(old: &File, new: &File) -> Vec<&'static str> {
    let mut what = Vec::new();
    let mut note = |differs: bool, name| {
        if differs {
            what.push(name);
        }
    };
    note(old.contents.kind() != new.contents.kind(), "kind");
    note(old.mode != new.mode, "mode");
    note((old.uid, old.gid) != (new.uid, new.gid), "owner");
    match (&old.contents, &new.contents) {
        (
            Contents::Regular { size: had, sha256: was, first: linked, .. },
            Contents::Regular { size: has, sha256: is, first: links, .. },
        ) => {
            note(had != has, "size");
            note(was != is, "contents");
            // Whether it is a link at all is its kind.
            note(linked.is_some() && links.is_some() && linked != links, "target");
        }
        (Contents::Symlink { target: was }, Contents::Symlink { target: is }) => note(was != is, "target"),
        (was, is) if was.kind() == is.kind() => note(was != is, "device"),
        _ => {}
    }
    note(old.xattrs != new.xattrs, "xattrs");
    what
}
