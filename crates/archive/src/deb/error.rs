//! What is wrong with a package.

use std::io;

/// A binary package that is not acceptable, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebError {
    /// The file does not begin like a package.
    #[error("this is no Debian package: it does not begin with `!<arch>`")]
    Magic,
    /// The version in `debian-binary` is not 2.x.
    #[error("package format `{}` is not known; 2.0 is", .0.escape_ascii())]
    Version(Vec<u8>),
    /// A member's header is damaged.
    #[error("damaged package: member header at byte {offset} is not valid")]
    Header {
        /// Where it stands.
        offset: u64,
    },
    /// A part is missing.
    #[error("damaged package: it ends before its `{0}`")]
    Missing(&'static str),
    /// A part stands where another one belongs.
    #[error("package has member `{found}` where `{wanted}` belongs")]
    Unexpected {
        /// The member that is there.
        found: String,
        /// The one that belongs there.
        wanted: &'static str,
    },
    /// A part is compressed in a way that no current distribution uses.
    #[error(
        "package member `{0}` is compressed with bzip2 or lzma, which is not supported; repack it with xz or zstd"
    )]
    Compression(String),
    /// There are more members to be passed over than any package has.
    #[error("package has more than {0} additional members")]
    TooMany(usize),
    /// A part is larger than it may be.
    #[error("`{name}` of the package has {size} bytes, more than {limit}")]
    TooLarge {
        /// The part.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The greatest size in bytes.
        limit: u64,
    },
    /// A part expands to more than was to be expected.
    #[error("`{member}` of the package expands to more than {limit} bytes, more than its index promised")]
    Expands {
        /// The part.
        member: String,
        /// The greatest size in bytes.
        limit: u64,
    },
    /// Something in the control archive is no plain file at its top.
    #[error("the package's control archive holds `{name}`, which is no plain file at its top")]
    ControlEntry {
        /// The name of the entry.
        name: String,
    },
    /// A control file is there twice.
    #[error("the package's control archive holds `{0}` twice")]
    ControlTwice(String),
    /// The file `control` is missing.
    #[error("the package's control archive has no file `control`")]
    NoControl,
    /// The file `control` is not UTF-8.
    #[error("the package's file `control` is not UTF-8 from byte {0} on")]
    ControlEncoding(usize),
    /// A part cannot be read or decompressed.
    #[error("cannot read `{member}` of the package")]
    Read {
        /// The part.
        member: String,
        /// Why.
        source: io::Error,
    },
    /// The tar in a part is not acceptable.
    #[error("`{member}` of the package is not acceptable")]
    Tar {
        /// The part.
        member: String,
        /// Why.
        source: tree::Error,
    },
}
