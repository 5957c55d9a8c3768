//! What a layer changes, seen against the root filesystem.
//!
//! A layer does not know what it will be stacked on, so the root filesystem, which is always below, is all it can be
//! compared with.

use std::path::Path;

use tree::{Entry, EntryPath, Kind, Links, Root};

use crate::{Engine, Error, Layer, Result, overlay_form};

/// What a layer does at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It has something where the root filesystem has nothing.
    Adds,
    /// It has something else than the root filesystem.
    Replaces,
    /// It hides what lies below.
    Removes,
    /// It has a folder that hides all that the folder below holds.
    Empties,
}

impl Effect {
    /// The word for it in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Adds => "added",
            Self::Replaces => "replaced",
            Self::Removes => "removed",
            Self::Empties => "emptied",
        }
    }
}

/// One path that a layer changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: EntryPath,
    /// What happens there.
    pub effect: Effect,
    /// What the layer has there, as a word; none where it removes.
    pub kind: Option<&'static str>,
}

impl Engine {
    /// Gives every path that a layer changes to `each`, in path order. For an ordinary user to be called after
    /// [`Engine::enter`].
    ///
    /// # Errors
    /// [`Error::Archived`] for a layer that the store keeps as an archive; what `each` says; a failed read.
    pub fn diff<E: From<Error>>(
        &self,
        layer: &Layer,
        mut each: impl FnMut(Change) -> Result<(), E>,
    ) -> Result<(), E> {
        if layer.archived {
            return Err(Error::Archived { name: layer.name.clone() }.into());
        }
        let rootfs = self.rootfs()?;
        let below = open(rootfs)?;
        let own = open(&layer.path)?;
        for entry in own.scan() {
            let entry = entry.map_err(Error::tree("read", &layer.path))?;
            let found = below.lstat(&entry.path).map_err(Error::tree("read", rootfs))?;
            if let Some(change) =
                change(&own, &entry, found.as_ref()).map_err(Error::tree("read", &layer.path))?
            {
                each(change)?;
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<Root> {
    Root::open(path, Links::Refuse).map_err(Error::tree("open", path))
}

/// What an entry of the layer does, given what the root filesystem has in its place; nothing where a folder is there only
/// for what it holds.
fn change(layer: &Root, entry: &Entry, below: Option<&Entry>) -> tree::Result<Option<Change>> {
    let made = |effect, kind| Some(Change { path: entry.path.clone(), effect, kind });
    if overlay_form::is_whiteout(&entry.kind) {
        return Ok(made(Effect::Removes, None));
    }
    let kind = Some(entry.kind.name());
    Ok(match (&entry.kind, below) {
        (Kind::Directory, Some(below)) if below.kind == Kind::Directory => {
            let (own, other) = (&entry.metadata, &below.metadata);
            if overlay_form::is_opaque(layer, &entry.path)? {
                made(Effect::Empties, kind)
            } else if (own.mode, own.uid, own.gid, &own.xattrs)
                != (other.mode, other.uid, other.gid, &other.xattrs)
            {
                made(Effect::Replaces, kind)
            } else {
                None
            }
        }
        (_, Some(_)) => made(Effect::Replaces, kind),
        (Kind::Directory, None) if entry.path.is_root() => None,
        (_, None) => made(Effect::Adds, kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["below/etc/apt", "below/var", "below/opt/x", "layer/etc/new", "layer/var", "layer/opt"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        for name in ["below/etc/hosts", "below/etc/gone", "layer/etc/hosts", "layer/etc/new/file"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let gone = folder.path().join("layer/etc/gone");
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, gone, kind, rustix::fs::Mode::empty(), 0).unwrap();
        let var = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder.path().join("layer/var"), var).unwrap();
        let (own, below) =
            (open(&folder.path().join("layer")).unwrap(), open(&folder.path().join("below")).unwrap());
        overlay_form::set_opaque(&own, &"opt".parse().unwrap(), "user.overlay.opaque").unwrap();
        let mut found = Vec::new();
        for entry in own.scan() {
            let entry = entry.unwrap();
            let under = below.lstat(&entry.path).unwrap();
            found.extend(change(&own, &entry, under.as_ref()).unwrap());
        }
        let found: Vec<_> =
            found.iter().map(|change| (change.path.to_string(), change.effect, change.kind)).collect();
        let want = [
            ("etc/gone", Effect::Removes, None),
            ("etc/hosts", Effect::Replaces, Some("file")),
            ("etc/new", Effect::Adds, Some("directory")),
            ("etc/new/file", Effect::Adds, Some("file")),
            ("opt", Effect::Empties, Some("directory")),
            ("var", Effect::Replaces, Some("directory")),
        ];
        assert_eq!(found, want.map(|(path, effect, kind)| (path.to_owned(), effect, kind)));
    }
}
