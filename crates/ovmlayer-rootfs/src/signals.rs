//! SIGINT and SIGTERM end a build cleanly.

use std::io;

use recipe::build::Interrupt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// From now on the first SIGINT or SIGTERM sets `interrupt`.
///
/// Must be called after the program has entered its user namespace: it starts a thread.
pub(crate) fn watch(interrupt: &Interrupt) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let interrupt = interrupt.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            interrupt.set();
        }
    })?;
    Ok(())
}
