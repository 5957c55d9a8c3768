//! Kinds of files, told by their names alone: they give the map its colours.

use serde::{Serialize, Serializer};
use tree::EntryPath;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Program,
    Library,
    Python,
    JavaScript,
    Document,
    Language,
    Other,
}

/// Bytes of each kind, in the order of [`Kind::ALL`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes([u64; Kind::ALL.len()]);

impl Kind {
    /// All kinds, in the order in which they are shown.
    pub(super) const ALL: [Self; 7] = [
        Self::Program,
        Self::Library,
        Self::Python,
        Self::JavaScript,
        Self::Document,
        Self::Language,
        Self::Other,
    ];

    /// The words for it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Program => "programs",
            Self::Library => "libraries",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::Document => "documentation",
            Self::Language => "languages",
            Self::Other => "other files",
        }
    }

    /// What a file at `path` is.
    pub(super) fn of(path: &EntryPath) -> Self {
        let mut name = None;
        // What the folders say counts more than the end of the name: a manual page in `bin` is none.
        let mut parts = path.components().peekable();
        let mut shared = false;
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                name = Some(part);
                break;
            }
            match part {
                b"bin" | b"sbin" | b"libexec" => return Self::Program,
                b"share" => shared = true,
                b"doc" | b"man" | b"info" | b"doc-base" | b"lintian" if shared => return Self::Document,
                b"locale" | b"i18n" | b"locales" if shared => return Self::Language,
                b"node_modules" => return Self::JavaScript,
                _ => {}
            }
        }
        Self::of_name(name.unwrap_or_default())
    }

    fn of_name(name: &[u8]) -> Self {
        // `libc.so.6` is a library, too.
        if name.windows(4).any(|part| part == b".so.") {
            return Self::Library;
        }
        let ending = name.iter().rposition(|&byte| byte == b'.').map_or(&b""[..], |dot| &name[dot + 1..]);
        match ending {
            b"so" | b"a" | b"o" | b"ko" | b"pm" => Self::Library,
            b"py" | b"pyc" | b"pyi" | b"whl" => Self::Python,
            b"js" | b"mjs" | b"cjs" | b"ts" | b"node" | b"wasm" => Self::JavaScript,
            b"md" | b"txt" | b"html" | b"rst" | b"pdf" => Self::Document,
            b"mo" | b"po" => Self::Language,
            _ => Self::Other,
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl Sizes {
    /// So many bytes of one kind.
    pub(super) fn of(kind: Kind, bytes: u64) -> Self {
        let mut sizes = Self::default();
        sizes.0[kind as usize] = bytes;
        sizes
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// The bytes of one kind.
    pub(super) fn get(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The kind that has the most; the first of those that have as much.
    pub(super) fn most(&self) -> Kind {
        let most = self.0.iter().max().copied().unwrap_or_default();
        Kind::ALL.into_iter().find(|&kind| self.get(kind) == most).unwrap_or(Kind::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_names() {
        for (path, expected) in [
            ("usr/bin/zsh", Kind::Program),
            ("usr/lib/x/libc.so.6", Kind::Library),
            ("usr/lib/python3/dist-packages/a.py", Kind::Python),
            ("usr/lib/node_modules/npm/README.md", Kind::JavaScript),
            ("usr/share/doc/zsh/copyright", Kind::Document),
            ("doc/x", Kind::Other),
            ("usr/share/locale/de/LC_MESSAGES/x.mo", Kind::Language),
            ("bin", Kind::Other),
            (".x", Kind::Other),
        ] {
            assert_eq!(Kind::of(&path.parse().unwrap()), expected, "{path}");
        }
    }

    #[test]
    fn the_most_of_all() {
        let mut sizes = Sizes::default();
        assert_eq!((sizes.total(), sizes.most()), (0, Kind::Program));
        sizes.add(&Sizes::of(Kind::Python, 3));
        sizes.add(&Sizes::of(Kind::Other, 2));
        assert_eq!((sizes.total(), sizes.most(), sizes.get(Kind::Other)), (5, Kind::Python, 2));
    }
}
