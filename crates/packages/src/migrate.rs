//! A package layer that was made for a package at another path.
//!
//! The layer is merged alone, and what it has of the package is moved in the merged root. A folder that is only in the layer is
//! renamed as a whole, so that what it marks as deleted stays marked; one that the root filesystem has too is moved entry by entry.

use std::ffi::OsString;
use std::path::Path;

use crate::ovmlayer::Run;
use crate::{Claim, Layers, Result};

/// Moves `$1` to `$2`, either of which may lie in the other.
const MOVE: &str = r#"
[ -d "$1" ] || exit 0
aside="$1.moving"
mv -- "$1" "$aside"
mkdir -p -- "${2%/*}/"
if [ -e "$2" ]; then
  find "$aside" -mindepth 1 -maxdepth 1 -exec mv -- '{}' "$2" \;
  rmdir -- "$aside"
else
  mv -- "$aside" "$2"
fi
"#;

impl Layers {
    /// Moves what a layer has at `old` to `new`.
    pub(crate) fn migrate(&self, layer: &str, old: &Path, new: &Path, claim: &mut Claim) -> Result<()> {
        let point = format!("merge_{}", crate::names::random());
        claim.merge_point(&point)?;
        self.ovmlayer.merge(&[layer], &point)?;
        let mut script = OsString::from("set -e -- ");
        script.push(crate::create::quote(old));
        script.push(" ");
        script.push(crate::create::quote(new));
        script.push(MOVE);
        let run = Run { point: &point, ..Run::default() };
        self.ovmlayer.finish(&mut self.ovmlayer.shell(&run, &script))?;
        self.ovmlayer.unmerge(&point)
    }
}
