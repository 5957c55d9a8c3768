//! Reading compressed streams.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::{BUFFER, Format};

/// How much memory decoding xz may take: twice what `xz -9` needs, the most that packages are made with.
const XZ_MEMORY: u64 = 128 << 20;

/// The greatest window of zstd as a power of two: 128 MiB, what `zstd --ultra -22` needs and what decoders must not be
/// made to exceed by a stream alone.
const ZSTD_WINDOW_LOG: u32 = 27;

/// The plain contents of `source`. Give large buffers to its `read` (64 KiB and more): decoders write straight into them.
///
/// Streams may consist of several gzip members, xz streams or zstd frames. The expansion is not bounded; wrap the result
/// in a [`super::Bounded`].
///
/// # Errors
/// When the decoder cannot be set up. Damaged streams, also cut-off ones, are errors of reading; so are streams that need
/// more than 128 MiB of memory.
pub fn decoder<'a, R: Read + Send + 'a>(format: Format, source: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    let input = |source| BufReader::with_capacity(BUFFER, source);
    Ok(match format {
        Format::Plain => Box::new(source),
        Format::Gzip => Box::new(MultiGzDecoder::new(input(source))),
        Format::Xz => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
            Box::new(XzDecoder::new_stream(input(source), stream))
        }
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input(source))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}
