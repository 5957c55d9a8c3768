//! Facts about the distributions that recipes build from.

use std::fmt;
use std::str::FromStr;

use archive::mirror::Distribution;
use serde::{Deserialize, Serialize};

/// The architectures that recipes may name, by Debian's names.
pub const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// A distribution that recipes can be built from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distro {
    /// Ubuntu, the default.
    #[default]
    Ubuntu,
    /// Debian.
    Debian,
}

/// What is true of a distribution, whatever the recipe.
#[derive(Debug)]
pub struct Facts {
    /// The current LTS or stable release.
    pub suite: &'static str,
    /// The components that a base image has.
    pub components: &'static [&'static str],
    /// The keyring package's file, which the root's own apt verifies with.
    pub keyring: &'static str,
}

impl Distro {
    /// Its facts.
    #[must_use]
    pub fn facts(self) -> &'static Facts {
        match self {
            Self::Ubuntu => &Facts {
                suite: "resolute",
                components: &["main", "universe"],
                keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
            },
            Self::Debian => &Facts {
                suite: "trixie",
                components: &["main"],
                keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
            },
        }
    }

    /// The distribution as the archive room knows it.
    #[must_use]
    pub(crate) fn distribution(self) -> Distribution {
        match self {
            Self::Ubuntu => Distribution::Ubuntu,
            Self::Debian => Distribution::Debian,
        }
    }

    /// Its name as it stands in recipes and locks.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ubuntu => "ubuntu",
            Self::Debian => "debian",
        }
    }
}

impl fmt::Display for Distro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Distro {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ubuntu" => Ok(Self::Ubuntu),
            "debian" => Ok(Self::Debian),
            other => {
                Err(format!("`{other}` is not a distribution that can be built from: `ubuntu` or `debian`"))
            }
        }
    }
}

/// The architecture of this machine, by Debian's name.
#[must_use]
pub fn machine_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "arm" => "armhf",
        other => other,
    }
}
