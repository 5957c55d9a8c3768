//! Names of entries: relative, normalised bytes.

use std::cmp::Ordering;
use std::fmt;

/// A path inside a tree: relative and normalised, as bytes.
///
/// It has no leading `/`, no empty, `.` or `..` component and no NUL, and is at most [`EntryPath::MAX`] bytes long. The
/// empty path is the tree's root ([`EntryPath::ROOT`]). Names need not be UTF-8.
///
/// # Order
/// `Ord` is *path order*: a directory comes before what it holds, everything beneath it follows at once, and siblings are
/// in the order of their names' bytes. This is what `tar --sort=name` walks in. It differs from comparing whole paths:
/// `a/b` sorts before `a.b` here, because `/` ends a component and so counts as less than any byte of a name.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct EntryPath(Vec<u8>);

/// Why bytes are no [`EntryPath`]; each variant carries the offending name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The name begins with `/`.
    #[error("name `{}` is absolute", Escaped(.0))]
    Absolute(Vec<u8>),
    /// A component of the name is `..`.
    #[error("name `{}` has a `..` component", Escaped(.0))]
    Parent(Vec<u8>),
    /// The name contains a NUL byte.
    #[error("name `{}` contains a NUL byte", Escaped(.0))]
    Nul(Vec<u8>),
    /// The name is longer than [`EntryPath::MAX`]; its beginning is kept.
    #[error("name `{}…` is {length} bytes long, more than {limit}", Escaped(.start), limit = EntryPath::MAX)]
    TooLong {
        /// The first bytes of the name.
        start: Vec<u8>,
        /// Its length in bytes.
        length: usize,
    },
    /// One component is longer than [`EntryPath::MAX_NAME`]; its beginning is kept.
    #[error("a component of `{}…` is {length} bytes long, more than {limit}", Escaped(.start), limit = EntryPath::MAX_NAME)]
    NameTooLong {
        /// The first bytes of the component.
        start: Vec<u8>,
        /// Its length in bytes.
        length: usize,
    },
    /// The name cannot be what the archive takes it for.
    #[error("name `{}` {why}", Escaped(.name))]
    Refused {
        /// The name as the archive spells it.
        name: Vec<u8>,
        /// What is wrong with it, as the end of a sentence.
        why: &'static str,
    },
}

impl EntryPath {
    /// The root of a tree: the empty path.
    pub const ROOT: EntryPath = EntryPath(Vec::new());

    /// The greatest length in bytes, Linux's `PATH_MAX`.
    pub const MAX: usize = 4096;

    /// The greatest length of one component in bytes, Linux's `NAME_MAX`.
    pub const MAX_NAME: usize = 255;

    /// Reads a name as archives spell it: `./a/b`, `a/b/` and `a//b` become `a/b`; `.` and `./` become the root.
    ///
    /// # Errors
    /// Absolute names, `..` components, NUL bytes and names or components that are too long are refused.
    pub fn parse(name: &[u8]) -> Result<EntryPath, PathError> {
        if name.len() > Self::MAX {
            return Err(PathError::TooLong { start: start_of(name), length: name.len() });
        }
        if name.first() == Some(&b'/') {
            return Err(PathError::Absolute(name.to_vec()));
        }
        if name.contains(&0) {
            return Err(PathError::Nul(name.to_vec()));
        }
        let mut bytes = Vec::with_capacity(name.len());
        for component in name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(PathError::Parent(name.to_vec())),
                _ => {}
            }
            if component.len() > Self::MAX_NAME {
                return Err(PathError::NameTooLong { start: start_of(component), length: component.len() });
            }
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(component);
        }
        Ok(EntryPath(bytes))
    }

    /// The bytes of the path; empty for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root of the tree.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory that holds this entry, or `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<EntryPath> {
        if self.is_root() {
            return None;
        }
        Some(EntryPath(self.split().0.into()))
    }

    /// The last component, or `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&[u8]> {
        if self.is_root() { None } else { Some(self.split().1) }
    }

    /// The components from the root down; none for the root itself.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|component| !component.is_empty())
    }

    /// This path followed by `name`, which may have several components and is read as by [`EntryPath::parse`].
    ///
    /// # Errors
    /// As [`EntryPath::parse`], and when the whole is too long.
    pub fn join(&self, name: &[u8]) -> Result<EntryPath, PathError> {
        let tail = EntryPath::parse(name)?;
        if self.is_root() {
            return Ok(tail);
        }
        if tail.is_root() {
            return Ok(self.clone());
        }
        let bytes = [self.as_bytes(), b"/", tail.as_bytes()].concat();
        if bytes.len() > Self::MAX {
            return Err(PathError::TooLong { start: start_of(&bytes), length: bytes.len() });
        }
        Ok(EntryPath(bytes))
    }

    /// Whether this path is `other` or lies beneath it.
    #[must_use]
    pub fn starts_with(&self, other: &EntryPath) -> bool {
        other.is_root()
            || (self.0.starts_with(&other.0) && matches!(self.0.get(other.0.len()), None | Some(b'/')))
    }

    /// The parent's bytes (empty for the root) and the last component.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (b"", &self.0),
        }
    }
}

