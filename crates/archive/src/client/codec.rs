//! Unpacking of indices.

use std::io::{self, BufReader, Read};

/// How an index is compressed, by the suffix of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Xz,
    Zstd,
    Gzip,
    Plain,
}

impl Codec {
    /// In the order in which they are preferred: the smallest transfer first.
    pub(super) const ALL: [Self; 4] = [Self::Xz, Self::Zstd, Self::Gzip, Self::Plain];

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::Plain => "",
        }
    }
}

/// The most memory that a decoder may want, in bytes: `xz -9` wants 65 MiB, archives use less.
const MEMORY_LIMIT: u64 = 80 << 20;

/// A reader of the unpacked bytes.
pub(super) fn decode(codec: Codec, input: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let input = BufReader::with_capacity(128 << 10, input);
    Ok(match codec {
        Codec::Xz => {
            let stream =
                liblzma::stream::Stream::new_stream_decoder(MEMORY_LIMIT, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Codec::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(MEMORY_LIMIT.ilog2())?;
            Box::new(decoder)
        }
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Codec::Plain => Box::new(input),
    })
}
