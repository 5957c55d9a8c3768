//! Names that say more than where an entry is.

use crate::{EntryPath, PathError};

/// What stands at a name in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The entry itself.
    Entry,
    /// A whiteout: the entry of lower layers is gone.
    Whiteout,
    /// The directory is opaque: what lower layers have in it is gone.
    Opaque,
    /// Something of AUFS's own that means nothing anywhere else.
    Aufs,
}

/// How whiteouts, opaque directories and real names of their look are spelled in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// As in an OCI layer (OCI image specification, `layer.md`, "Whiteouts"): `.wh.NAME` and `.wh..wh..opq`. Real names that
    /// begin with `.wh.` have no spelling.
    Oci,
    /// As in our archive: the same, and a real name that begins with `.wh.` stands after `.wh..wh..name.`.
    Archive,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const REAL: &[u8] = b".wh..wh..name.";
const RESERVED: &[u8] = b".wh..wh.";

impl Spelling {
    /// The name of an entry or a mark; `None` when this spelling has none.
    #[must_use]
    pub fn write(self, path: &EntryPath, mark: Mark) -> Option<Vec<u8>> {
        let mut name = Vec::with_capacity(path.as_bytes().len() + OPAQUE.len());
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            if last && mark == Mark::Whiteout {
                name.extend_from_slice(WHITEOUT);
            }
            if part.starts_with(WHITEOUT) {
                match self {
                    Spelling::Oci => return None,
                    Spelling::Archive => name.extend_from_slice(REAL),
                }
            }
            name.extend_from_slice(part);
            if !last {
                name.push(b'/');
            }
        }
        match mark {
            Mark::Entry => {}
            Mark::Whiteout if path.is_root() => return None,
            Mark::Whiteout => {}
            Mark::Opaque if path.is_root() => name.extend_from_slice(OPAQUE),
            Mark::Opaque => {
                name.push(b'/');
                name.extend_from_slice(OPAQUE);
            }
            Mark::Aufs => return None,
        }
        Some(name)
    }

    /// What a name in an archive stands for.
    ///
    /// # Errors
    /// When it is no path, or looks like a mark and is none.
    pub fn read(self, name: &[u8]) -> Result<(EntryPath, Mark), PathError> {
        if !contains(name, WHITEOUT) {
            return Ok((EntryPath::parse(name)?, Mark::Entry));
        }
        let refused = |why| Err(PathError::Refused { name: name.to_vec(), why });
        if name.starts_with(b"/") {
            return Err(PathError::Absolute(name.to_vec()));
        }
        let mut path = Vec::with_capacity(name.len());
        let parts = name.split(|&byte| byte == b'/');
        let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty() && *part != b".").collect();
        for (number, &part) in parts.iter().enumerate() {
            let mark = if !part.starts_with(WHITEOUT) {
                push(&mut path, part);
                continue;
            } else if self == Spelling::Archive && part.starts_with(REAL) {
                match self.real(part) {
                    Some(part) => push(&mut path, part),
                    None => return refused("escapes a name that needs no escape"),
                }
                continue;
            } else if part == OPAQUE {
                Mark::Opaque
            } else if self == Spelling::Oci && part.starts_with(RESERVED) {
                return Ok((EntryPath::parse(&path)?, Mark::Aufs));
            } else {
                let Some(part) = self.real(&part[WHITEOUT.len()..]) else {
                    return refused("is no whiteout of any name");
                };
                push(&mut path, part);
                Mark::Whiteout
            };
            if number + 1 < parts.len() {
                return refused("lies beneath a whiteout");
            }
            return Ok((EntryPath::parse(&path)?, mark));
        }
        Ok((EntryPath::parse(&path)?, Mark::Entry))
    }

    /// A component with its escape undone; `None` when it cannot be the name of an entry or is escaped in vain.
    fn real(self, part: &[u8]) -> Option<&[u8]> {
        let part = match self {
            Spelling::Archive if part.starts_with(WHITEOUT) => {
                part.strip_prefix(REAL).filter(|rest| rest.starts_with(WHITEOUT))?
            }
            Spelling::Oci if part.starts_with(WHITEOUT) => return None,
            _ => part,
        };
        (!matches!(part, b"" | b"." | b"..")).then_some(part)
    }
}

