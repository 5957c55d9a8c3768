//! Which layers there are.

use crate::{Engine, LayerName, Result};

/// Which layers are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Those in a live merge point, at any position.
    Used,
    /// The others.
    Unused,
}

impl Engine {
    /// The names of the layers of all stores, sorted, each once.
    ///
    /// # Errors
    /// When a store or, for [`Filter::Used`] and [`Filter::Unused`], the mount table cannot be read.
    pub fn list(&self, filter: Filter) -> Result<Vec<LayerName>> {
        let mut names = Vec::new();
        for store in self.stores() {
            names.append(&mut store.layer_names()?);
        }
        names.sort_unstable();
        names.dedup();
        if filter == Filter::All || names.is_empty() {
            return Ok(names);
        }
        let lock = self.runtime().lock()?;
        let usage = self.usage(&lock)?;
        drop(lock);
        let used = usage.layers(self);
        names.retain(|name| used.contains(name) == (filter == Filter::Used));
        Ok(names)
    }
}
