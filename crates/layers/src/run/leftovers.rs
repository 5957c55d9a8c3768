//! What killed runs have left in layers: removed by whoever unmerges, merges or tidies next.

use std::path::{Path, PathBuf};

use sandbox::remove_placeholders;
use tree::{EntryPath, Kind, Links, Metadata, Root};

use super::placeholders::{List, Made, remove_through};
use crate::lock::StoreLock;
use crate::store::RUNS;
use crate::usage::Usage;
use crate::{Engine, Error, LayerName, Result, staging};

impl Engine {
    /// The list of what runs make in a layer.
    pub(crate) fn runs_of(&self, layer: &Path) -> Result<PathBuf> {
        let name = layer.file_name().unwrap_or_default();
        Ok(self.runtime().folder(RUNS)?.join(name))
    }

    /// Whether a command writes to a layer through a merge point.
    pub(crate) fn is_at_work(&self, layer: &Path) -> bool {
        let path = self.runtime().path(RUNS).join(layer.file_name().unwrap_or_default());
        path.exists() && !matches!(List::left(&path), Ok(Some(_)))
    }

    /// Removes what killed runs have left in a layer, through the merge point that it is the top of.
    ///
    /// What cannot be removed now stays on the list.
    pub(crate) fn tidy_merged(&self, layer: &Path, merged: &Path, _gate: &StoreLock) {
        let _ = self.tidy(layer, |made| remove_through(merged, made));
    }

    /// The same in the layer itself, which is mounted nowhere.
    pub(crate) fn tidy_layer(&self, layer: &Path, _gate: &StoreLock) {
        let _ = self.tidy(layer, |made| remove_from(layer, made));
    }

    fn tidy(&self, layer: &Path, remove: impl FnOnce(&[Made]) -> Result<()>) -> Result<()> {
        let path = self.runtime().path(RUNS).join(layer.file_name().unwrap_or_default());
        let Some(mut list) = List::left(&path)? else { return Ok(()) };
        let made = list.read(layer)?;
        if !made.is_empty() {
            remove(&made)?;
        }
        // In a folder that belongs to another id, say, it takes the rights of `gc`.
        if made.iter().any(|made| is_left(layer, made)) {
            return Ok(());
        }
        list.remove()
    }

    /// The lists that killed runs have left of layers that are mounted nowhere.
    pub(crate) fn idle_runs(&self, usage: &Usage, _gate: &StoreLock) -> Result<Vec<PathBuf>> {
        let folder = self.runtime().path(RUNS);
        let mut idle = Vec::new();
        for name in staging::names(&folder)? {
            let path = folder.join(&name);
            let used = self.listed_layer(&path).is_some_and(|layer| {
                usage.user_of(&layer).is_some()
                    || layer.exists() && sandbox::overlay::upper_in_use(&layer).unwrap_or(true)
            });
            if !used && List::left(&path)?.is_some() {
                idle.push(path);
            }
        }
        Ok(idle)
    }

    /// Removes what such a list names, and the list.
    pub(crate) fn tidy_run(&self, list: &Path, gate: &StoreLock) {
        match self.listed_layer(list) {
            Some(layer) => self.tidy_layer(&layer, gate),
            None => {
                let _ = std::fs::remove_file(list);
            }
        }
    }

    fn listed_layer(&self, list: &Path) -> Option<PathBuf> {
        let name = LayerName::new(list.file_name()?.to_str()?).ok()?;
        Some(self.runtime().layer_path(&name))
    }
}

fn is_left(layer: &Path, made: &Made) -> bool {
    let path = layer.join(made.path.strip_prefix("/").unwrap_or(&made.path));
    !made.directory && path.symlink_metadata().is_ok_and(|status| status.is_file() && status.len() == 0)
}

/// Removes what is still empty from a layer, and marks anew what it hid before.
fn remove_from(layer: &Path, made: &[Made]) -> Result<()> {
    let placeholders: Vec<_> = made.iter().map(Made::placeholder).collect();
    remove_placeholders(layer, &placeholders).map_err(Error::sandbox("remove places of mounts"))?;
    let hidden: Vec<_> = made.iter().filter(|made| made.over_whiteout).collect();
    if hidden.is_empty() {
        return Ok(());
    }
    let root = Root::open(layer, Links::Refuse).map_err(Error::tree("open", layer))?;
    for Made { path, .. } in hidden {
        use std::os::unix::ffi::OsStrExt as _;
        let Ok(path) = EntryPath::parse(path.strip_prefix("/").unwrap_or(path).as_os_str().as_bytes()) else {
            continue;
        };
        if matches!(root.kind(&path), Ok(None)) {
            let whiteout = Kind::CharDevice { major: 0, minor: 0 };
            // An ordinary user cannot give it away, which does not matter: it is made by then.
            let _ = root.make_device(&path, &whiteout, &Metadata::new(0, 0));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn what_was_hidden_is_hidden_again() {
        let folder = tempfile::tempdir().unwrap();
        let layer = folder.path();
        fs::create_dir(layer.join("etc")).unwrap();
        for name in ["hosts", "resolv.conf", "used"] {
            fs::write(layer.join("etc").join(name), if name == "used" { "x" } else { "" }).unwrap();
        }
        let made = |path: &str, over_whiteout| Made { path: path.into(), directory: false, over_whiteout };
        remove_from(
            layer,
            &[made("/etc/hosts", true), made("/etc/resolv.conf", false), made("/etc/used", true)],
        )
        .unwrap();
        let whiteout = layer.join("etc/hosts").symlink_metadata().unwrap();
        assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
        assert!(!layer.join("etc/resolv.conf").exists());
        assert_eq!(fs::read(layer.join("etc/used")).unwrap(), b"x");
    }
}
