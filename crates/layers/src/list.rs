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
        // Of who looks at one store after the other a layer is missed in both that moves from the one to the other meanwhile.
        // Who may not lock the store looks at it all the same.
        let gate = if self.stores().len() > 1 { self.runtime().lock().ok() } else { None };
        let mut names = Vec::new();
        for store in self.stores() {
            names.append(&mut store.layer_names()?);
        }
        names.sort_unstable();
        names.dedup();
        if filter == Filter::All || names.is_empty() {
            return Ok(names);
        }
        let gate = match gate {
            Some(gate) => gate,
            None => self.runtime().lock()?,
        };
        let usage = self.usage(&gate)?;
        drop(gate);
        let used = usage.layers(self);
        names.retain(|name| used.contains(name) == (filter == Filter::Used));
        Ok(names)
    }
}
