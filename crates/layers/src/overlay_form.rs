//! How overlayfs marks in a directory what a layer hides (the kernel's `filesystems/overlayfs`, "whiteouts and opaque
//! directories").

use std::fs;
use std::path::Path;

use rustix::fs::XattrFlags;
use tree::{EntryPath, Kind, Root};

use crate::store::{Form, LAYERS, Store};
use crate::{Error, LayerName, Result, setup};

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

/// The form of a store that does not say it: what its layers have, else what its file system can keep.
pub(crate) fn of_layers(store: &Store) -> Result<Form> {
    let layers = store.path(LAYERS);
    let mut folders = Vec::new();
    // The root filesystem and strangers say nothing.
    crate::store::each_name(&layers, |name, is_folder| {
        folders.extend(LayerName::new(name).ok().filter(|_| is_folder).map(|name| layers.join(name)));
    })?;
    let mut has_trusted = false;
    while let Some(folder) = folders.pop() {
        if has_marks(&folder, Form::User)? {
            return Ok(Form::User);
        }
        has_trusted |= has_marks(&folder, Form::Trusted)?;
        for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
            let entry = entry.map_err(Error::io("read", &folder))?;
            let kind = entry.file_type().map_err(Error::io("look at", entry.path()))?;
            folders.extend(kind.is_dir().then(|| entry.path()));
        }
    }
    if has_trusted { Ok(Form::Trusted) } else { setup::kept_form(store.root()) }
}

/// Whether overlayfs has marked a folder in that form, in whichever way.
fn has_marks(folder: &Path, form: Form) -> Result<bool> {
    let mut names = vec![0; 1 << 16];
    let length = match rustix::fs::llistxattr(folder, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(Error::io("read the attributes of", folder)(errno)),
    };
    Ok(names[..length].split(|byte| *byte == 0).any(|name| name.starts_with(form.prefix().as_bytes())))
}
