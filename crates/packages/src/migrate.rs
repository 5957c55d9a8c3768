//! A package layer that was made for a package at another path.
//!
//! Each layer is merged alone, and what it has in the folder of the package is moved, entry by entry, in the merged root. Only the
//! entries are renamed, into a folder that is new: overlayfs hides what is below a folder that is renamed into one that lower layers
//! have too. What the bootstrap script deleted directly in the folder is a mark that is not seen in a layer alone; it is found by
//! comparing what is seen with and without that layer, and deleted again in the new place.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use crate::create::quote;
use crate::ovmlayer::Run;
use crate::{Claim, Layers, Result};

/// Moves what is in `$1` to `$2`, either of which may lie in the other.
const MOVE: &str = r#"
[ -d "$1" ] || exit 0
mv -- "$1" "$1.moving"
mkdir -p -- "$2"
find "$1.moving" -mindepth 1 -maxdepth 1 -exec mv -- '{}' "$2/" \;
rmdir -- "$1.moving"
"#;

/// Prints the names in `$1`, each with a NUL.
const LIST: &str = r#"
[ ! -d "$1" ] || find "$1" -mindepth 1 -maxdepth 1 -printf '%f\0'
"#;

/// Deletes what the further words name in `$1`.
const DELETE: &str = r#"
cd -- "$1"
shift
rm -rf -- "$@"
"#;

/// How many names are given to one command.
const AT_ONCE: usize = 100;

impl Layers {
    /// Moves what the layers of a package, the lowest first, have at `old` to `new`.
    pub(crate) fn migrate(&self, layers: &[&str], old: &Path, new: &Path, claim: &mut Claim) -> Result<()> {
        let mut deleted = Vec::new();
        if let [source, _] = layers {
            let seen = self.names(layers, old, claim)?;
            let lower = self.names(&[source], old, claim)?;
            deleted.extend(lower.difference(&seen).cloned());
        }
        for layer in layers {
            self.inside(&[layer], MOVE, &[old, new].map(quote), claim)?;
        }
        for names in deleted.chunks(AT_ONCE) {
            let words: Vec<OsString> = std::iter::once(quote(new)).chain(names.iter().map(quote)).collect();
            self.inside(layers, DELETE, &words, claim)?;
        }
        Ok(())
    }

    fn names(&self, layers: &[&str], folder: &Path, claim: &mut Claim) -> Result<BTreeSet<OsString>> {
        let printed = self.inside(layers, LIST, &[quote(folder)], claim)?;
        let names = printed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
    }

    /// Runs a script with some words over layers; what it printed.
    fn inside(
        &self,
        layers: &[&str],
        script: &str,
        words: &[OsString],
        claim: &mut Claim,
    ) -> Result<Vec<u8>> {
        let point = format!("merge_{}", crate::names::random());
        claim.merge_point(&point)?;
        self.ovmlayer.merge(layers, &point)?;
        let mut line = OsString::from("set -e -- ");
        line.push(words.join(" ".as_ref()));
        line.push(script);
        let run = Run { point: &point, ..Run::default() };
        let output = self.ovmlayer.finish(&mut self.ovmlayer.shell(&run, &line))?;
        claim.unmerge(&point)?;
        Ok(output.stdout)
    }
}
