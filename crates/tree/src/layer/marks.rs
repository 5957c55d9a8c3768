//! The marks of overlayfs.

use std::collections::BTreeMap;

/// Attributes by full name.
pub(crate) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where overlayfs keeps the marks of a layer: the namespace of its extended attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// `user.overlay.…`, for mounts with `userxattr`.
    User,
    /// `trusted.overlay.…`, which only root can read and write.
    Trusted,
}

/// The prefix of the attributes that an overlay with `userxattr` keeps for itself, and that are contents like any other to
/// everybody else.
const USER: &[u8] = b"user.overlay.";

/// What an overlay puts before the names of attributes that would look like its own (Linux 6.7, "Nesting overlayfs mounts").
const ESCAPED: &[u8] = b"user.overlay.overlay.";

/// What overlayfs has noted about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Noted {
    /// A directory that hides the one beneath it.
    pub(crate) opaque: bool,
    /// A directory that may hold whiteouts in the form of files.
    pub(crate) whiteouts_inside: bool,
    /// A file that is a whiteout, in a directory with `whiteouts_inside`.
    pub(crate) whiteout: bool,
    /// An attribute that makes the entry mean something that a layer by itself cannot say.
    pub(crate) foreign: Option<&'static str>,
}

impl Marks {
    /// The attribute of an opaque directory.
    pub(crate) fn opaque(self) -> &'static [u8] {
        match self {
            Marks::User => b"user.overlay.opaque",
            Marks::Trusted => b"trusted.overlay.opaque",
        }
    }

    /// The attribute of a directory that was copied up from one below it. Whatever its value is, the kernel looks for
    /// whiteouts in such a directory also where it has none below it, as on another rootfs; in any other it would list them as
    /// entries that cannot be looked at.
    pub(crate) fn origin(self) -> &'static [u8] {
        match self {
            Marks::User => b"user.overlay.origin",
            Marks::Trusted => b"trusted.overlay.origin",
        }
    }

    /// Whether a mark or an attribute that belongs to an entry's contents has this name.
    pub(crate) fn concerns(self, name: &[u8]) -> bool {
        self.own(name).is_some() || name.starts_with(USER)
    }

    fn own(self, name: &[u8]) -> Option<&[u8]> {
        name.strip_prefix(match self {
            Marks::User => USER,
            Marks::Trusted => b"trusted.overlay.",
        })
    }

    /// Takes the marks out of the attributes of an entry on disk.
    pub(crate) fn take(self, xattrs: Xattrs) -> (Xattrs, Noted) {
        let (mut kept, mut noted) = (Xattrs::new(), Noted::default());
        for (name, value) in xattrs {
            if let Some(rest) = name.strip_prefix(ESCAPED)
                && self == Marks::User
            {
                kept.insert([USER, rest].concat(), value);
                continue;
            }
            match self.own(&name) {
                Some(b"opaque") => match &value[..] {
                    b"x" => noted.whiteouts_inside = true,
                    _ => noted.opaque |= value == b"y",
                },
                Some(b"whiteout") => noted.whiteout = true,
                Some(b"redirect") => noted.foreign = Some("a redirected directory (redirect_dir)"),
                Some(b"metacopy") => noted.foreign = Some("a file without its contents (metacopy)"),
                // Where an entry came from, how many links it had: notes for the overlay's next mount, void elsewhere.
                Some(_) => {}
                None => {
                    kept.insert(name, value);
                }
            }
        }
        (kept, noted)
    }

    /// The attributes as they go to disk: what would be taken for a mark is escaped.
    pub(crate) fn escape(self, xattrs: &mut Xattrs) {
        if self == Marks::Trusted || !xattrs.keys().any(|name| name.starts_with(USER)) {
            return;
        }
        for (name, value) in std::mem::take(xattrs) {
            let name = match name.strip_prefix(USER) {
                Some(rest) => [ESCAPED, rest].concat(),
                None => name,
            };
            xattrs.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattrs(pairs: &[(&str, &str)]) -> Xattrs {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn marks_are_told_from_contents() {
        let both = xattrs(&[
            ("user.overlay.opaque", "y"),
            ("user.overlay.overlay.opaque", "n"),
            ("user.overlay.origin", "z"),
            ("user.note", "1"),
            ("trusted.overlay.opaque", "x"),
        ]);
        let (kept, noted) = Marks::User.take(both.clone());
        assert!(noted.opaque && !noted.whiteouts_inside);
        let rest = [("user.overlay.opaque", "n"), ("user.note", "1"), ("trusted.overlay.opaque", "x")];
        assert_eq!(kept, xattrs(&rest));
        let (kept, noted) = Marks::Trusted.take(both);
        assert!(!noted.opaque && noted.whiteouts_inside);
        assert_eq!(kept.len(), 4);
        let (_, noted) = Marks::User.take(xattrs(&[("user.overlay.redirect", "/x")]));
        assert!(noted.foreign.is_some());
    }

    #[test]
    fn contents_never_become_marks() {
        let contents =
            xattrs(&[("user.overlay.opaque", "y"), ("user.overlay.overlay.opaque", "y"), ("user.a", "")]);
        for marks in [Marks::User, Marks::Trusted] {
            let mut stored = contents.clone();
            marks.escape(&mut stored);
            assert_eq!(marks.take(stored), (contents.clone(), Noted::default()));
        }
    }
}
