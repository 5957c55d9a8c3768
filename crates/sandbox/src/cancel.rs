use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::Error;

/// A switch that ends every sandbox it was given to. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Readable once cancelled, and for ever after: nobody reads it empty.
    event: Arc<OwnedFd>,
}

impl Cancel {
    /// A switch that is off.
    pub fn new() -> Result<Self, Error> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(Error::system("create an event descriptor"))?;
        Ok(Self { event: Arc::new(event) })
    }

    /// Kills what runs in the sandboxes that watch this switch; may be called by any thread, and more than once.
    pub fn cancel(&self) {
        // The only possible failure is a counter at its limit, and then the switch is on already.
        let _ = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }

    /// Whether [`Cancel::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let mut fds = [PollFd::new(&*self.event, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
