//! The second solver of apt 3.0, which searches systematically where marking and repairing failed.
//!
//! Relations become clauses: a *reason* implies one of several *solutions*, or none of them. Names and packages are the
//! variables. What follows from a decision is propagated at once; where a choice is left, the first solution is tried,
//! and the latest choice is taken back when it led nowhere. Unlike marking, that ends in a solution whenever there is
//! one (within [`search::MAX_RETREATS`]), and the order of everything makes it the one that apt finds.

mod clauses;
mod search;

use super::marks::Marks;
use super::request::Wanted;
use crate::universe::{NameId, PackageId};

/// Something to be decided: whether a name is installed at all, or in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Name(NameId),
    Package(PackageId),
}

impl Marks<'_> {
    /// Searches for a solution for what was asked for and marks it; `false` when there is none.
    ///
    /// The marks must be fresh, with nothing but the request in them.
    pub(super) fn search(&mut self, wanted: &Wanted) -> bool {
        let mut search = search::Search::new(self);
        if !search.require(wanted) || !search.run() {
            return false;
        }
        let chosen = search.chosen();
        for id in chosen {
            let name = self.universe.owner_name(id);
            if self.get(name).install != Some(id) {
                self.get_mut(name).candidate = Some(id);
                self.set_installed(name);
            }
        }
        true
    }
}
