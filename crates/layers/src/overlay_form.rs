//! How overlayfs marks in a directory what a layer hides (the kernel's `filesystems/overlayfs`, "whiteouts and opaque
//! directories").

use rustix::fs::XattrFlags;
use tree::{EntryPath, Kind, Root};

/// The attributes that make a directory opaque, in the two forms that a store can have.
const OPAQUE: [&str; 2] = ["user.overlay.opaque", "trusted.overlay.opaque"];

/// Whether an entry of a layer hides what lies below: a character device with the numbers 0 and 0.
pub(crate) fn is_whiteout(kind: &Kind) -> bool {
    matches!(kind, Kind::CharDevice { major: 0, minor: 0 })
}

/// Whether the directory `path` of a layer hides all that lies below it.
pub(crate) fn is_opaque(layer: &Root, path: &EntryPath) -> tree::Result<bool> {
    let directory = layer.subroot(path)?;
    Ok(OPAQUE.iter().any(|name| {
        let mut value = [0; 1];
        rustix::fs::fgetxattr(&directory, *name, &mut value[..]) == Ok(1) && value == *b"y"
    }))
}

/// Makes the directory `path` of a layer hide all that lies below it.
pub(crate) fn set_opaque(layer: &Root, path: &EntryPath, attribute: &str) -> tree::Result<()> {
    let directory = layer.subroot(path)?;
    rustix::fs::fsetxattr(&directory, attribute, b"y", XattrFlags::empty()).map_err(|errno| {
        tree::Error::Entry { operation: "make opaque", path: path.clone(), source: errno.into() }
    })
}
