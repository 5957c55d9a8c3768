//! Which compression, from names and from first bytes.

use std::fmt;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Not at all.
    Plain,
    /// Gzip (RFC 1952).
    Gzip,
    /// Xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// The libraries' versions, as `Cargo.lock` has them; a test holds them to it. They are part of [`Format::id`], because
/// another version may give other bytes.
const LIBDEFLATE_SYS: &str = "1.26.1";
const LIBLZMA_SYS: &str = "0.4.9";
const ZSTD_SYS: &str = "2.1.3+zstd.1.5.7";

impl Format {
    /// The format that a file's name ends for: `.gz`, `.xz`, `.zst` (also `.tgz`, `.txz`, `.tzst`), else plain.
    #[must_use]
    pub fn from_file_name(name: &str) -> Format {
        let endings = [
            (".gz", Format::Gzip),
            (".tgz", Format::Gzip),
            (".xz", Format::Xz),
            (".txz", Format::Xz),
            (".zst", Format::Zstd),
            (".tzst", Format::Zstd),
        ];
        let found = endings.into_iter().find(|(ending, _)| name.ends_with(ending));
        found.map_or(Format::Plain, |(_, format)| format)
    }

    /// The format whose magic number `bytes` begins with, else plain. Needs 6 bytes to tell all.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Format {
        const XZ: &[u8] = b"\xfd7zXZ\0";
        const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
        if bytes.starts_with(b"\x1f\x8b") {
            Format::Gzip
        } else if bytes.starts_with(XZ) {
            Format::Xz
        } else if bytes.starts_with(ZSTD) {
            Format::Zstd
        } else {
            Format::Plain
        }
    }

    /// What the bytes of an [`super::Encoder`] depend on beside the contents: codec, level, block size, library and
    /// version. Changing anything named here is a format break: digests of everything compressed change.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Format::Plain => "plain".to_owned(),
            Format::Gzip => format!("gzip-{}-1MiB libdeflate-sys {LIBDEFLATE_SYS}", super::gzip::LEVEL),
            Format::Xz => format!("xz-{}-16MiB liblzma-sys {LIBLZMA_SYS}", super::encode::XZ_LEVEL),
            Format::Zstd => format!("zstd-{}-mt zstd-sys {ZSTD_SYS}", super::encode::ZSTD_LEVEL),
        }
    }
}

/// The ending of file names without its dot, empty for plain.
impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Format::Plain => "",
            Format::Gzip => "gz",
            Format::Xz => "xz",
            Format::Zstd => "zst",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_magic_numbers() {
        let table = [
            ("a.tar", Format::Plain),
            ("data.tar.gz", Format::Gzip),
            ("x.tgz", Format::Gzip),
            ("data.tar.xz", Format::Xz),
            ("data.tar.zst", Format::Zstd),
            ("gz", Format::Plain),
        ];
        for (name, format) in table {
            assert_eq!(Format::from_file_name(name), format, "{name}");
        }
        assert_eq!(Format::sniff(b""), Format::Plain);
        assert_eq!(Format::sniff(b"\x1f"), Format::Plain);
        assert_eq!(Format::sniff(b"\x1f\x8b\x08\0"), Format::Gzip);
        assert_eq!(Format::sniff(b"\xfd7zXZ\0\0"), Format::Xz);
        assert_eq!(Format::sniff(b"\x28\xb5\x2f\xfd"), Format::Zstd);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = include_str!("../../../../Cargo.lock");
        for (name, version) in
            [("libdeflate-sys", LIBDEFLATE_SYS), ("liblzma-sys", LIBLZMA_SYS), ("zstd-sys", ZSTD_SYS)]
        {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(
                lock.contains(&entry),
                "{name} is no longer {version}: adapt the constant, expect other bytes"
            );
        }
    }
}
