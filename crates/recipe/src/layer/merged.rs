//! A layer mounted over the root of its parent: programs run there, and what they change is the layer.

use std::path::{Path, PathBuf};

use sandbox::mounts;
use sandbox::overlay::{Overlay, Upper, Xattrs};

use crate::Error;

/// A mounted layer. It is unmounted when this is dropped.
#[derive(Debug)]
pub(super) struct Merged {
    point: PathBuf,
    mounted: bool,
}

impl Merged {
    /// Mounts the folder `layer`, which takes what is written, over `lower` at the empty folder `point`; `work` is an empty
    /// folder on the layer's file system.
    pub(super) fn mount(lower: &Path, layer: &Path, work: &Path, point: PathBuf) -> Result<Self, Error> {
        let whole = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
        let overlay = Overlay {
            source: "ovmlayer-rootfs".to_owned(),
            xattrs: Xattrs::User,
            lowers: vec![whole(lower)?],
            upper: Some(Upper { upper: whole(layer)?, work: whole(work)? }),
        };
        overlay.mount(&point)?;
        Ok(Self { point, mounted: true })
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> &Path {
        &self.point
    }

    /// Unmounts it, and says whether that worked. Nothing in it may be open.
    pub(super) fn unmount(mut self) -> Result<(), Error> {
        mounts::unmount(&self.point, false)?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Merged {
    fn drop(&mut self) {
        if self.mounted {
            // At the latest it goes with this process's namespace.
            let _ = mounts::unmount(&self.point, true);
        }
    }
}
