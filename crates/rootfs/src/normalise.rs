//! Removes from a finished root what differs from run to run, or belongs to the machine it was built on.
//!
//! [`RULES`] is the whole list, with the reason for each. Times are clamped when the tree is written.

use tree::{EntryPath, Kind, Metadata, Root};

use crate::{Error, folder};

/// What happens to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The path goes, with all below it.
    Remove,
    /// Everything below the directory goes, the directory stays.
    Clear,
    /// Everything below the directory goes but for this name; the directory stays.
    ClearBut(&'static str),
    /// Files below the directory go, the directories stay.
    RemoveFiles,
    /// The file stays, without content.
    Empty,
    /// Files below the directory stay, without content; the directories stay.
    EmptyFiles,
}

/// The paths that are not the same in every build, what happens to them, and why. A `*` stands for any part of a name in
/// the last component.
pub const RULES: &[(&str, Rule, &str)] = &[
    (
        "dev",
        Rule::Clear,
        "device nodes cannot be unpacked by an ordinary user; whoever runs the root mounts its own",
    ),
    ("tmp", Rule::Clear, "left by scripts"),
    ("run", Rule::ClearBut("lock"), "left by scripts; whoever runs the root mounts a new one"),
    ("var/tmp", Rule::Clear, "left by scripts"),
    ("var/lib/apt/lists", Rule::RemoveFiles, "indices of one day and one mirror; apt makes what it needs"),
    ("var/cache/apt/archives", Rule::RemoveFiles, "downloaded packages and their lock"),
    ("var/cache/apt/*.bin", Rule::Remove, "apt's cache of indices"),
    ("var/cache/ldconfig/aux-cache", Rule::Remove, "inode numbers and times of libraries"),
    ("var/cache/debconf/*-old", Rule::Remove, "debconf's backups"),
    ("var/lib/dpkg/*-old", Rule::Remove, "dpkg's backups"),
    ("var/lib/dpkg/lock", Rule::Remove, "a lock file"),
    ("var/lib/dpkg/lock-frontend", Rule::Remove, "a lock file"),
    ("var/lib/dpkg/triggers/Lock", Rule::Remove, "a lock file"),
    ("etc/.pwd.lock", Rule::Remove, "a lock file"),
    ("etc/passwd-", Rule::Remove, "a backup"),
    ("etc/group-", Rule::Remove, "a backup"),
    ("etc/shadow-", Rule::Remove, "a backup"),
    ("etc/gshadow-", Rule::Remove, "a backup"),
    ("etc/subuid-", Rule::Remove, "a backup"),
    ("etc/subgid-", Rule::Remove, "a backup"),
    ("etc/machine-id", Rule::Empty, "systemd makes one at first boot; an empty file is its sign for that"),
    ("var/lib/dbus/machine-id", Rule::Remove, "D-Bus makes one"),
    ("etc/hostname", Rule::Remove, "the building machine's"),
    ("etc/resolv.conf", Rule::Remove, "the building machine's"),
    ("var/log/alternatives.log", Rule::Remove, "a log of the build"),
    ("var/log/apt", Rule::RemoveFiles, "a log of the build"),
    ("var/log/bootstrap.log", Rule::Remove, "a log of the build"),
    ("var/log/dpkg.log", Rule::Remove, "a log of the build"),
    ("var/log/fontconfig.log", Rule::Remove, "a log of the build"),
    (
        "var/log",
        Rule::EmptyFiles,
        "logs of the build; their owners and modes matter to who writes them later",
    ),
];

/// Applies [`RULES`] to a root.
#[derive(Debug)]
pub struct Normalise<'a> {
    /// The root.
    pub root: &'a Root,
    /// The modification time of files that are written, in seconds.
    pub epoch: i64,
}

impl Normalise<'_> {
    /// Applies every rule.
    ///
    /// # Errors
    /// [`Error::Tree`] when the root cannot be read or written.
    pub fn run(&self) -> Result<(), Error> {
        RULES.iter().try_for_each(|(path, rule, _)| self.apply(path, *rule))
    }

    fn apply(&self, path: &str, rule: Rule) -> Result<(), Error> {
        let path = EntryPath::parse(path.as_bytes()).map_err(tree::Error::from)?;
        for path in self.expand(path)? {
            let Some(entry) = self.root.lstat(&path)? else { continue };
            match rule {
                Rule::Remove => {
                    self.root.remove_all(&path)?;
                }
                Rule::Clear if matches!(entry.kind, Kind::Directory) => folder::clear(self.root, &path)?,
                Rule::ClearBut(kept) if matches!(entry.kind, Kind::Directory) => {
                    for name in self.root.list(&path)?.iter().filter(|name| **name != kept.as_bytes()) {
                        self.root.remove_all(&path.join(name).map_err(tree::Error::from)?)?;
                    }
                }
                Rule::Clear | Rule::ClearBut(_) => {}
                Rule::Empty => self.empty(&path, &entry)?,
                Rule::EmptyFiles => self.each_file(&path, &|path, entry| self.empty(path, entry))?,
                Rule::RemoveFiles => {
                    self.each_file(&path, &|path, _| Ok(self.root.remove_file(path).map(drop)?))?
                }
            }
        }
        Ok(())
    }

    /// The paths that a pattern stands for.
    fn expand(&self, pattern: EntryPath) -> Result<Vec<EntryPath>, Error> {
        let name = pattern.file_name().unwrap_or_default();
        let (Some(star), Some(folder)) = (name.iter().position(|byte| *byte == b'*'), pattern.parent())
        else {
            return Ok(vec![pattern]);
        };
        if self.root.lstat(&folder)?.is_none() {
            return Ok(Vec::new());
        }
        let (start, end) = (&name[..star], &name[star + 1..]);
        let names = self.root.list(&folder)?;
        let matching = names.iter().filter(|name| {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        });
        Ok(matching.filter_map(|name| folder.join(name).ok()).collect())
    }

    fn empty(&self, path: &EntryPath, entry: &tree::Entry) -> Result<(), Error> {
        if matches!(entry.kind, Kind::File { .. }) {
            self.root.replace(path, &entry.metadata, b"")?;
        }
        Ok(())
    }

    /// Does `work` with everything below `path` that is no directory.
    fn each_file(
        &self,
        path: &EntryPath,
        work: &dyn Fn(&EntryPath, &tree::Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for name in self.root.list(path)? {
            let path = path.join(&name).map_err(tree::Error::from)?;
            let Some(entry) = self.root.lstat(&path)? else { continue };
            match entry.kind {
                Kind::Directory => self.each_file(&path, work)?,
                _ => work(&path, &entry)?,
            }
        }
        Ok(())
    }

    /// Writes a configuration file of the root, mode 0644, owned by root, with its parents.
    ///
    /// # Errors
    /// [`Error::Tree`] when it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<(), Error> {
        let path = EntryPath::parse(path.as_bytes()).map_err(tree::Error::from)?;
        if let Some(parent) = path.parent() {
            folder::ensure_all(self.root, &parent, self.epoch)?;
        }
        Ok(self.root.replace(&path, &Metadata::new(0o644, self.epoch), text.as_bytes())?)
    }
}
