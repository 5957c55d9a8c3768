//! The 512-byte header block: fields, numbers, checksum (POSIX.1-2017 `ustar`, and old GNU's base-256 numbers).

use std::ops::Range;

use super::{BLOCK, Problem};

/// One header block.
pub(super) type Block = [u8; BLOCK];

pub(super) const NAME: Range<usize> = 0..100;
pub(super) const MODE: Range<usize> = 100..108;
pub(super) const UID: Range<usize> = 108..116;
pub(super) const GID: Range<usize> = 116..124;
pub(super) const SIZE: Range<usize> = 124..136;
pub(super) const MTIME: Range<usize> = 136..148;
pub(super) const CHECKSUM: Range<usize> = 148..156;
pub(super) const TYPE: usize = 156;
pub(super) const LINK: Range<usize> = 157..257;
pub(super) const MAGIC: Range<usize> = 257..265;
pub(super) const USER: Range<usize> = 265..297;
pub(super) const GROUP: Range<usize> = 297..329;
pub(super) const MAJOR: Range<usize> = 329..337;
pub(super) const MINOR: Range<usize> = 337..345;
pub(super) const PREFIX: Range<usize> = 345..500;

/// Old GNU's map of a sparse file: four pairs of offset and length.
pub(super) const SPARSE: Range<usize> = 386..482;
/// Whether more of the map follows in blocks of its own, each with 21 pairs and this word in its byte 504.
pub(super) const SPARSE_CONTINUED: usize = 482;
pub(super) const REAL_SIZE: Range<usize> = 483..495;

/// The greatest number of a field of eight bytes: seven octal digits and a NUL.
pub(super) const OCTAL_7: u64 = 0o7_777_777;

/// The greatest number of a field of twelve bytes: 8 GiB less one byte.
pub(super) const OCTAL_11: u64 = 0o77_777_777_777;

/// Magic and version of POSIX archives.
pub(super) const POSIX_MAGIC: &[u8; 8] = b"ustar\x0000";

/// A text field up to its first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or(b"")
}

/// Whether the stored checksum is that of the block: the sum of its bytes with the checksum field taken as spaces. Some
/// ancient programs summed signed bytes; like GNU tar we take both.
pub(super) fn checksum_is_right(block: &Block) -> bool {
    let Ok(stored) = number(&block[CHECKSUM], "checksum") else { return false };
    let (mut unsigned, mut signed) = (0i64, 0i64);
    for (position, &byte) in block.iter().enumerate() {
        let byte = if CHECKSUM.contains(&position) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    stored == unsigned || stored == signed
}

/// Puts the block's checksum into it, as six octal digits, NUL, space.
pub(super) fn seal(block: &mut Block) {
    block[CHECKSUM].fill(b' ');
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A numeric field: octal digits between spaces or NULs, or base 256 when the first byte has its high bit set.
pub(super) fn number(field: &[u8], name: &'static str) -> Result<i64, Problem> {
    let parsed = match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    };
    parsed.ok_or_else(|| Problem::Number { field: name, value: field.to_vec() })
}

/// Octal digits after leading spaces, up to a space, a NUL or the end; nothing at all is 0.
fn octal(field: &[u8]) -> Option<i64> {
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|&byte| byte == b' ' || byte == 0).unwrap_or(digits.len());
    if !digits[end..].iter().all(|&byte| byte == b' ' || byte == 0) {
        return None;
    }
    digits[..end].iter().try_fold(0i64, |number, &digit| {
        let digit = matches!(digit, b'0'..=b'7').then(|| i64::from(digit - b'0'))?;
        number.checked_mul(8)?.checked_add(digit)
    })
}

/// Old GNU's base 256: two's complement, the very first bit only marks the form.
fn base_256(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    let negative = first & 0x40 != 0;
    // The first byte gives six bits and the sign; what does not fit an i64 must be sign extension.
    let mut number = i128::from(first & 0x3f) - if negative { 0x40 } else { 0 };
    for &byte in rest {
        number = number.checked_mul(256)?.checked_add(i128::from(byte))?;
    }
    i64::try_from(number).ok()
}

/// Writes `number` as zero-padded octal with a closing NUL; `false` when it does not fit.
pub(super) fn put_octal(field: &mut [u8], number: u64) -> bool {
    let digits = field.len() - 1;
    if digits * 3 < 64 && number >> (digits * 3) != 0 {
        return false;
    }
    let mut rest = number;
    for byte in field[..digits].iter_mut().rev() {
        *byte = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    field[digits] = 0;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let table: &[(&str, &[u8], Option<i64>)] = &[
            ("octal with NUL", b"0000644\0", Some(0o644)),
            ("octal with space", b"000644 \0", Some(0o644)),
            ("leading spaces", b"   644\0\0", Some(0o644)),
            ("all digits", b"77777777", Some(0o77_777_777)),
            ("empty", b"\0\0\0\0\0\0\0\0", Some(0)),
            ("spaces", b"        ", Some(0)),
            ("no octal digit", b"0000648\0", None),
            ("rubbish after the end", b"644\0\0x\0\0", None),
            ("sign", b"-644\0\0\0\0", None),
            ("base 256", b"\x80\0\0\0\0\0\x01\0", Some(256)),
            ("base 256, negative", b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            ("base 256, greatest", b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            ("base 256, too great", b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            ("base 256, too small", b"\xc0\0\0\0\0\0\0\0\0\0\0\0", None),
        ];
        for (summary, field, want) in table {
            assert_eq!(number(field, "x").ok(), *want, "{summary}");
        }
    }

    #[test]
    fn octal_fields() {
        let mut field = [b'x'; 8];
        assert!(put_octal(&mut field, 0o7_777_777));
        assert_eq!(&field, b"7777777\0");
        assert!(!put_octal(&mut field, 0o10_000_000));
        assert!(put_octal(&mut field, 0o17));
        assert_eq!(&field, b"0000017\0");
    }
}
