//! Bills of materials: what is in a tree, in the words of SPDX 2.3 and CycloneDX 1.6.
//!
//! What enters: an [`Inventory`], what it is of, and one time. What leaves: a document whose bytes depend on nothing else;
//! its own name is derived from them.

mod cyclonedx;
mod purl;
mod spdx;
mod text;

use std::fmt;
use std::str::FromStr;

use cache::Digest;

use crate::inventory::Inventory;
use crate::media;

pub use purl::{deb_purl, npm_purl, purl, pypi_purl};

/// The version of what is made of the same inventory. It is part of every document's name, and changes when the documents
/// do.
const FORMAT: u32 = 1;

/// Which kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// SPDX 2.3 as JSON (ISO/IEC 5962).
    #[default]
    Spdx,
    /// CycloneDX 1.6 as JSON (ECMA-424).
    CycloneDx,
}

/// What a document is about and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name: of a file without its folder, of an image without its registry.
    pub name: String,
    /// The digest of the file, or of the image's manifest; a folder has none.
    pub digest: Option<Digest>,
    /// Whether it is an image.
    pub is_image: bool,
    /// When the document counts as made, in seconds since 1970: never the time of day, or no two were equal.
    pub created: i64,
    /// The program that made it, with its version: `ovmlayer-rootfs-0.1.0`.
    pub tool: String,
}

impl Form {
    /// The media type of its documents.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Spdx => media::SPDX,
            Self::CycloneDx => media::CYCLONEDX,
        }
    }

    /// The document, with a line feed at its end.
    #[must_use]
    pub fn document(self, subject: &Subject, inventory: &Inventory) -> Vec<u8> {
        let mut bytes = match self {
            Self::Spdx => spdx::document(subject, inventory),
            Self::CycloneDx => cyclonedx::document(subject, inventory),
        };
        bytes.push(b'\n');
        bytes
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spdx => "spdx",
            Self::CycloneDx => "cyclonedx",
        })
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "spdx" => Ok(Self::Spdx),
            "cyclonedx" => Ok(Self::CycloneDx),
            _ => Err(format!("`{text}` is not a kind of document: there are spdx and cyclonedx")),
        }
    }
}
