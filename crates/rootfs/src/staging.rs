//! Moves packages that were unpacked aside into the root.

use tree::{Kind, Root};

use crate::diversion::Diversions;
use crate::unpack::Stop;
use crate::{Error, folder};

/// Moves everything from `staging` into `root`; what packages own twice the ledger has found before.
///
/// # Errors
/// [`Stop::OrderMatters`] when a script has diverted one of the paths meanwhile: in dpkg's order the file would have gone
/// elsewhere.
pub(crate) fn move_in(staging: &Root, root: &Root, diversions: &Diversions) -> Result<(), Stop> {
    for entry in staging.scan() {
        let entry = entry?;
        if diversions.has(&entry.path) {
            return Err(Stop::OrderMatters(Error::Diversions { line: entry.path.to_string() }));
        }
        match entry.kind {
            Kind::Directory if entry.path.is_root() => {}
            Kind::Directory => folder::ensure(root, &entry.path, entry.metadata.mtime)?,
            _ => root.adopt(&entry.path, staging)?,
        }
    }
    Ok(())
}
