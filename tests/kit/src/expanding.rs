//! Compressed streams whose contents are out of proportion to their length, made without compressing all of that.
//!
//! Each is a single stream, as `dpkg-deb` reads only the first of a chain of xz or zstd streams.

use crate::compression::Compression;

/// Zero bytes come in multiples of this.
pub(crate) const UNIT: u64 = 64 << 20;
/// Largest block of a zstd frame (RFC 8878, section 3.1.1.2.4).
const ZSTD_BLOCK: usize = 128 << 10;
/// Length of the header and of the footer of an xz stream (The .xz File Format, section 2.1).
const XZ_EDGE: usize = 12;

/// `head`, then `zeros` zero bytes, then `tail`, compressed.
pub(crate) fn expand(compression: Compression, head: &[u8], zeros: u64, tail: &[u8]) -> Vec<u8> {
    assert!(zeros.is_multiple_of(UNIT), "zero bytes come in units of {UNIT}");
    match compression {
        Compression::None => panic!("nothing expands without compression"),
        Compression::Gzip => gzip(head, zeros, tail),
        Compression::Xz => xz(head, zeros, tail),
        Compression::Zstd => zstd(head, zeros, tail),
    }
}

/// RFC 1952 has a file consist of members, each complete in itself.
fn gzip(head: &[u8], zeros: u64, tail: &[u8]) -> Vec<u8> {
    let unit = Compression::Gzip.stream(write_unit);
    let units = (0..zeros / UNIT).flat_map(|_| unit.iter().copied());
    let mut out = Compression::Gzip.compress(head);
    out.extend(units);
    out.extend(Compression::Gzip.compress(tail));
    out
}

/// One frame whose zeros are blocks of a repeated byte (RFC 8878, section 3.1.1).
fn zstd(head: &[u8], zeros: u64, tail: &[u8]) -> Vec<u8> {
    const RAW: u32 = 0;
    const REPEATED: u32 = 1;
    let block = |kind: u32, size: usize, last: bool| {
        let size = u32::try_from(size).expect("size of a block");
        let [a, b, c, _] = (u32::from(last) | kind << 1 | size << 3).to_le_bytes();
        [a, b, c]
    };
    // Magic number; neither content size nor checksum; a window of 128 KiB.
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3];
    for part in head.chunks(ZSTD_BLOCK) {
        out.extend(block(RAW, part.len(), false));
        out.extend(part);
    }
    for _ in 0..zeros / ZSTD_BLOCK as u64 {
        out.extend(block(REPEATED, ZSTD_BLOCK, false));
        out.push(0);
    }
    out.extend(block(RAW, tail.len(), true));
    out.extend(tail);
    out
}

/// One stream of many blocks, the same one over and over, and the index that lists them.
fn xz(head: &[u8], zeros: u64, tail: &[u8]) -> Vec<u8> {
    let head = xz_block(&Compression::Xz.compress(head));
    let tail = xz_block(&Compression::Xz.compress(tail));
    let stream = Compression::Xz.stream(write_unit);
    let unit = xz_block(&stream);
    let count = usize::try_from(zeros / UNIT).expect("number of blocks");
    let mut out = stream[..XZ_EDGE].to_vec();
    let mut index = vec![0];
    index.extend(xz_number(count as u64 + 2));
    for block in [&head].into_iter().chain(std::iter::repeat_n(&unit, count)).chain([&tail]) {
        out.extend(&block.bytes);
        index.extend(&block.record);
    }
    index.resize(index.len().next_multiple_of(4), 0);
    index.extend(crc32(&index));
    let mut footer = u32::try_from(index.len() / 4 - 1).expect("length of an index").to_le_bytes().to_vec();
    footer.extend(&stream[6..8]);
    out.extend(&index);
    out.extend(crc32(&footer));
    out.extend(&footer);
    out.extend(b"YZ");
    out
}

/// A block of an xz stream and its record in the index.
struct XzBlock {
    bytes: Vec<u8>,
    record: Vec<u8>,
}

/// Takes a stream of one block apart.
fn xz_block(stream: &[u8]) -> XzBlock {
    let footer = &stream[stream.len() - XZ_EDGE..];
    let stored = u32::from_le_bytes(footer[4..8].try_into().expect("four bytes"));
    let index_start = stream.len() - XZ_EDGE - (stored as usize + 1) * 4;
    let index = &stream[index_start..stream.len() - XZ_EDGE];
    assert_eq!(index[..2], [0, 1], "the encoder makes one block");
    // Two numbers, of which the last byte alone has no highest bit.
    let ends = index[2..].iter().enumerate().filter(|(_, byte)| **byte < 0x80);
    let end = ends.map(|(at, _)| at + 3).nth(1).expect("two numbers in a record");
    XzBlock { bytes: stream[XZ_EDGE..index_start].to_vec(), record: index[2..end].to_vec() }
}

/// Seven bits to a byte, the lowest first.
fn xz_number(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
    out
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

fn write_unit(out: &mut dyn std::io::Write) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 20];
    (0..UNIT >> 20).try_for_each(|_| out.write_all(&zeros))
}
