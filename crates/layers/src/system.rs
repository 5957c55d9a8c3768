//! Whether layers can be used here and now.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};
use sandbox::overlay::Overlay;

use crate::store::{LAYERS, STAGING};
use crate::{Engine, Environment, Error, Result, staging};

impl Engine {
    /// Whether layers can be made, mounted and run in: set up, a rootfs, a store that can be written, a kernel that
    /// mounts overlays. Fast, without side effects, and safe beside any other command.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn test_system(env: &Environment) -> Result<()> {
        let engine = Self::open(env)?;
        let rootfs = engine.rootfs()?;
        if staging::names(rootfs)?.is_empty() {
            return Err(Error::NoRootfs { path: rootfs.to_owned() });
        }
        let store = engine.runtime();
        store.writable("make layers")?;
        access(store.root(), Access::WRITE_OK | Access::EXEC_OK)
            .map_err(Error::io("write to", store.root()))?;
        if env.is_root() { engine.try_overlay(rootfs) } else { try_namespaces() }
    }

    /// Lets the kernel set up a read-only overlay and drops it: nothing is mounted or written.
    fn try_overlay(&self, rootfs: &Path) -> Result<()> {
        // Any folder that does not hold the rootfs will do.
        let folders = [LAYERS, STAGING].map(|name| self.runtime().path(name));
        let below = folders.into_iter().find(|folder| folder.is_dir() && !rootfs.starts_with(folder));
        let below = below.unwrap_or_else(|| "/dev".into());
        let overlay = Overlay {
            source: "ovmlayer".to_owned(),
            xattrs: self.runtime().form().xattrs(),
            lowers: vec![rootfs.to_owned(), below],
            upper: None,
        };
        overlay.probe().map_err(Error::sandbox("mount layers"))
    }
}

/// Whether an ordinary user may have namespaces of his own, as far as it can be told without having one.
fn try_namespaces() -> Result<()> {
    let limit = "/proc/sys/user/max_user_namespaces";
    let text = fs::read_to_string(limit).map_err(Error::io("read", limit))?;
    if text.trim() == "0" {
        let why = format!("`{limit}` is 0, so an ordinary user can mount nothing");
        return Err(Error::Unsuitable { path: limit.into(), why });
    }
    Ok(())
}
