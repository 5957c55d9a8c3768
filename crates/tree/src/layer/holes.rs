//! Which parts of a file are holes.

use std::fs::File;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::tar::Segment;

/// Holes are told in blocks of this many bytes, so that a file has one form whatever its file system's blocks are.
const BLOCK: u64 = 4096;

/// The most segments that are told, far below what the reader takes. A file with more of them has its smallest holes filled.
const MOST: usize = 1 << 16;

/// The parts of `file` that have data, when there is a hole of at least 4096 bytes among its `size` bytes.
pub(super) fn segments(file: &File, size: u64) -> rustix::io::Result<Option<Vec<Segment>>> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut smallest = BLOCK;
    let mut position = 0;
    while position < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(position)) {
            Ok(start) => start,
            // There is no data from here on.
            Err(Errno::NXIO) => break,
            // A file system that does not know.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
        position = end.max(start + 1);
        let start = start / BLOCK * BLOCK;
        let end = end.next_multiple_of(BLOCK).min(size);
        if start >= end {
            break;
        }
        push(&mut segments, start, end, smallest);
        while segments.len() > MOST {
            smallest *= 2;
            let all = std::mem::take(&mut segments);
            for segment in all {
                push(&mut segments, segment.offset, segment.offset + segment.length, smallest);
            }
        }
    }
    let data: u64 = segments.iter().map(|segment| segment.length).sum();
    Ok((size - data >= BLOCK).then_some(segments))
}

/// Adds a segment, joined with the one before when there is less than `smallest` between them.
fn push(segments: &mut Vec<Segment>, start: u64, end: u64, smallest: u64) {
    match segments.last_mut() {
        Some(last) if start < last.offset + last.length + smallest => last.length = end - last.offset,
        // So is a hole at the beginning that is too small.
        None if start < smallest => segments.push(Segment { offset: 0, length: end }),
        _ => segments.push(Segment { offset: start, length: end - start }),
    }
}
