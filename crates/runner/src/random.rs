//! Names that nobody else has.

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes of the system.
fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // The call cannot fail for so few bytes once the system has started; a signal may cut it short.
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

/// A random UUID of version 4 (RFC 9562, section 5.4).
#[must_use]
pub fn uuid() -> String {
    let mut bytes: [u8; 16] = bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Eight random digits.
pub(crate) fn short() -> String {
    hex::encode(bytes::<4>())
}