fn push(path: &mut Vec<u8>, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

fn contains(name: &[u8], word: &[u8]) -> bool {
    name.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(name: &str) -> EntryPath {
        name.parse().unwrap()
    }

    #[test]
    fn spellings() {
        let table: &[(&str, Mark, Option<&str>, &str)] = &[
            ("a/b", Mark::Entry, Some("a/b"), "a/b"),
            ("a/b", Mark::Whiteout, Some("a/.wh.b"), "a/.wh.b"),
            ("a", Mark::Opaque, Some("a/.wh..wh..opq"), "a/.wh..wh..opq"),
            ("", Mark::Opaque, Some(".wh..wh..opq"), ".wh..wh..opq"),
            (".wh.a/b", Mark::Entry, None, ".wh..wh..name..wh.a/b"),
            (".wh.a", Mark::Whiteout, None, ".wh..wh..wh..name..wh.a"),
            (".wh..wh..opq", Mark::Entry, None, ".wh..wh..name..wh..wh..opq"),
            (".wh..opq", Mark::Whiteout, None, ".wh..wh..wh..name..wh..opq"),
            ("x.wh.a", Mark::Entry, Some("x.wh.a"), "x.wh.a"),
        ];
        for (name, mark, oci, archive) in table {
            let write = |spelling: Spelling| spelling.write(&path(name), *mark);
            assert_eq!(write(Spelling::Oci).as_deref(), oci.map(str::as_bytes), "{name}");
            assert_eq!(write(Spelling::Archive).as_deref(), Some(archive.as_bytes()), "{name}");
            assert_eq!(Spelling::Archive.read(archive.as_bytes()), Ok((path(name), *mark)));
            if let Some(oci) = oci {
                assert_eq!(Spelling::Oci.read(oci.as_bytes()), Ok((path(name), *mark)));
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_mark() {
        for spelling in [Spelling::Oci, Spelling::Archive] {
            for name in [
                "a/.wh.",
                "a/.wh..",
                "a/.wh...",
                ".wh.a/b",
                "a/.wh..wh..opq/b",
                "/.wh.a",
                "../.wh.a",
                ".wh.a/..",
            ] {
                assert!(spelling.read(name.as_bytes()).is_err(), "{name}");
            }
        }
        assert!(Spelling::Archive.read(b".wh..wh..name.a").is_err());
        assert!(Spelling::Archive.read(b".wh..wh.plnk").is_err());
        assert_eq!(Spelling::Oci.read(b".wh..wh.plnk/1.2"), Ok((EntryPath::ROOT, Mark::Aufs)));
        assert_eq!(Spelling::Oci.read(b"./d/.wh.x/"), Ok((path("d/x"), Mark::Whiteout)));
    }

    proptest! {
        #[test]
        fn the_archive_spells_everything(name in "[.whopqnam/]{1,24}|(\\.wh\\.){1,3}[a.]{0,3}", number in 0..3usize) {
            let mark = [Mark::Entry, Mark::Whiteout, Mark::Opaque][number];
            if let Ok(path) = EntryPath::parse(name.as_bytes()) {
                match Spelling::Archive.write(&path, mark) {
                    Some(spelled) => prop_assert_eq!(Spelling::Archive.read(&spelled), Ok((path.clone(), mark))),
                    None => prop_assert!(path.is_root() && mark == Mark::Whiteout),
                }
                if let Some(spelled) = Spelling::Oci.write(&path, mark) {
                    prop_assert_eq!(Spelling::Oci.read(&spelled), Ok((path, mark)));
                }
            }
        }

        #[test]
        fn one_name_has_one_spelling(name in "[.whopqnam/]{1,24}|(\\.wh\\.){1,3}[a.]{0,3}") {
            if let Ok((path, mark)) = Spelling::Archive.read(name.as_bytes())
                && let Some(again) = Spelling::Archive.write(&path, mark)
            {
                let normal = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
                prop_assert_eq!(again, normal.into_bytes());
            }
        }
    }
}
