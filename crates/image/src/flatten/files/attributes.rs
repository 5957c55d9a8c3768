//! Modes, owners and extended attributes, each combination kept once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tree::Metadata;

/// What many files have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl From<Metadata> for Attributes {
    fn from(metadata: Metadata) -> Self {
        let Metadata { mode, uid, gid, xattrs, .. } = metadata;
        Self { mode, uid, gid, xattrs }
    }
}

impl Attributes {
    /// The metadata of a file that has these, and that time.
    pub(super) fn metadata(&self, mtime: i64, mtime_nanos: u32) -> Metadata {
        let Self { mode, uid, gid, xattrs } = self;
        Metadata { mode: *mode, uid: *uid, gid: *gid, mtime, mtime_nanos, xattrs: xattrs.clone() }
    }

    /// What they take, estimated, in bytes.
    fn cost(&self) -> u64 {
        let xattrs = self.xattrs.iter().map(|(name, value)| (name.len() + value.len() + 96) as u64);
        160 + xattrs.sum::<u64>()
    }
}

/// All combinations there are.
#[derive(Debug, Default)]
pub(super) struct Kept {
    all: Vec<Arc<Attributes>>,
    numbers: HashMap<Arc<Attributes>, u32>,
}

impl Kept {
    /// The number of a combination; a new one is added to `held`, the bytes of memory that are taken.
    pub(super) fn keep(&mut self, attributes: Attributes, held: &mut u64) -> u32 {
        if let Some(number) = self.numbers.get(&attributes) {
            return *number;
        }
        *held += attributes.cost();
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let attributes = Arc::new(attributes);
        self.all.push(Arc::clone(&attributes));
        self.numbers.insert(attributes, number);
        number
    }

    /// The combination that has this number.
    pub(super) fn get(&self, number: u32) -> &Attributes {
        &self.all[number as usize]
    }
}
