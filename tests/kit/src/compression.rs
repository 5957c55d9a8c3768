//! The compressions that packages and indices come in.

use std::io::{Read, Write};

/// How a package member or an index is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// As it is.
    None,
    /// RFC 1952.
    Gzip,
    /// The `.xz` format of XZ Utils.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Xz, Self::Zstd];

    /// What a file name ends with: `""`, `".gz"`, `".xz"`, `".zst"`.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// The compression that a file name speaks of.
    #[must_use]
    pub fn from_file_name(name: &str) -> Self {
        let known = [Self::Gzip, Self::Xz, Self::Zstd];
        known.into_iter().find(|format| name.ends_with(format.extension())).unwrap_or(Self::None)
    }

    /// `data`, compressed as one stream, fast rather than small.
    #[must_use]
    pub fn compress(self, data: &[u8]) -> Vec<u8> {
        self.stream(|out| out.write_all(data))
    }

    /// What `data` was before it was compressed.
    ///
    /// # Panics
    /// When `data` is damaged.
    #[must_use]
    pub fn decompress(self, data: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let done = match self {
            Self::None => return data.to_vec(),
            Self::Gzip => flate2::read::MultiGzDecoder::new(data).read_to_end(&mut plain),
            Self::Xz => liblzma::read::XzDecoder::new_multi_decoder(data).read_to_end(&mut plain),
            Self::Zstd => zstd::Decoder::new(data).and_then(|mut decoder| decoder.read_to_end(&mut plain)),
        };
        done.unwrap_or_else(|error| panic!("cannot decompress {} bytes of {self:?}: {error}", data.len()));
        plain
    }

    /// What `write` writes, compressed as one stream, without ever holding it uncompressed.
    pub(crate) fn stream(self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Vec<u8> {
        let result = match self {
            Self::None => {
                let mut out = Vec::new();
                write(&mut out).map(|()| out)
            }
            Self::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                write(&mut out).and_then(|()| out.finish())
            }
            Self::Xz => {
                let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
                write(&mut out).and_then(|()| out.finish())
            }
            Self::Zstd => zstd::Encoder::new(Vec::new(), 1)
                .and_then(|mut out| write(&mut out).and_then(|()| out.finish())),
        };
        result.unwrap_or_else(|error| panic!("cannot compress as {self:?}: {error}"))
    }
}
