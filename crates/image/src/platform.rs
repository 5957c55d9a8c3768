//! Which machines an image is for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operating system and an architecture by Go's names (image specification, "OCI Image Index").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64` …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Of the operating system; said of Windows alone.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Of the architecture: `v8` of arm64, `v7` of arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on `architecture`.
    #[must_use]
    pub fn linux(architecture: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            os_version: None,
            variant: None,
        }
    }

    /// Whether an image for `self` is what somebody wants who asks for `wanted`: a variant counts only when one is asked
    /// for, and `v8` is what every arm64 is.
    #[must_use]
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        let variant = |platform: &Platform| match (platform.architecture.as_str(), &platform.variant) {
            ("arm64", Some(variant)) if variant == "v8" => None,
            (_, variant) => variant.clone(),
        };
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && variant(wanted).is_none_or(|asked| variant(self) == Some(asked))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl std::str::FromStr for Platform {
    type Err = String;

    /// Reads `OS/ARCHITECTURE[/VARIANT]`, or an architecture alone, which means Linux.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !parts.iter().all(|part| word(part)) {
            return Err(format!("`{text}` is not a platform, such as `linux/amd64`"));
        }
        match parts[..] {
            [architecture] => Ok(Self::linux(architecture)),
            [os, architecture] => Ok(Self { os: os.to_owned(), ..Self::linux(architecture) }),
            [os, architecture, variant] => {
                let variant = Some(variant.to_owned());
                Ok(Self { os: os.to_owned(), variant, ..Self::linux(architecture) })
            }
            _ => Err(format!("`{text}` is not a platform, such as `linux/amd64`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_satisfied_with_what() {
        for (summary, has, wants, expected) in [
            ("the same", "linux/amd64", "linux/amd64", true),
            ("an architecture alone", "linux/amd64", "amd64", true),
            ("another architecture", "linux/amd64", "linux/arm64", false),
            ("another system", "windows/amd64", "linux/amd64", false),
            ("v8 is nothing special", "linux/arm64/v8", "linux/arm64", true),
            ("nothing special is v8", "linux/arm64", "linux/arm64/v8", true),
            ("any variant for who names none", "linux/arm/v7", "linux/arm", true),
            ("another variant", "linux/arm/v7", "linux/arm/v6", false),
        ] {
            let (has, wants): (Platform, Platform) = (has.parse().unwrap(), wants.parse().unwrap());
            assert_eq!(has.satisfies(&wants), expected, "{summary}");
        }
        for bad in ["", "a/b/c/d", "linux/", "a b"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
