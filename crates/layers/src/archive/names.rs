//! What names in an archive mean.

use tree::layer::{Mark, Spelling};
use tree::tar::Names;
use tree::{EntryPath, PathError};

use super::{LAYERS, MANIFEST, SUMS};
use crate::LayerName;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The list of layers.
    Manifest,
    /// Something in the layer that is being read.
    Inside(Mark),
    /// The digest behind it.
    Sum,
}

/// Reads names by what may come at this point of the archive; everything else is refused.
#[derive(Debug)]
pub(super) struct Expected {
    layer: Option<Prefixes>,
    first: bool,
    /// What the member that was read last is.
    pub(super) role: Role,
}

#[derive(Debug)]
struct Prefixes {
    inside: String,
    sum: String,
}

impl Expected {
    /// The list of layers.
    pub(super) fn manifest() -> Self {
        Self { layer: None, first: true, role: Role::Manifest }
    }

    /// A layer and its digest; the end when there is none.
    pub(super) fn layer(name: Option<&LayerName>) -> Self {
        let prefixes = |name| Prefixes { inside: format!("{LAYERS}{name}"), sum: format!("{SUMS}{name}") };
        Self { layer: name.map(prefixes), first: false, role: Role::Manifest }
    }

    fn read(&self, name: &[u8]) -> Result<(EntryPath, Role), PathError> {
        let refused = |why| Err(PathError::Refused { name: name.to_vec(), why });
        let Some(prefixes) = &self.layer else {
            return match name == MANIFEST.as_bytes() {
                true if self.first => Ok((EntryPath::parse(name)?, Role::Manifest)),
                _ if self.first => refused("is not `ovmlayer.json`, with which an archive of layers begins"),
                _ => refused("comes after the last layer"),
            };
        };
        if name == prefixes.sum.as_bytes() {
            return Ok((EntryPath::parse(name)?, Role::Sum));
        }
        let rest = match name.strip_prefix(prefixes.inside.as_bytes()) {
            Some(b"") => b"",
            Some([b'/', rest @ ..]) => rest,
            _ => return refused("lies outside its layer"),
        };
        let (path, mark) = Spelling::Archive.read(rest)?;
        Ok((path, Role::Inside(mark)))
    }
}

impl Names for Expected {
    fn entry(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        let (path, role) = self.read(name)?;
        self.role = role;
        Ok(path)
    }

    fn link(&mut self, name: &[u8]) -> Result<EntryPath, PathError> {
        match self.read(name)? {
            (path, Role::Inside(Mark::Entry)) => Ok(path),
            _ => Err(PathError::Refused { name: name.to_vec(), why: "is nothing that can be linked to" }),
        }
    }

    fn is_mark(&self) -> bool {
        self.role != Role::Inside(Mark::Entry)
    }
}

/// Names of an OCI layer.
#[derive(Debug)]
pub(super) struct OciNames(pub(super) Mark);

impl Names for OciNames {
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
