//! Signals that end programs, turned into an orderly end: the script that runs is ended, and what was made so far is removed.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Watches for signals.
#[derive(Debug, Default)]
pub struct Interrupt {
    seen: AtomicBool,
    /// The script that runs.
    child: Mutex<Option<OwnedFd>>,
}

impl Interrupt {
    /// From now on SIGINT, SIGTERM and SIGHUP end the script that runs, and are noted.
    ///
    /// # Errors
    /// When the system denies it.
    pub fn watch() -> io::Result<Arc<Self>> {
        let interrupt = Arc::new(Self::default());
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let own = Arc::clone(&interrupt);
        let watch = move || {
            for _ in signals.forever() {
                own.seen.store(true, Ordering::SeqCst);
                own.end_child();
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
        Ok(interrupt)
    }

    /// Whether there was one.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::SeqCst)
    }

    /// Waits for a child, which signals reach meanwhile.
    pub(crate) fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(child);
        *self.child() = Some(pidfd_open(pid, PidfdFlags::empty())?);
        if self.is_seen() {
            self.end_child();
        }
        let status = child.wait();
        *self.child() = None;
        status
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<OwnedFd>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_child(&self) {
        if let Some(child) = &*self.child() {
            // One that has ended meanwhile needs no signal.
            let _ = pidfd_send_signal(child, Signal::TERM);
        }
    }
}
