//! Names of layers and of merge points.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The folder in a store that may hold the root filesystem; never the name of a layer.
pub(crate) const BASE_ROOTFS: &str = "base_rootfs";

/// The greatest length in bytes: a name gets suffixes of ours and must stay a file name.
const MAX: usize = 200;

macro_rules! name {
    ($(#[$documentation:meta])* $type:ident, $what:literal) => {
        $(#[$documentation])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks a name.
            ///
            /// # Errors
            /// [`Error::Name`] says what is wrong with it.
            pub fn new(name: impl Into<String>) -> Result<Self> {
                let name = name.into();
                match problem(&name) {
                    None => Ok(Self(name)),
                    Some(why) => Err(Error::Name { what: $what, name: shown(&name), why }),
                }
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<Path> for $type {
            fn as_ref(&self) -> &Path {
                self.0.as_ref()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(name: String) -> Result<Self> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

name! {
    /// The name of a layer: one file name that fits on one line and can stand before a `:`.
    ///
    /// 1 to 200 bytes of UTF-8, no `/`, `:` or control character, no `.` or `-` at the beginning, no space at either
    /// end, and not `base_rootfs`.
    LayerName, "layer"
}

name! {
    /// The name of a merge point; the same rules as for a [`LayerName`].
    PointName, "merge point"
}

fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX {
        Some("it is longer than 200 bytes")
    } else if name == BASE_ROOTFS {
        Some("this name is reserved for the root filesystem")
    } else if name.starts_with(['.', '-']) {
        Some("it begins with `.` or `-`")
    } else if name.contains(['/', ':']) {
        Some("it contains `/` or `:`")
    } else if name.chars().any(char::is_control) {
        Some("it contains a control character")
    } else if name.trim() != name {
        Some("it begins or ends with a space")
    } else {
        None
    }
}

/// What of a bad name is safe to print.
fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let table: &[(&str, bool)] = &[
            ("l1", true),
            ("layer_0a1b_2c3d", true),
            ("python_executor", true),
            ("merge-1717", true),
            ("a.b@1.0+x", true),
            ("with space", true),
            ("schicht_ä", true),
            ("", false),
            (".", false),
            ("..", false),
            (".hidden", false),
            ("-l", false),
            ("a/b", false),
            ("a:b", false),
            ("a\nb", false),
            (" a", false),
            ("a ", false),
            ("base_rootfs", false),
        ];
        for (name, good) in table {
            assert_eq!(LayerName::new(*name).is_ok(), *good, "{name:?}");
            assert_eq!(PointName::new(*name).is_ok(), *good, "{name:?}");
        }
        assert!(LayerName::new("x".repeat(200)).is_ok());
        assert!(LayerName::new("x".repeat(201)).is_err());
    }

    #[test]
    fn a_bad_name_is_shown_without_its_control_characters() {
        let message = LayerName::new("a\x1b[31m").unwrap_err().to_string();
        assert!(!message.contains('\x1b'), "{message:?}");
    }
}
