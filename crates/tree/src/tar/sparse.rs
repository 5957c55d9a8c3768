//! Sparse files: which parts of a file an archive holds (GNU tar manual, "Storing Sparse Files").
//!
//! Written is PAX format 1.0, whose map stands before the data. Read are also 0.0 and 0.1, whose map is in the PAX header,
//! and old GNU's type `S`, whose map is in the member's own header and in blocks after it.

use super::header::{self, Block};
use super::{BLOCK, Limits, Problem, pax};

/// A part of a file that has data; around it are holes, which read as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What PAX records say about a sparse file.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    pub(super) major: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Offsets and lengths in turn, from formats 0.0 and 0.1.
    pub(super) map: Vec<u64>,
}

impl SparseRecords {
    /// Takes the record `GNU.sparse.KEY`.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        let number = |field| {
            let bad = || Problem::Number { field, value: value.iter().copied().take(64).collect() };
            pax::decimal(value).ok_or_else(bad)
        };
        match key {
            b"major" => self.major = Some(number("GNU.sparse.major")?),
            b"name" => self.name = Some(value.to_vec()),
            b"realsize" | b"size" => self.size = Some(number("GNU.sparse.size")?),
            b"offset" | b"numbytes" => self.map.push(number("GNU.sparse.offset")?),
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').map(pax::decimal).collect::<Option<Vec<_>>>();
                let bad =
                    || Problem::Number { field: "GNU.sparse.map", value: b"no list of numbers".to_vec() };
                self.map = numbers.ok_or_else(bad)?;
            }
            // `minor` is 0 or 1 of a major 0, which the map tells apart; `numblocks` is the map's length.
            _ => {}
        }
        Ok(())
    }
}

/// Reads the map of format 1.0 from the blocks before the data: decimal numbers, each ended by a line feed, the first of
/// them how many pairs follow.
#[derive(Debug, Default)]
pub(super) struct MapReader {
    numbers: Vec<u64>,
    wanted: Option<u64>,
    digits: Vec<u8>,
}

impl MapReader {
    /// Takes one block; true when the map ends in it. `None` when this is no map.
    pub(super) fn take(&mut self, block: &Block, limits: &Limits) -> Option<bool> {
        for &byte in block {
            if byte != b'\n' {
                self.digits.push(byte);
                if self.digits.len() > 20 {
                    return None;
                }
                continue;
            }
            let number = pax::decimal(&self.digits)?;
            self.digits.clear();
            match self.wanted {
                None if number > limits.segments => return None,
                None => self.wanted = Some(number * 2),
                Some(_) => self.numbers.push(number),
            }
            if self.wanted == Some(self.numbers.len() as u64) {
                return Some(true);
            }
        }
        Some(false)
    }

    pub(super) fn numbers(self) -> Vec<u64> {
        self.numbers
    }
}

/// The numbers of an old GNU map in `block`: `count` pairs from `start`, up to the first that is empty.
pub(super) fn old_pairs(
    block: &Block,
    start: usize,
    count: usize,
    numbers: &mut Vec<u64>,
) -> Result<(), Problem> {
    for pair in block[start..start + count * 24].chunks_exact(24) {
        if pair[12] == 0 {
            break;
        }
        for field in [&pair[..12], &pair[12..]] {
            let number = header::number(field, "sparse map")?;
            let bad = || Problem::Number { field: "sparse map", value: field.to_vec() };
            numbers.push(u64::try_from(number).map_err(|_| bad())?);
        }
    }
    Ok(())
}

/// The segments of a map for a file of `size` bytes of which the archive holds `stored`; `None` when that cannot be.
pub(super) fn segments(numbers: &[u64], size: u64, stored: u64) -> Option<Vec<Segment>> {
    if !numbers.len().is_multiple_of(2) {
        return None;
    }
    let (mut end, mut sum) = (0u64, 0u64);
    let mut segments = Vec::new();
    for pair in numbers.chunks_exact(2) {
        let segment = Segment { offset: pair[0], length: pair[1] };
        if segment.offset < end {
            return None;
        }
        end = segment.offset.checked_add(segment.length).filter(|&end| end <= size)?;
        // GNU tar marks a hole at the end with an empty segment.
        if segment.length > 0 {
            sum += segment.length;
            segments.push(segment);
        }
    }
    (sum == stored).then_some(segments)
}

/// The map of format 1.0, filled up to whole blocks.
pub(super) fn map_text(segments: &[Segment], size: u64) -> Vec<u8> {
    let end = segments.last().map_or(0, |last| last.offset + last.length);
    let tail = (end < size).then_some(Segment { offset: size, length: 0 });
    let mut text = format!("{}\n", segments.len() + usize::from(tail.is_some())).into_bytes();
    for segment in segments.iter().chain(&tail) {
        text.extend_from_slice(format!("{}\n{}\n", segment.offset, segment.length).as_bytes());
    }
    text.resize(text.len().next_multiple_of(BLOCK), 0);
    text
}

/// The name that readers without knowledge of the format extract the raw map and data to.
pub(super) fn placeholder(name: &[u8]) -> Vec<u8> {
    let cut = name.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    [&name[..cut], b"GNUSparseFile.0/", &name[cut..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let segment = |offset, length| Segment { offset, length };
        type Row = (&'static str, &'static [u64], u64, u64, Option<Vec<Segment>>);
        let table: &[Row] = &[
            ("all hole", &[100, 0], 100, 0, Some(vec![])),
            ("nothing", &[], 0, 0, Some(vec![])),
            ("two", &[0, 5, 50, 50], 100, 55, Some(vec![segment(0, 5), segment(50, 50)])),
            ("odd", &[0], 100, 0, None),
            ("overlap", &[0, 5, 4, 5], 100, 10, None),
            ("beyond the end", &[90, 11], 100, 11, None),
            ("overflow", &[u64::MAX, 2], u64::MAX, 2, None),
            ("other length", &[0, 5], 100, 6, None),
        ];
        for (summary, numbers, size, stored, want) in table {
            assert_eq!(segments(numbers, *size, *stored), *want, "{summary}");
        }
    }

    #[test]
    fn a_map_that_was_written_is_read() {
        for count in [0, 1, 40, 700] {
            let want: Vec<_> = (0..count).map(|at| Segment { offset: at * 8192, length: 4096 }).collect();
            let size = count * 8192;
            let text = map_text(&want, size);
            let mut reader = MapReader::default();
            let blocks = text.as_chunks::<BLOCK>().0;
            for (number, block) in blocks.iter().enumerate() {
                let done = reader.take(block, &Limits::default());
                assert_eq!(done, Some(number + 1 == blocks.len()));
            }
            assert_eq!(segments(&reader.numbers(), size, count * 4096), Some(want));
        }
        let mut endless = MapReader::default();
        assert_eq!(endless.take(&[b'1'; BLOCK], &Limits::default()), None);
        let mut many = [0; BLOCK];
        many[..10].copy_from_slice(b"999999999\n");
        assert_eq!(MapReader::default().take(&many, &Limits::default()), None);
    }
}
