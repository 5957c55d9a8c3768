//! One store: a folder with layers, and beside them what it takes to make, mount and remove them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::lock::StoreLock;
use crate::{Error, LayerName, Result, record};

/// A folder per layer.
pub(crate) const LAYERS: &str = "layer_dir";
/// An archive per layer, where the file system cannot keep the layer itself.
pub(crate) const ARCHIVES: &str = "layer_archive";
/// What is being made.
pub(crate) const STAGING: &str = "tmp";
/// What is being removed.
pub(crate) const TRASH: &str = "trash";
/// Work folders of overlays.
pub(crate) const WORK: &str = "work";
/// Mount points.
pub(crate) const MERGED: &str = "merged";
/// Leases of merge points.
pub(crate) const LEASES: &str = "lease";
/// Archived layers, unpacked so that they can be mounted.
pub(crate) const UNPACKED: &str = "unpacked";
/// A mark per layer whose move to the external store has begun.
pub(crate) const MOVING: &str = "moving";
/// Lists of what `run` made in a merge point.
pub(crate) const RUNS: &str = "run";

const RECORD: &str = "store.json";
const LOCK: &str = "lock";
const FORMAT: u32 = 1;

/// In which extended attributes a store keeps overlay marks (opaque directories).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `user.overlay.*`: root and ordinary users mean the same by it.
    User,
    /// `trusted.overlay.*`: only for root, where the file system does not keep `user.*`.
    Trusted,
}

impl Form {
    /// What the names of the marks begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::User => "user.overlay.",
            Self::Trusted => "trusted.overlay.",
        }
    }

    /// The same, as mounts need it.
    #[must_use]
    pub fn xattrs(self) -> sandbox::overlay::Xattrs {
        match self {
            Self::User => sandbox::overlay::Xattrs::User,
            Self::Trusted => sandbox::overlay::Xattrs::Trusted,
        }
    }
}

/// What a store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Layers are made and mounted here.
    Runtime,
    /// Layers are moved here, and read.
    External,
    /// Layers are read.
    ReadOnly,
}

/// Ids inside a store and what they are outside, as ranges of (inside, outside, count).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Ids {
    /// Of users.
    pub uids: Vec<(u32, u32, u32)>,
    /// Of groups.
    pub gids: Vec<(u32, u32, u32)>,
}

impl Ids {
    /// The ids of the user namespace that this process is in.
    pub(crate) fn current() -> Result<Self> {
        let read = |path: &str| Ok(parse_map(&fs::read_to_string(path).map_err(Error::io("read", path))?));
        Ok(Self { uids: read("/proc/self/uid_map")?, gids: read("/proc/self/gid_map")? })
    }
}

/// Reads a map as in user_namespaces(7).
fn parse_map(text: &str) -> Vec<(u32, u32, u32)> {
    let numbers = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map_while(|word| word.parse().ok());
        Some((numbers.next()?, numbers.next()?, numbers.next()?))
    };
    text.lines().filter_map(numbers).collect()
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    format: u32,
    xattrs: Form,
    #[serde(default)]
    id_map: Ids,
}

/// A store that exists.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    role: Role,
    form: Form,
    ids: Ids,
    recorded: bool,
}

