//! Numbers names, so that the tables hold four bytes instead of a text.
//!
//! Loading an index looks a million names up. A hash map from texts spends most of that time fetching what is far
//! apart in memory; here a look-up touches one slot and, when the hash in it agrees, one stretch of the common text.

use std::hash::{BuildHasher, RandomState};

use super::tables::NameId;

/// A slot of the hash table: some bits of the hash and the number of the name, counted from one.
type Slot = (u32, u32);

pub(super) struct Names {
    /// All names, one after the other.
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<u32>,
    /// A power of two of slots, at most half of them taken; a name lies in the first free slot from its hash on.
    slots: Vec<Slot>,
    /// Differs from run to run, so that nobody can prepare names that collide.
    seed: u64,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
            ends: Vec::new(),
            slots: vec![(0, 0); 1024],
            seed: RandomState::new().hash_one(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, id: NameId) -> &str {
        let index = id.index();
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start as usize..self.ends[index] as usize]
    }

    pub(super) fn find(&self, name: &str) -> Option<NameId> {
        self.look_up(name, self.hash(name)).ok()
    }

    /// The number of a name, and whether it is new.
    pub(super) fn insert(&mut self, name: &str) -> (NameId, bool) {
        let hash = self.hash(name);
        let free = match self.look_up(name, hash) {
            Ok(id) => return (id, false),
            Err(free) => free,
        };
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.slots[free] = (tag(hash), number);
        if 2 * self.ends.len() > self.slots.len() {
            self.grow();
        }
        (NameId::from_index(self.ends.len() - 1), true)
    }

    /// The number of a name, or the slot where it belongs.
    fn look_up(&self, name: &str, hash: u64) -> Result<NameId, usize> {
        let mask = self.slots.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let (found, number) = self.slots[place];
            if number == 0 {
                return Err(place);
            }
            let id = NameId::from_index(number as usize - 1);
            if found == tag(hash) && self.get(id) == name {
                return Ok(id);
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mut slots = vec![(0, 0); 2 * self.slots.len()];
        let mask = slots.len() - 1;
        for index in 0..self.ends.len() {
            let id = NameId::from_index(index);
            let hash = self.hash(self.get(id));
            let mut place = hash as usize & mask;
            while slots[place].1 != 0 {
                place = (place + 1) & mask;
            }
            slots[place] = (tag(hash), u32::try_from(index + 1).unwrap_or(u32::MAX));
        }
        self.slots = slots;
    }

    /// Folds eight bytes at a time into 64 bits, by the high and low half of a product.
    fn hash(&self, name: &str) -> u64 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let fold = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * u128::from(ODD);
            (product >> 64) as u64 ^ product as u64
        };
        let mut chunks = name.as_bytes().chunks_exact(8);
        let mut hash = self.seed ^ name.len() as u64;
        for chunk in &mut chunks {
            hash = fold(hash, chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
        let rest = chunks.remainder().iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        fold(fold(hash, rest), self.seed)
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn each_name_keeps_its_number(all in prop::collection::vec("[a-c]{0,12}", 0..2000)) {
            let mut names = Names::new();
            let mut expected: HashMap<String, usize> = HashMap::new();
            for name in &all {
                let next = expected.len();
                let number = *expected.entry(name.clone()).or_insert(next);
                let (id, new) = names.insert(name);
                prop_assert_eq!((id.index(), new), (number, number == next));
            }
            prop_assert_eq!(names.len(), expected.len());
            for (name, number) in expected {
                let id = names.find(&name).unwrap();
                prop_assert_eq!((id.index(), names.get(id)), (number, name.as_str()));
            }
            prop_assert!(names.find("d").is_none());
        }
    }
}
