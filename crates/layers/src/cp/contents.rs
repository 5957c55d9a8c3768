//! The contents of a file, with its holes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;

use rustix::io::Errno;

/// The unit of `st_blocks`, in bytes.
const BLOCK: u64 = 512;

/// Whether the file takes less space than it is long.
pub(super) fn has_holes(file: &File) -> io::Result<bool> {
    let status = file.metadata()?;
    Ok(status.blocks() * BLOCK < status.len())
}

/// Copies all of `source` into the empty `target`, to its real end: some file systems (of /proc and /sys) report an end
/// where there is none.
pub(super) fn copy_plain(source: &mut File, target: &mut File) -> io::Result<()> {
    copy_range(source, target, u64::MAX)
}

/// The same, leaving out what the file system of the source knows to be a hole.
pub(super) fn copy(source: &mut File, target: &mut File) -> io::Result<()> {
    let length = source.metadata()?.len();
    let mut at = 0;
    while let Some((start, end)) = next_data(source, at)? {
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        copy_range(source, target, end - start)?;
        at = end;
    }
    // A file that grew meanwhile keeps what was copied of it.
    target.set_len(length.max(target.metadata()?.len()))
}

/// The next range of data at or after `at`; none when only a hole is left.
fn next_data(source: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(source, rustix::fs::SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows nothing of holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) if at == 0 => 0,
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let end = match rustix::fs::seek(source, rustix::fs::SeekFrom::Hole(start)) {
        Ok(end) => end,
        Err(Errno::INVAL | Errno::OPNOTSUPP) => source.metadata()?.len(),
        Err(errno) => return Err(errno.into()),
    };
    Ok((end > start).then_some((start, end)))
}

fn copy_range(source: &mut File, target: &mut File, length: u64) -> io::Result<()> {
    let mut left = length;
    while left > 0 {
        let step = usize::try_from(left.min(1 << 30)).unwrap_or(1 << 30);
        match rustix::fs::copy_file_range(&*source, None, &*target, None, step) {
            // Truncated meanwhile, or a file system that cannot say.
            Ok(0) => break,
            Ok(copied) => left -= copied as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    io::copy(&mut source.take(left), target)?;
    target.flush()
}