impl Store {
    /// Opens the store at `root`. One without a record, as other programs make it, has the `user.` form.
    pub(crate) fn open(root: &Path, role: Role) -> Result<Self> {
        // The mount table has paths without links, and is searched for these.
        let root = fs::canonicalize(root).map_err(Error::io("open the store", root))?;
        let path = root.join(RECORD);
        let record = match fs::read_to_string(&path) {
            Ok(text) => {
                let bad = |why| Error::Record { path: path.clone(), why };
                record::check_format(&path, &text, FORMAT, &bad)?;
                Some(serde_json::from_str::<Record>(&text).map_err(|error| bad(error.to_string()))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let recorded = record.is_some();
        let (form, ids) =
            record.map_or((Form::User, Ids::default()), |record| (record.xattrs, record.id_map));
        Ok(Self { root, role, form, ids, recorded })
    }

    /// Makes a store at `root`, which exists, or opens the one that is there.
    pub(crate) fn create(root: &Path, role: Role, form: Form, ids: Ids) -> Result<Self> {
        let store = Self::open(root, role)?;
        for folder in [LAYERS, STAGING, TRASH] {
            store.folder(folder)?;
        }
        if role == Role::Runtime {
            for folder in [WORK, MERGED, LEASES, RUNS] {
                store.folder(folder)?;
            }
        }
        if store.recorded {
            return Ok(store);
        }
        // Layers that are there already were made in the form that holds without a record.
        let form = if store.layer_names()?.is_empty() { form } else { store.form };
        store.write_record(form, ids)?;
        Self::open(root, role)
    }

    /// Writes the record anew.
    pub(crate) fn write_record(&self, form: Form, ids: Ids) -> Result<()> {
        let record = Record { format: FORMAT, xattrs: form, id_map: ids };
        record::replace(&self.root.join(RECORD), &record, record::Durable::Yes)
    }

    /// The folder of the store, without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the store is for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// In which attributes it keeps overlay marks.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The ids of who made it.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Whether it has a record of its own.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Where the content of a layer is, or would be.
    #[must_use]
    pub fn layer_path(&self, name: &LayerName) -> PathBuf {
        self.root.join(LAYERS).join(name)
    }

    /// Where the archive of a layer is, or would be.
    #[must_use]
    pub fn archive_path(&self, name: &LayerName) -> PathBuf {
        self.root.join(ARCHIVES).join(format!("{name}.tar"))
    }

    /// A path in the store.
    pub(crate) fn path(&self, folder: &str) -> PathBuf {
        self.root.join(folder)
    }

    /// One of our folders, made if it is missing (a store that another program made has none).
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.is_dir() => {
                Err(Error::io("create the folder", &path)(error))
            }
            _ => Ok(path),
        }
    }

    /// Waits for the lock of the store.
    pub(crate) fn lock(&self) -> Result<StoreLock> {
        StoreLock::wait(&self.root.join(LOCK))
    }

    /// Refuses what has to write, where that is known to be impossible.
    pub(crate) fn writable(&self, doing: &'static str) -> Result<()> {
        let read_only = self.role == Role::ReadOnly
            || rustix::fs::statvfs(&self.root)
                .is_ok_and(|status| status.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
        if read_only { Err(Error::ReadOnly { doing, store: self.root.clone() }) } else { Ok(()) }
    }

    /// The names of the layers, in no order; what has no valid name is none.
    pub(crate) fn layer_names(&self) -> Result<Vec<LayerName>> {
        let mut names = Vec::new();
        each_name(&self.root.join(LAYERS), |name, is_folder| {
            names.extend(LayerName::new(name).ok().filter(|_| is_folder));
        })?;
        each_name(&self.root.join(ARCHIVES), |name, is_folder| {
            let name = name.strip_suffix(".tar").filter(|_| !is_folder);
            names.extend(name.and_then(|name| LayerName::new(name).ok()));
        })?;
        Ok(names)
    }
}

/// Calls `each` with the UTF-8 names in a folder, which may be missing, and whether they are folders.
pub(crate) fn each_name(folder: &Path, mut each: impl FnMut(&str, bool)) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let kind = entry.file_type().map_err(Error::io("look at", entry.path()));
        match kind {
            Ok(kind) => each(name, kind.is_dir()),
            // Gone meanwhile.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let ids = Ids { uids: vec![(0, 1000, 1)], gids: vec![(0, 1000, 1)] };
        let store = Store::create(folder.path(), Role::Runtime, Form::Trusted, ids.clone()).unwrap();
        assert_eq!((store.form(), store.ids()), (Form::Trusted, &ids));
        let again = Store::create(folder.path(), Role::Runtime, Form::User, Ids::default()).unwrap();
        assert_eq!((again.form(), again.ids()), (Form::Trusted, &ids));
    }

    #[test]
    fn layers_without_a_record_are_of_the_user_form() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("layer_dir/executor/usr")).unwrap();
        let store = Store::create(folder.path(), Role::Runtime, Form::Trusted, Ids::default()).unwrap();
        assert_eq!(store.form(), Form::User);
    }

    #[test]
    fn only_folders_with_valid_names_are_layers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path(), Role::External, Form::User, Ids::default()).unwrap();
        for name in ["a", "base_rootfs", ".hidden", "x:y"] {
            fs::create_dir(store.path(LAYERS).join(name)).unwrap();
        }
        fs::write(store.path(LAYERS).join("file"), "").unwrap();
        fs::create_dir(store.path(ARCHIVES)).unwrap();
        fs::write(store.path(ARCHIVES).join("b.tar"), "").unwrap();
        fs::write(store.path(ARCHIVES).join("c.zip"), "").unwrap();
        let mut names = store.layer_names().unwrap();
        names.sort();
        assert_eq!(names, [LayerName::new("a").unwrap(), LayerName::new("b").unwrap()]);
    }

    #[test]
    fn a_newer_store_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("store.json"), r#"{"format":7,"xattrs":"new"}"#).unwrap();
        let error = Store::open(folder.path(), Role::Runtime).unwrap_err();
        assert!(matches!(error, Error::Format { found: 7, known: 1, .. }), "{error}");
    }
}
