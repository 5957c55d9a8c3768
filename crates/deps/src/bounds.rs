//! How much archives of packages may hold: little bytes can claim to be any number of files of any size.

/// The greatest number of entries of one archive.
pub(crate) const ENTRIES: u64 = 200_000;

/// The greatest size of what is in an archive of any size, in bytes. The largest wheels there are have 3 GB in them.
const GREATEST: u64 = 16 << 30;

/// What every archive may hold, in bytes, however small it is.
const SMALL: u64 = 64 << 20;

/// What a larger one may hold, as a multiple of its own size. Programs and scripts come to a third or a tenth of their size.
const RATIO: u64 = 100;

/// The greatest size, in bytes, of everything in an archive of `size` bytes.
pub(crate) fn contents_of(size: u64) -> u64 {
    size.saturating_mul(RATIO).clamp(SMALL, GREATEST)
}
