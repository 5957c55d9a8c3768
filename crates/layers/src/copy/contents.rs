//! The contents of a file, holes included.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use rustix::fs::SeekFrom as Seek;
use rustix::io::Errno;

/// How much is copied at once where the kernel cannot do it, in bytes.
const BUFFER: usize = 256 * 1024;

/// Copies the contents of `source`, `size` bytes with `allocated` of them on disk, to the empty file `target`.
pub(super) fn copy(source: &mut File, target: &mut File, size: u64, allocated: u64) -> io::Result<()> {
    if allocated >= size {
        return range(source, target, u64::MAX).map(drop);
    }
    let mut at = 0;
    while let Some(start) = next_data(source, at)? {
        let end = rustix::fs::seek(&*source, Seek::Hole(start)).unwrap_or(size).max(start);
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        let copied = range(source, target, end - start)?;
        if copied == 0 {
            break;
        }
        at = start + copied;
    }
    target.set_len(size)
}

/// Where data begins at or after `at`; `None` when there is nothing but a hole.
fn next_data(source: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(source, Seek::Data(at)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NXIO) => Ok(None),
        // A file system without holes is data from here on.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at)),
        Err(errno) => Err(errno.into()),
    }
}

/// Copies up to `length` bytes, inside the kernel where it can, and says how many there were.
fn range(source: &mut File, target: &mut File, length: u64) -> io::Result<u64> {
    let mut copied = 0;
    while copied < length {
        let most = usize::try_from(length - copied).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(&*source, None, &*target, None, most) {
            Ok(0) => break,
            Ok(count) => copied += count as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    // What the kernel left, which on most file systems is nothing.
    let mut buffer = Vec::new();
    while copied < length {
        buffer.resize(BUFFER, 0);
        let most = usize::try_from(length - copied).unwrap_or(usize::MAX).min(BUFFER);
        let count = match source.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        target.write_all(&buffer[..count])?;
        copied += count as u64;
    }
    Ok(copied)
}
