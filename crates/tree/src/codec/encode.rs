//! Writing compressed streams, the same bytes for any number of threads.

use std::fmt;
use std::io::{self, BufWriter, Write};

use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;

use super::gzip::GzipEncoder;
use super::{BUFFER, Format};

/// The preset of xz. Part of [`Format::id`].
pub(super) const XZ_LEVEL: u32 = 6;

/// Contents per block of xz: each is compressed by itself, so smaller ones keep more threads busy and compress a little
/// worse. Twice the window of the preset. Part of [`Format::id`].
const XZ_BLOCK: u64 = 16 << 20;

/// The level of zstd, where root filesystems are already smaller than with `gzip -9` and writing is not what a build waits
/// for. Part of [`Format::id`].
pub(super) const ZSTD_LEVEL: i32 = 9;

/// Compresses what is written to it into `W`.
///
/// [`Encoder::finish`] must be called: dropping an encoder leaves a cut-off stream behind.
pub struct Encoder<W: Write>(Inner<W>);

enum Inner<W: Write> {
    Plain(BufWriter<W>),
    Gzip(GzipEncoder<W>),
    Xz(XzEncoder<BufWriter<W>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<W>>),
}

impl<W: Write> Encoder<W> {
    /// Compresses into `sink` with `threads` threads (0 counts as 1), which changes the speed and never a byte.
    ///
    /// # Errors
    /// When the encoder cannot be set up, for want of memory or threads.
    pub fn new(format: Format, sink: W, threads: usize) -> io::Result<Encoder<W>> {
        let threads = u32::try_from(threads.clamp(1, 64)).unwrap_or(1);
        let buffered = |sink| BufWriter::with_capacity(BUFFER, sink);
        Ok(Encoder(match format {
            Format::Plain => Inner::Plain(buffered(sink)),
            Format::Gzip => Inner::Gzip(GzipEncoder::new(sink, threads as usize)?),
            Format::Xz => {
                // Always the multithreaded encoder: the plain one writes one block without its sizes.
                let stream = MtStreamBuilder::new()
                    .preset(XZ_LEVEL)
                    .block_size(XZ_BLOCK)
                    .threads(threads)
                    .check(Check::Crc64)
                    .encoder()?;
                Inner::Xz(XzEncoder::new_stream(buffered(sink), stream))
            }
            Format::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(buffered(sink), ZSTD_LEVEL)?;
                // Always workers: without any, zstd cuts its input elsewhere and gives other bytes.
                encoder.multithread(threads)?;
                encoder.include_checksum(true)?;
                Inner::Zstd(encoder)
            }
        }))
    }

    /// Writes what is still to be written and gives the sink back.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn finish(self) -> io::Result<W> {
        let buffered = match self.0 {
            Inner::Plain(sink) => sink,
            Inner::Gzip(encoder) => return encoder.finish(),
            Inner::Xz(encoder) => encoder.finish()?,
            Inner::Zstd(encoder) => encoder.finish()?,
        };
        buffered.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(sink) => sink.write(bytes),
            Inner::Gzip(encoder) => encoder.write(bytes),
            Inner::Xz(encoder) => encoder.write(bytes),
            Inner::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Does nothing: a flush inside the stream would change its bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.0 {
            Inner::Plain(_) => Format::Plain,
            Inner::Gzip(_) => Format::Gzip,
            Inner::Xz(_) => Format::Xz,
            Inner::Zstd(_) => Format::Zstd,
        };
        write!(formatter, "Encoder({format:?})")
    }
}
