//! The order in which apt walks over all names: that of its hash table.
//!
//! Where apt sorts packages by score, those of equal score stay in an order that follows from this one.

use super::load::FOREIGN;
use super::{NameId, Universe};

/// The number of buckets of apt's hash table (`APT::Cache-HashTableSize`).
const BUCKETS: u32 = 196_613;

impl Universe {
    /// All names as apt walks over them: by bucket, in a bucket by length and then by bytes.
    pub(crate) fn names_in_apt_order(&self) -> Vec<NameId> {
        let mut names: Vec<_> = (0..self.nodes.len()).map(NameId::from_index).collect();
        names.sort_by_cached_key(|id| {
            let group = self.name_of(*id).split(FOREIGN).next().unwrap_or("");
            (bucket(group), group.len(), group, *id)
        });
        names
    }
}

fn bucket(name: &str) -> u32 {
    let hash =
        name.bytes().fold(5381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte | 0x20)));
    hash % BUCKETS
}
