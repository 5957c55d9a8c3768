//! What is wrong with a tar.

use crate::PathError;
use crate::path::Escaped;

/// An archive that the reader refuses: where and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tar member {number} (header at byte {offset}): {problem}")]
pub struct TarError {
    /// Which member, counted from 1, extension headers not counted.
    pub number: u64,
    /// Where in the archive its header block stands, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a member of a tar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The archive ends inside a member.
    #[error("the archive ends in the middle of {0}")]
    Truncated(&'static str),
    /// The header's checksum is wrong: no tar, or a damaged one.
    #[error("wrong header checksum; this is no tar archive or a damaged one")]
    Checksum,
    /// A numeric field is not a number, or one out of range.
    #[error("field {field} holds no valid number: `{}`", Escaped(.value))]
    Number {
        /// The field or PAX key.
        field: &'static str,
        /// Its bytes.
        value: Vec<u8>,
    },
    /// A name is not acceptable.
    #[error(transparent)]
    Name(#[from] PathError),
    /// The target of a hard link is not acceptable.
    #[error("hard link `{}`: target {problem}", Escaped(.name))]
    LinkTarget {
        /// The link as the archive spells it.
        name: Vec<u8>,
        /// What is wrong with its target.
        problem: PathError,
    },
    /// A hard link to itself or to the root.
    #[error("hard link `{}` points to itself or to the root", Escaped(.0))]
    LinkLoop(Vec<u8>),
    /// The target of a symbolic link is empty or holds a NUL byte.
    #[error("symbolic link `{}` has an empty target or one with a NUL byte", Escaped(.0))]
    SymlinkTarget(Vec<u8>),
    /// The root of the tree is given as something else than a directory.
    #[error("the root `{}` is not a directory", Escaped(.0))]
    Root(Vec<u8>),
    /// A member of a type that has no contents comes with some.
    #[error("`{}` is a {kind} and yet has {size} bytes of contents", Escaped(.name))]
    UnexpectedContents {
        /// The member as the archive spells it.
        name: Vec<u8>,
        /// Its type.
        kind: &'static str,
        /// The size in its header.
        size: u64,
    },
    /// A sparse file, of a reader that was told to take none.
    #[error("`{}` is a sparse file, which is not supported; write the archive without --sparse", Escaped(.0))]
    Sparse(Vec<u8>),
    /// The map of a sparse file's data is no map: not numbers, not in order, beyond the file's end, or not what the
    /// archive holds of the file.
    #[error("the map of the sparse file `{}` is not valid", Escaped(.0))]
    SparseMap(Vec<u8>),
    /// A type flag this reader does not know.
    #[error("`{}` has the unknown type `{}`", Escaped(.name), .flag.escape_ascii())]
    UnknownType {
        /// The member as the archive spells it.
        name: Vec<u8>,
        /// The type flag.
        flag: u8,
    },
    /// A PAX header is not made of records `LENGTH KEY=VALUE\n`.
    #[error("malformed PAX record: `{}`", Escaped(.0))]
    PaxRecord(Vec<u8>),
    /// An extension header is not followed by the member it belongs to.
    #[error("an extension header without a member after it")]
    LoneExtension,
    /// One of the [`super::Limits`] is exceeded.
    #[error("more than {limit} {what}, which is the limit")]
    Limit {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}
