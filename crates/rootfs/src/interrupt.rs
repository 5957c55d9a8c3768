//! Ending a build from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sandbox::Cancel;

/// A switch that ends a build: loops look at it, and what runs in a sandbox is killed. Clones are the same switch.
#[derive(Debug, Clone)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    cancel: Cancel,
}

impl Interrupt {
    /// A switch that is off.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> Result<Self, sandbox::Error> {
        Ok(Self { flag: Arc::default(), cancel: Cancel::new()? })
    }

    /// Turns it on, for ever.
    pub fn set(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.cancel.cancel();
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag, for those who look at it themselves.
    #[must_use]
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// The switch as sandboxes know it.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}
