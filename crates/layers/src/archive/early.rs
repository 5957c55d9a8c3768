//! Writing to the disk while there is more to come.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::Problem;

/// After how many bytes the disk is set to work again.
const STEP: u64 = 32 << 20;

/// Calls `write` with a writer into `file`, while a thread has the disk begin on what is written. The kernel by itself would
/// leave all of it to the sync at the end, and that would take as long as everything before.
///
/// # Errors
/// What `write` returns, else what the thread met. It is told only once, so the sync at the end may know nothing of it.
pub(super) fn write_early<T>(
    file: &File,
    write: impl FnOnce(Early<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let thread = scope.spawn(move || sync(file, &receiver));
        let written = write(Early { file, unsynced: 0, sender })?;
        match thread.join() {
            Ok(synced) => synced.map_err(Problem::io("write"))?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(written)
    })
}

fn sync(file: &File, wanted: &Receiver<()>) -> io::Result<()> {
    wanted.iter().try_for_each(|()| file.sync_data())
}

/// Writes into a file, and tells the thread of [`write_early`] from time to time.
#[derive(Debug)]
pub(super) struct Early<'f> {
    file: &'f File,
    unsynced: u64,
    sender: SyncSender<()>,
}

impl Write for Early<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.unsynced += count as u64;
        // While the thread is busy there is nothing to tell it.
        if self.unsynced >= STEP && self.sender.try_send(()).is_ok() {
            self.unsynced = 0;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_written_and_failures_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = File::create(&path).unwrap();
        let chunk = vec![7; 1 << 20];
        let pour = |mut early: Early<'_>, chunks: u32| {
            (0..chunks).try_for_each(|_| early.write_all(&chunk)).map_err(Problem::io("write"))
        };
        write_early(&file, |early| pour(early, 100)).unwrap();
        let written = std::fs::read(&path).unwrap();
        assert!(written.len() == 100 << 20 && written.iter().all(|byte| *byte == 7));
        // Of a pipe there is nothing to sync, which stands for a disk that fails.
        let (mut reader, writer) = std::io::pipe().unwrap();
        let drain = std::thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        let result = write_early(&writer, |early| pour(early, 40));
        assert!(result.is_err(), "{result:?}");
        drop(writer);
        drain.join().unwrap().unwrap();
    }
}
