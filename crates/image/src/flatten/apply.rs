//! One layer over those below it.

use std::io::Read;

use tree::layer::{Mark, Spelling};
use tree::tar::{self, Names};
use tree::{EntryPath, Kind, PathError};

use super::stack::{Changes, Stack, Store};
use crate::error::LayerProblem;

/// Attributes that belong to a machine or a mount.
const FOREIGN_ATTRIBUTES: [&[u8]; 2] = [b"security.selinux", b"system.nfs4_acl"];

/// The beginnings of the names of attributes that overlayfs keeps for itself: in a root filesystem they would be taken for
/// its marks when it is put under an overlay.
const OVERLAY_ATTRIBUTES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

impl<S: Store> Stack<S> {
    /// Puts the layer in `source` over what is there.
    pub(super) fn layer(&mut self, source: impl Read) -> Result<Changes, LayerProblem> {
        let limits =
            tar::Limits { total: self.limits.layer, sparse: self.limits.contents, ..tar::Limits::default() };
        let mut reader = tar::Reader::with_limits(source, limits);
        let mut names = LayerNames(Mark::Entry);
        let mut changes = Changes::default();
        self.files.begin_layer();
        while let Some(member) = reader.next_named(&mut names)? {
            let mut entry = member.entry;
            match names.0 {
                Mark::Aufs => {}
                Mark::Whiteout => {
                    changes.removed += 1;
                    self.files.whiteout(&entry.path)?;
                }
                Mark::Opaque => self.files.opaque(&entry.path)?,
                Mark::Entry => {
                    entry.metadata.xattrs.retain(|name, _| !is_foreign(name));
                    changes.files += u64::from(entry.kind != Kind::Directory);
                    changes.bytes += entry.kind.size();
                    self.put(entry, &mut reader.data())?;
                }
            }
        }
        Ok(changes)
    }
}

fn is_foreign(name: &[u8]) -> bool {
    FOREIGN_ATTRIBUTES.contains(&name) || OVERLAY_ATTRIBUTES.iter().any(|start| name.starts_with(start))
}

/// What a name in a layer means; holds what the last one was.
struct LayerNames(Mark);

impl Names for LayerNames {
    fn entry(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        let (path, mark) = Spelling::Oci.read(name)?;
        self.0 = mark;
        Ok(path)
    }

    fn link(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        match Spelling::Oci.read(name)? {
            (path, Mark::Entry) => Ok(path),
            // A link beneath AUFS's own folder, which is passed over whole.
            (_, Mark::Aufs) if self.0 == Mark::Aufs => EntryPath::parse(name),
            _ => Err(PathError::Refused { name: name.to_vec(), why: "is nothing that can be linked to" }),
        }
    }

    fn is_mark(&self) -> bool {
        self.0 != Mark::Entry
    }
}
