//! What the items of a `files` step put into a tree.

use std::fs::File;
use std::path::Path;

use tree::{Entry, EntryPath, Kind, Links, Metadata, Root};

use crate::format::FileStep;

/// The contents of an entry.
pub(crate) enum Contents<'a> {
    /// A file has these.
    Text(&'a [u8]),
    /// A file has those of a file of this machine.
    File(File),
    /// It is no file.
    None,
}

/// Gives `put` the entries that `file` stands for, with the time `epoch`: one, or all of a folder of this machine. Paths of
/// this machine are relative to `folder`. The message of an error names the path that it is about.
pub(crate) fn entries(
    file: &FileStep,
    folder: &Path,
    epoch: i64,
    mut put: impl FnMut(Entry, Contents<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let path = match file.path.trim_start_matches('/') {
        "" => EntryPath::ROOT,
        path => EntryPath::parse(path.as_bytes()).map_err(in_words(&file.path))?,
    };
    let (uid, gid) = file.owner()?;
    let owned = |mode| Metadata { uid, gid, ..Metadata::new(mode, epoch) };
    let mut one = |kind, contents| {
        let metadata = owned(file.mode()?);
        put(Entry { path: path.clone(), kind, metadata }, contents)
            .map_err(|error| format!("{}: {error}", file.path))
    };
    match (&file.content, &file.source, &file.link) {
        (Some(content), _, _) => {
            one(Kind::File { size: content.len() as u64 }, Contents::Text(content.as_bytes()))
        }
        (_, _, Some(link)) => one(Kind::Symlink { target: link.clone().into_bytes() }, Contents::None),
        (_, Some(source), _) => {
            let source = folder.join(source);
            let opened = File::open(&source).and_then(|file| Ok((file.metadata()?, file)));
            let (found, opened) = opened.map_err(|error| format!("{}: {error}", source.display()))?;
            if !found.is_dir() {
                return one(Kind::File { size: found.len() }, Contents::File(opened));
            }
            if file.mode.is_some() {
                return Err(format!(
                    "{}: `mode` is for files, and {} is a folder",
                    file.path,
                    source.display()
                ));
            }
            whole_folder(&source, |entry, contents| {
                let place = |inner: &EntryPath| beneath(&path, inner).map_err(in_words(&file.path));
                let kind = match entry.kind {
                    Kind::HardLink { target } => Kind::HardLink { target: place(&target)? },
                    other => other,
                };
                let path = place(&entry.path)?;
                let name = path.to_string();
                let entry = Entry { path, kind, metadata: owned(entry.metadata.mode) };
                put(entry, contents).map_err(|error| format!("/{name}: {error}"))
            })
        }
        (None, None, None) => Ok(()),
    }
}

/// All of a folder of this machine, whose sockets, pipes and devices nobody means to copy.
fn whole_folder(
    folder: &Path,
    mut put: impl FnMut(Entry, Contents<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let words = |error: tree::Error| in_words(&folder.display().to_string())(error);
    let root = Root::open(folder, Links::Refuse).map_err(words)?;
    let mut scan = root.scan();
    while let Some(entry) = scan.next() {
        let entry = entry.map_err(words)?;
        let contents = match &entry.kind {
            Kind::File { .. } => Contents::File(scan.open().map_err(words)?),
            Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => Contents::None,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => {
                let path = folder.join(entry.path.to_string());
                return Err(format!("{} is neither file, folder nor link", path.display()));
            }
        };
        put(entry, contents)?;
    }
    Ok(())
}

fn beneath(path: &EntryPath, inner: &EntryPath) -> Result<EntryPath, tree::PathError> {
    inner.components().try_fold(path.clone(), |path, name| path.join(name))
}

/// An error about `path` and its causes as one line.
fn in_words<E: std::error::Error>(path: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{path}: {}", chain(error))
}

/// An error and its causes as one line.
pub(crate) fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
