//! Compressed streams: reading any of them, writing them so that the bytes are a promise.
//!
//! [`decoder`] reads gzip, xz and zstd, each with everything its specification lets a stream be made of (members,
//! streams, frames). Memory is bounded; how far a stream may expand is for the caller to say, with [`Bounded`].
//!
//! [`Encoder`] writes bytes that depend on the contents alone, not on the number of threads or of CPUs. They do depend on
//! the library and its parameters, which [`Format::id`] names, for lock files.

mod bounded;
mod decode;
mod encode;
mod format;
mod gzip;

pub use bounded::{Bounded, ExpansionLimit};
pub use decode::decoder;
pub use encode::Encoder;
pub use format::Format;

/// Buffers between a source and a decoder, and between an encoder and its sink, in bytes.
const BUFFER: usize = 128 * 1024;
