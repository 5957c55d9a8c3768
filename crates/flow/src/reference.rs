//! References to blocks, as they stand under `task`, `subflow`, `service` and `slotflow`.

use std::path::{Component, Path, PathBuf};

/// What a reference names, by its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `self::X`: a block of the same package.
    Own(String),
    /// A path from the root.
    Absolute(PathBuf),
    /// A path from the folder of the flow, `./X` or `../X`.
    Relative(PathBuf),
    /// `PACKAGE::X`: a block of another package.
    Package {
        /// The name of the package, `@scope/name` too.
        package: String,
        /// The name of the block.
        block: String,
    },
    /// Anything else: a name beneath a search path or the folder of the flow.
    Direct(String),
}

impl Reference {
    /// Tells the form of a reference.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("self::") {
            return Self::Own(name.to_owned());
        }
        if Path::new(text).is_absolute() {
            return Self::Absolute(PathBuf::from(text));
        }
        if text.starts_with("./") || text.starts_with("../") {
            return Self::Relative(PathBuf::from(text));
        }
        let mut parts = text.split("::");
        match (parts.next(), parts.next()) {
            (Some(package), Some(block)) if !package.is_empty() && !block.is_empty() => {
                Self::Package { package: package.to_owned(), block: block.to_owned() }
            }
            _ => Self::Direct(text.to_owned()),
        }
    }

    /// The package that is named, when it is another one.
    #[must_use]
    pub fn package(&self) -> Option<&str> {
        match self {
            Self::Package { package, .. } => Some(package),
            _ => None,
        }
    }
}

/// A path without `.` and `..`, by its text alone: links are not followed.
#[must_use]
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                let can_pop = matches!(clean.components().next_back(), Some(Component::Normal(_)));
                if can_pop {
                    clean.pop();
                } else if !clean.has_root() {
                    clean.push("..");
                }
            }
            part => clean.push(part),
        }
    }
    if clean.as_os_str().is_empty() { PathBuf::from(".") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let package = |package: &str, block: &str| Reference::Package {
            package: package.to_owned(),
            block: block.to_owned(),
        };
        let cases = [
            ("self::a", Reference::Own("a".into())),
            ("self::a::b", Reference::Own("a::b".into())),
            ("/x/y", Reference::Absolute("/x/y".into())),
            ("./a", Reference::Relative("./a".into())),
            ("../a/b", Reference::Relative("../a/b".into())),
            ("p::b", package("p", "b")),
            ("@s/p::b::c", package("@s/p", "b")),
            ("::b", Reference::Direct("::b".into())),
            ("p::", Reference::Direct("p::".into())),
            ("a/b", Reference::Direct("a/b".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(Reference::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_are_cleaned_by_their_text() {
        for (path, expected) in [("/a/../b/./c", "/b/c"), ("a/../..", ".."), ("/..", "/"), ("a/..", ".")] {
            assert_eq!(clean(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