impl Ord for EntryPath {
    fn cmp(&self, other: &Self) -> Ordering {
        // Components hold neither `/` nor NUL, so taking `/` for NUL where the paths part compares component by component.
        let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
        match self.0.iter().zip(&other.0).find(|(a, b)| a != b) {
            Some((&a, &b)) => rank(a).cmp(&rank(b)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for EntryPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The path, `.` for the root; bytes that are no printable UTF-8 are escaped, so that it is safe on a terminal.
impl fmt::Display for EntryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { formatter.write_str(".") } else { Escaped(&self.0).fmt(formatter) }
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EntryPath({self})")
    }
}

impl TryFrom<&[u8]> for EntryPath {
    type Error = PathError;

    fn try_from(name: &[u8]) -> Result<Self, PathError> {
        EntryPath::parse(name)
    }
}

impl TryFrom<&str> for EntryPath {
    type Error = PathError;

    fn try_from(name: &str) -> Result<Self, PathError> {
        EntryPath::parse(name.as_bytes())
    }
}

impl std::str::FromStr for EntryPath {
    type Err = PathError;

    fn from_str(name: &str) -> Result<Self, PathError> {
        EntryPath::parse(name.as_bytes())
    }
}

/// Bytes for a message: printable UTF-8 as it is, everything else escaped.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(formatter, "{}", character.escape_default())?;
                } else {
                    write!(formatter, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(formatter, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// The beginning of a name that is too long to be shown.
fn start_of(name: &[u8]) -> Vec<u8> {
    name.iter().copied().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parse_table() {
        type Row = (&'static str, &'static [u8], Result<&'static [u8], &'static str>);
        let table: &[Row] = &[
            ("plain", b"usr/bin/x", Ok(b"usr/bin/x")),
            ("dpkg's spelling", b"./usr/bin/x", Ok(b"usr/bin/x")),
            ("directory", b"./usr/", Ok(b"usr")),
            ("doubled slash", b"usr//bin", Ok(b"usr/bin")),
            ("inner dot", b"usr/./bin/.", Ok(b"usr/bin")),
            ("root", b"./", Ok(b"")),
            ("empty", b"", Ok(b"")),
            ("not UTF-8", b"a/\xff\xfe", Ok(b"a/\xff\xfe")),
            ("dots in a name", b"..a/...", Ok(b"..a/...")),
            ("absolute", b"/etc", Err("name `/etc` is absolute")),
            ("parent", b"a/../b", Err("name `a/../b` has a `..` component")),
            ("parent at the end", b"a/..", Err("name `a/..` has a `..` component")),
            ("NUL", b"a\0b", Err("name `a\\u{0}b` contains a NUL byte")),
            ("escape sequence", b"/\x1b[31m", Err("name `/\\u{1b}[31m` is absolute")),
        ];
        for (summary, name, want) in table {
            let got = EntryPath::parse(name);
            match want {
                Ok(bytes) => assert_eq!(got.unwrap().as_bytes(), *bytes, "{summary}"),
                Err(message) => assert_eq!(got.unwrap_err().to_string(), *message, "{summary}"),
            }
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let long = vec![b'a'; EntryPath::MAX_NAME + 1];
        assert!(matches!(EntryPath::parse(&long), Err(PathError::NameTooLong { length: 256, .. })));
        let deep = b"abc/".repeat(1025);
        assert!(matches!(EntryPath::parse(&deep), Err(PathError::TooLong { length: 4100, .. })));
        let most = EntryPath::parse(&b"abc/".repeat(1023)).unwrap();
        assert!(most.join(b"abcd").is_ok());
        assert!(matches!(most.join(b"abcde"), Err(PathError::TooLong { .. })));
    }

    #[test]
    fn parts() {
        let path: EntryPath = "usr/bin/x".parse().unwrap();
        assert_eq!(path.file_name(), Some(&b"x"[..]));
        assert_eq!(path.parent().unwrap().as_bytes(), b"usr/bin");
        assert_eq!(path.components().collect::<Vec<_>>(), [&b"usr"[..], b"bin", b"x"]);
        let top: EntryPath = "usr".parse().unwrap();
        assert!(top.parent().unwrap().is_root());
        assert_eq!(EntryPath::ROOT.parent(), None);
        assert_eq!(EntryPath::ROOT.file_name(), None);
        assert_eq!(EntryPath::ROOT.components().count(), 0);
        assert!(path.starts_with(&top) && path.starts_with(&EntryPath::ROOT) && path.starts_with(&path));
        assert!(!"usrx".parse::<EntryPath>().unwrap().starts_with(&top));
    }

    fn any_path() -> impl Strategy<Value = EntryPath> {
        proptest::collection::vec("[-a.b!]{1,3}", 0..4)
            .prop_filter_map("no dots", |parts| EntryPath::parse(parts.join("/").as_bytes()).ok())
    }

    proptest! {
        #[test]
        fn order_is_that_of_component_lists(a in any_path(), b in any_path()) {
            let list = |path: &EntryPath| path.components().map(<[u8]>::to_vec).collect::<Vec<_>>();
            prop_assert_eq!(a.cmp(&b), list(&a).cmp(&list(&b)));
        }

        #[test]
        fn parsed_paths_are_normal(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(path) = EntryPath::parse(&name) {
                prop_assert_eq!(EntryPath::parse(path.as_bytes()).unwrap(), path.clone());
                prop_assert!(path.components().all(|part| part != b"." && part != b".."));
            }
        }
    }
}
