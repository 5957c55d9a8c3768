//! `delete --all`.

use crate::layer::find_in;
use crate::lock::{Access, LayerLock};
use crate::{Engine, Result};

impl Engine {
    /// Unmounts every merge point and removes every layer of the runtime store; gives how many. Other stores, which may be
    /// shared with other machines, stay as they are, and so do the setup and the root filesystem.
    ///
    /// To be called while there is one thread and not after [`Engine::enter`], which it calls itself.
    ///
    /// # Errors
    /// [`crate::Error::Elsewhere`] when a merge point cannot be reached; [`crate::Error::Used`] when a layer is merged
    /// meanwhile. What was removed by then is gone.
    pub fn delete_all(&self) -> Result<usize> {
        for point in self.merge_points()? {
            self.unmerge(&point.name)?;
        }
        self.enter()?;
        let mut removed = 0;
        for name in self.runtime().layer_names()? {
            while let Some(layer) = find_in(self.runtime(), &name)? {
                self.runtime().writable("delete a layer")?;
                // Without a lock to be had it has gone meanwhile.
                let Some(lock) = LayerLock::wait(&layer.path, Access::Exclusive)? else { continue };
                self.discard(&layer, &lock, "delete")?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
