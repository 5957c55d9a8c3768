//! What is in folders, and whether it is the same in two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{run, tool};

/// What a path is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Link(PathBuf),
    File { mode: u32, contents: Vec<u8> },
}

/// Everything beneath `folder` but folders.
pub(crate) fn facts(folder: &Path) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        let entries = fs::read_dir(&current).unwrap_or_else(|error| panic!("{current:?}: {error}"));
        for path in entries.flatten().map(|entry| entry.path()) {
            let found = path.symlink_metadata().expect("what it is");
            let name = path.strip_prefix(folder).expect("beneath it").display().to_string();
            if found.is_dir() {
                open.push(path);
            } else if found.is_symlink() {
                facts.insert(name, Fact::Link(fs::read_link(&path).expect("a target")));
            } else {
                let contents = fs::read(&path).expect("a file");
                facts.insert(name, Fact::File { mode: found.permissions().mode() & 0o7777, contents });
            }
        }
    }
    facts
}

/// What may differ from what pip, npm and pnpm make, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("/INSTALLER", "names the program that installed it"),
    ("/RECORD", "has the hash of INSTALLER"),
    ("/direct_url.json", "says which file pip was given"),
    (".package-lock.json", "npm's cache of its own lock, with the times of this installation"),
    (".modules.yaml", "pnpm's own note, with times and places of this machine"),
    (".pnpm-workspace-state-v1.json", "another one"),
    (".pnpm/lock.yaml", "pnpm's copy of the lock"),
];

/// How many files are the same in both folders; nothing else may be there, but for what [`DIFFERENT`] and `reasons` name.
pub(crate) fn same(theirs: &Path, ours: &Path, reasons: &[(&str, &str)]) -> usize {
    let is_known = |path: &str| DIFFERENT.iter().chain(reasons).any(|(name, _)| path.ends_with(name));
    let known = |folder: &Path| {
        let mut facts = facts(folder);
        facts.retain(|path, _| !is_known(path));
        facts
    };
    let (theirs, ours) = (known(theirs), known(ours));
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let count = paths.len();
    let different: Vec<_> = paths.into_iter().filter(|path| theirs.get(*path) != ours.get(*path)).collect();
    let shown = &different[..different.len().min(30)];
    assert!(different.is_empty(), "{} of {count} differ: {shown:?}", different.len());
    count
}

/// The contents of the only layer in an archive.
pub(crate) fn extract(archive: &Path, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tar = Command::new(tool("tar"));
    tar.arg("-xf").arg(archive).arg("-C").arg(folder.path());
    run(tar.args(["--strip-components=2", &format!("layers/{name}")]));
    folder
}
