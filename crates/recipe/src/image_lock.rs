//! The lock of a recipe that is made from an image: the image by its digest, and what it holds for each architecture.

use std::path::Path;

use cache::Digest;
use image::{Descriptor, Image};
use serde::{Deserialize, Serialize};

use crate::{Error, lock};

/// The version of the format that this program reads and writes.
pub const FORMAT: u32 = 1;

/// The size in bytes above which a file is not read as a lock.
const MAX_SIZE: u64 = 16 << 20;

/// What an image is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageLock {
    /// The format's version: [`FORMAT`].
    pub format: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The image as the recipe or the command line names it.
    pub from: String,
    /// The SHA-256 of the index or manifest that it names.
    pub sha256: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// The image for each architecture.
    #[serde(default, rename = "image")]
    pub images: Vec<LockedImage>,
}

/// The image for one architecture; everything by its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedImage {
    /// The architecture.
    pub architecture: String,
    /// The manifest.
    pub manifest: Digest,
    /// The configuration.
    pub config: Digest,
    /// The layers as they are stored, the lowest first.
    pub layers: Vec<Digest>,
}

impl ImageLock {
    /// A lock without images.
    #[must_use]
    pub fn new(recipe: &str, from: &str, root: &Descriptor) -> Self {
        Self {
            format: FORMAT,
            recipe: recipe.to_owned(),
            from: from.to_owned(),
            sha256: root.digest,
            media_type: root.media_type.clone(),
            size: root.size,
            images: Vec::new(),
        }
    }

    /// Adds the image for `architecture`.
    pub fn add(&mut self, architecture: &str, image: &Image) {
        self.images.push(LockedImage {
            architecture: architecture.to_owned(),
            manifest: image.descriptor.digest,
            config: image.manifest.config.digest,
            layers: image.manifest.layers.iter().map(|layer| layer.digest).collect(),
        });
    }

    /// What names the index or manifest.
    #[must_use]
    pub fn root(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.sha256, self.size)
    }

    /// The image for `architecture`.
    #[must_use]
    pub fn image(&self, architecture: &str) -> Option<&LockedImage> {
        self.images.iter().find(|image| image.architecture == architecture)
    }

    /// Reads a lock from `text`; `path` is what messages call it.
    ///
    /// # Errors
    /// [`Error::LockSyntax`] for anything that is not a lock of [`FORMAT`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        lock::parse(text, path, FORMAT, |lock: &Self| lock.format)
    }

    /// Reads the lock at `path`; none when there is none.
    ///
    /// # Errors
    /// [`Error::LockSyntax`], or [`Error::Io`] when it cannot be read.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        crate::output::read_text(path, MAX_SIZE)?.map(|text| Self::parse(&text, path)).transpose()
    }

    /// The lock as text. The same lock gives the same text.
    ///
    /// # Errors
    /// [`Error::LockWrite`] when a value has no form in TOML.
    pub fn to_text(&self) -> Result<String, Error> {
        let body = toml::to_string(self).map_err(|error| Error::LockWrite { message: error.to_string() })?;
        Ok(format!(
            "# Made by ovmlayer-rootfs: the image that the recipe `{}` is made from. Do not edit.\n{body}",
            self.recipe
        ))
    }

    /// What is different in `newer`, one line each, in words.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.from != newer.from {
            changes.push(format!("image {} -> {}", self.from, newer.from));
        }
        for image in &newer.images {
            let architecture = &image.architecture;
            match self.image(architecture) {
                None => changes.push(format!("{architecture}: sha256:{} is new", image.manifest)),
                Some(before) if before.manifest != image.manifest => {
                    let kept = image.layers.iter().filter(|layer| before.layers.contains(layer)).count();
                    let (old, new, all) = (before.manifest, image.manifest, image.layers.len());
                    changes.push(format!(
                        "{architecture}: sha256:{old} -> sha256:{new}, {kept} of {all} layers are the same"
                    ));
                }
                Some(_) => {}
            }
        }
        let gone = self.images.iter().filter(|image| newer.image(&image.architecture).is_none());
        changes.extend(gone.map(|image| format!("{}: left out", image.architecture)));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(images: &[(&str, &str, &[&str])]) -> ImageLock {
        let mut lock = ImageLock::new("r", "example.org/a:1", &Descriptor::of(image::media::INDEX, b"{}"));
        let digest = |text: &str| Digest::of(text.as_bytes());
        lock.images.extend(images.iter().map(|(architecture, manifest, layers)| LockedImage {
            architecture: (*architecture).to_owned(),
            manifest: digest(manifest),
            config: digest("config"),
            layers: layers.iter().map(|layer| digest(layer)).collect(),
        }));
        lock
    }

    #[test]
    fn a_lock_survives_writing_and_reading() {
        let lock = lock(&[("amd64", "m", &["a", "b"]), ("arm64", "n", &[])]);
        let text = lock.to_text().expect("text");
        assert_eq!(ImageLock::parse(&text, Path::new("r.lock")).expect("a lock"), lock);
        assert_eq!(lock.root(), Descriptor::of(image::media::INDEX, b"{}"));
        for (summary, broken, word) in [
            (
                "a newer format",
                text.replace("format = 1", "format = 2"),
                "r.lock:1: lock format 2 is not known",
            ),
            ("another key", format!("colour = 1\n{text}"), "unknown field `colour`"),
            ("a lock of packages", "format = 1\nrecipe = \"r\"\nsuite = \"trixie\"\n".to_owned(), "`suite`"),
        ] {
            let message = ImageLock::parse(&broken, Path::new("r.lock")).expect_err("refused").to_string();
            assert!(message.contains(word), "{summary}: {message}");
        }
    }

    #[test]
    fn changes_are_told_in_words() {
        let old = lock(&[("amd64", "one", &["a", "b"]), ("s390x", "gone", &[])]);
        let new = lock(&[("amd64", "two", &["a", "c", "d"]), ("arm64", "new", &[])]);
        let changes = old.changes(&new);
        assert_eq!(changes.len(), 3, "{changes:?}");
        assert!(
            changes[0].starts_with("amd64: sha256:") && changes[0].ends_with("1 of 3 layers are the same")
        );
        assert!(changes[1].starts_with("arm64: sha256:") && changes[1].ends_with(" is new"));
        assert_eq!(changes[2], "s390x: left out");
        assert_eq!(old.changes(&old), [] as [&str; 0]);
    }
}
