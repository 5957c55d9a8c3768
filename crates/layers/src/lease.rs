//! Leases: who mounted a merge point, and with what, as far as the mount table of one namespace cannot tell.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record::{self, Durable};
use crate::store::{LEASES, Store};
use crate::{Error, LayerName, PointName, Result};

const FORMAT: u32 = 1;

/// No lease of ours is larger, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// The record of one merge point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    format: u32,
    /// The start of the machine in which it was mounted.
    pub(crate) boot: String,
    /// The mount namespace in which it was mounted; without meaning when there is a holder.
    pub(crate) namespace: u64,
    /// Whether a process keeps the mount: who it is, and whether it lives, is told by its lock on this file.
    pub(crate) holder: bool,
    /// Lowest first; the last is the one written to.
    pub(crate) layers: Vec<Leased>,
    /// The name of the work folder.
    pub(crate) work: String,
}

/// A layer in a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leased {
    pub(crate) name: LayerName,
    /// What was mounted.
    pub(crate) path: PathBuf,
}

impl Lease {
    pub(crate) fn new(boot: &str, namespace: u64, holder: bool, layers: Vec<Leased>, work: String) -> Self {
        Self { format: FORMAT, boot: boot.to_owned(), namespace, holder, layers, work }
    }

    /// Writes the lease of a merge point. It means nothing after a restart, so nothing is synced.
    pub(crate) fn write(&self, store: &Store, point: &PointName) -> Result<()> {
        store.folder(LEASES)?;
        record::replace(&path(store, point), self, Durable::No)
    }
}

/// Where the lease of a merge point is.
pub(crate) fn path(store: &Store, point: &PointName) -> PathBuf {
    store.path(LEASES).join(format!("{point}.json"))
}

/// The lease of a merge point and its open file; `None` when there is none, or one that cannot be understood and so
/// proves nothing.
pub(crate) fn read(store: &Store, point: &PointName) -> Result<Option<(Lease, File)>> {
    let path = path(store, point);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", &path)(error)),
    };
    let mut text = String::new();
    match Read::by_ref(&mut file).take(MAX_SIZE).read_to_string(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => {
            return Err(Error::io("read", &path)(error));
        }
        _ => {}
    }
    let bad = |why| Error::Record { path: path.clone(), why };
    match record::check_format(&path, &text, FORMAT, &bad) {
        Err(newer @ Error::Format { .. }) => return Err(newer),
        Err(_) => return Ok(None),
        Ok(()) => {}
    }
    Ok(serde_json::from_str(&text).ok().map(|lease| (lease, file)))
}

/// Opens a lease as the process needs it that is going to keep the mount.
pub(crate) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::io("open", path))
}

/// Removes the lease of a merge point, if there is one.
pub(crate) fn remove(store: &Store, point: &PointName) -> Result<()> {
    let path = path(store, point);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// The merge points that have a lease.
pub(crate) fn points(store: &Store) -> Result<Vec<PointName>> {
    let mut points = Vec::new();
    crate::store::each_name(&store.path(LEASES), |name, _| {
        points.extend(name.strip_suffix(".json").and_then(|name| PointName::new(name).ok()));
    })?;
    Ok(points)
}
