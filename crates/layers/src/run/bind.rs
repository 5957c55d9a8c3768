//! The grammar of `--mount`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A file or folder of the machine to be shown in a merge point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// What is shown, as it was given.
    pub source: PathBuf,
    /// Where: an absolute path inside.
    pub target: PathBuf,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether what is mounted below the source is shown as well.
    pub recursive: bool,
}

/// What is wrong with a bind; each variant carries the offending part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A part that is not known.
    #[error(
        "`{0}` is not known here: a bind is `type=bind,src=PATH,dst=PATH` and any of ro, rw, recursive, nonrecursive"
    )]
    Unknown(String),
    /// A type other than `bind`.
    #[error("type `{0}` is not supported, only `type=bind`")]
    Type(String),
    /// A part that is there twice, or that contradicts another one.
    #[error("`{0}` comes after another part that says the same or the opposite")]
    Twice(String),
    /// No source or destination.
    #[error("`{0}=` is missing")]
    Missing(&'static str),
    /// A destination that is not absolute or has `..` in it.
    #[error("destination `{}` is not an absolute path without `..`", .0.display())]
    Target(PathBuf),
}

impl Bind {
    /// Reads `type=bind,src=S,dst=D` with any of `ro` or `rw` and `recursive` or `nonrecursive`, in any order.
    ///
    /// `source` is another name of `src`; `target` and `destination` of `dst`; `readonly` of `ro`. Without a word it is
    /// writable and not recursive. Paths hold any bytes but commas.
    ///
    /// # Errors
    /// [`BindError`] with the part that is wrong.
    pub fn parse(text: &OsStr) -> Result<Self, BindError> {
        let mut parts = Parts::default();
        for part in text.as_bytes().split(|&byte| byte == b',') {
            parts.add(part)?;
        }
        let source = parts.source.ok_or(BindError::Missing("src"))?;
        let target = parts.target.ok_or(BindError::Missing("dst"))?;
        if !target.is_absolute() || target.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(BindError::Target(target));
        }
        Ok(Self {
            source,
            target,
            read_only: parts.read_only.unwrap_or(false),
            recursive: parts.recursive.unwrap_or(false),
        })
    }
}

#[derive(Default)]
struct Parts {
    kind: Option<()>,
    source: Option<PathBuf>,
    target: Option<PathBuf>,
    read_only: Option<bool>,
    recursive: Option<bool>,
}

impl Parts {
    fn add(&mut self, part: &[u8]) -> Result<(), BindError> {
        let shown = || String::from_utf8_lossy(part).into_owned();
        let mut halves = part.splitn(2, |&byte| byte == b'=');
        let name = halves.next().unwrap_or_default();
        let value = halves.next();
        let path = |value: &[u8]| Path::new(OsStr::from_bytes(value)).to_owned();
        let fresh = match (name, value) {
            (b"type", Some(b"bind")) => self.kind.replace(()).is_none(),
            (b"type", Some(other)) => {
                return Err(BindError::Type(String::from_utf8_lossy(other).into_owned()));
            }
            (b"src" | b"source", Some(value)) if !value.is_empty() => {
                self.source.replace(path(value)).is_none()
            }
            (b"dst" | b"target" | b"destination", Some(value)) if !value.is_empty() => {
                self.target.replace(path(value)).is_none()
            }
            (b"ro" | b"readonly", None) => self.read_only.replace(true).is_none(),
            (b"rw", None) => self.read_only.replace(false).is_none(),
            (b"recursive", None) => self.recursive.replace(true).is_none(),
            (b"nonrecursive", None) => self.recursive.replace(false).is_none(),
            _ => return Err(BindError::Unknown(shown())),
        };
        if fresh { Ok(()) } else { Err(BindError::Twice(shown())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let bind = |source: &str, target: &str, read_only, recursive| {
            Ok(Bind { source: source.into(), target: target.into(), read_only, recursive })
        };
        let unknown = |part: &str| Err(BindError::Unknown(part.into()));
        let table: &[(&str, &str, Result<Bind, BindError>)] = &[
            ("oocana", "type=bind,src=/s,dst=/d,ro,recursive", bind("/s", "/d", true, true)),
            (
                "oocana, the other words",
                "type=bind,src=/s,dst=/d,rw,nonrecursive",
                bind("/s", "/d", false, false),
            ),
            ("the workflows", "type=bind,source=S,dst=/d,nonrecursive", bind("S", "/d", false, false)),
            ("no words", "src=/s,dst=/d", bind("/s", "/d", false, false)),
            (
                "spaces",
                "type=bind,src=/tmp/example dir,dst=/a b,rw",
                bind("/tmp/example dir", "/a b", false, false),
            ),
            ("Docker's names", "type=bind,source=/s,target=/d,readonly", bind("/s", "/d", true, false)),
            ("another name", "destination=/d,source=/s", bind("/s", "/d", false, false)),
            ("equals signs in a path", "src=/a=b,dst=/c=d", bind("/a=b", "/c=d", false, false)),
            ("no source", "type=bind,dst=/d", Err(BindError::Missing("src"))),
            ("no destination", "type=bind,src=/s", Err(BindError::Missing("dst"))),
            ("an empty source", "src=,dst=/d", unknown("src=")),
            ("a relative destination", "src=/s,dst=d", Err(BindError::Target("d".into()))),
            ("a climbing destination", "src=/s,dst=/d/../..", Err(BindError::Target("/d/../..".into()))),
            ("another type", "type=tmpfs,dst=/d", Err(BindError::Type("tmpfs".into()))),
            ("a word with a value", "src=/s,dst=/d,ro=true", unknown("ro=true")),
            ("a misspelt word", "src=/s,dst=/d,readony", unknown("readony")),
            ("contradiction", "src=/s,dst=/d,ro,rw", Err(BindError::Twice("rw".into()))),
            ("two sources", "src=/s,source=/t,dst=/d", Err(BindError::Twice("source=/t".into()))),
            ("a comma too many", "src=/s,dst=/d,", unknown("")),
            ("the old form", "/s:/d", unknown("/s:/d")),
        ];
        for (summary, text, want) in table {
            assert_eq!(&Bind::parse(OsStr::new(text)), want, "{summary}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let _ = Bind::parse(OsStr::from_bytes(&text));
        }

        #[test]
        fn what_oocana_writes_is_what_is_read(
            source in "/[^,\0]{0,20}",
            target in "/[a-z =]{0,20}",
            read_only: bool,
            recursive: bool,
        ) {
            let access = if read_only { "ro" } else { "rw" };
            let depth = if recursive { "recursive" } else { "nonrecursive" };
            let text = format!("type=bind,src={source},dst={target},{access},{depth}");
            let want = Bind { source: source.into(), target: target.into(), read_only, recursive };
            proptest::prop_assert_eq!(Bind::parse(OsStr::new(&text)), Ok(want));
        }
    }
}
