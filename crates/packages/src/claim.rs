//! Names that go with their owner: layers and merge points that are not finished, or that only one run needs.
//!
//! A claim is a file with one name a line, written before the layer or merge point of that name is made, and locked for as long as
//! its owner lives. The system frees the lock of a dead owner; whoever comes next finds a claim that nobody holds, and removes what
//! it names. So nothing is left behind for good, however a process ends.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Ovmlayer, Result};

/// The ending of names of claims.
const ENDING: &str = "claim";

/// The largest claim, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// What its owner has made. It is removed with the value, unless the value is [kept](Claim::keep).
#[derive(Debug)]
pub struct Claim {
    ovmlayer: Ovmlayer,
    path: PathBuf,
    file: File,
    points: Vec<String>,
    layers: Vec<String>,
}

impl Claim {
    /// An empty claim in the folder of all claims.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(ovmlayer: &Ovmlayer, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        loop {
            let path = folder.join(format!("{}.{ENDING}", crate::names::random()));
            let file = File::create_new(&path).map_err(Error::io("write", &path))?;
            flock(&file, FlockOperation::LockExclusive).map_err(Error::io("lock", &path))?;
            // Whoever sweeps may have taken it for that of a dead owner before it was locked.
            if is_at(&file, &path) {
                return Ok(Self {
                    ovmlayer: ovmlayer.clone(),
                    path,
                    file,
                    points: Vec::new(),
                    layers: Vec::new(),
                });
            }
        }
    }

    /// Claims the name of a layer that is going to be made.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn layer(&mut self, name: &str) -> Result<()> {
        self.note("layer", name)?;
        self.layers.push(name.to_owned());
        Ok(())
    }

    /// Claims the name of a merge point that is going to be made.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn merge_point(&mut self, name: &str) -> Result<()> {
        self.note("merge-point", name)?;
        self.points.push(name.to_owned());
        Ok(())
    }

    /// Unmerges a merge point that is no longer needed.
    ///
    /// # Errors
    /// [`Error::Program`].
    pub(crate) fn unmerge(&mut self, name: &str) -> Result<()> {
        self.ovmlayer.unmerge(name)?;
        self.points.retain(|point| point != name);
        Ok(())
    }

    fn note(&mut self, kind: &str, name: &str) -> Result<()> {
        // In one write: half a line names nothing, and what it would have named has not been made.
        let line = format!("{kind} {name}\n");
        self.file.write_all(line.as_bytes()).map_err(Error::io("write", &self.path))
    }

    /// The layers stay; merge points go.
    pub fn keep(mut self) {
        self.layers.clear();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What cannot be removed now is removed by whoever sweeps next, as long as it is claimed.
        if remove(&self.ovmlayer, &self.points, &self.layers) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes merge points, then layers; whether all of them are gone.
fn remove(ovmlayer: &Ovmlayer, points: &[String], layers: &[String]) -> bool {
    // One that stays must not keep the others.
    let kept_points = points.iter().rev().filter(|point| ovmlayer.unmerge(point).is_err()).count();
    let kept_layers = layers.iter().rev().filter(|layer| ovmlayer.delete(layer).is_err()).count();
    kept_points == 0 && kept_layers == 0
}

/// Removes what dead owners have left. What cannot be removed stays claimed, for the next time.
pub(crate) fn sweep(ovmlayer: &Ovmlayer, folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            // One that cannot be opened or is locked has an owner, or is gone.
            let _ = sweep_one(ovmlayer, &path);
        }
    }
}

fn sweep_one(ovmlayer: &Ovmlayer, path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    if !is_at(&file, path) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&crate::files::read(path, MAX_SIZE)?).into_owned();
    // A line without an end was being written; what it names has not been made.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let named = |kind: &str| {
        let names = whole.lines().filter_map(|line| line.split_once(' ')).filter(|(word, _)| *word == kind);
        names.map(|(_, name)| name.to_owned()).filter(|name| crate::names::is_plain(name)).collect::<Vec<_>>()
    };
    if remove(ovmlayer, &named("merge-point"), &named("layer")) { fs::remove_file(path) } else { Ok(()) }
}

/// Whether `path` still names `file`.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    open.dev() == named.dev() && open.ino() == named.ino()
}
