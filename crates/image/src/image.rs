//! From what a location names to one image for one platform.

use crate::blobs::read_small;
use crate::{Blobs, Config, Descriptor, Error, Index, Manifest, Platform, Result, media};

/// Indices within indices are followed so far.
const DEPTH: usize = 4;

/// The most documents that are looked at to find an image.
const DOCUMENTS: usize = 64;

/// The annotation by which attestations are known that stand in an index as if they were images.
const NOT_AN_IMAGE: &str = "vnd.docker.reference.type";

/// One image: its manifest and its configuration, whose digests were checked, and which fit each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What names the manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration. It has as many `diff_ids` as the manifest has layers.
    pub config: Config,
}

impl Image {
    /// The image for `wanted` that `root` is or leads to: the first one that fits.
    ///
    /// # Errors
    /// [`Error::NoPlatform`] with the platforms there are; [`Error::TooDeep`]; what is wrong with a document.
    pub fn find(blobs: &dyn Blobs, root: &Descriptor, wanted: &Platform) -> Result<Self> {
        let mut search = Search { blobs, wanted, root, documents: 0, seen: Vec::new() };
        match search.look(root, 0)? {
            Some(image) => Ok(image),
            None => Err(Error::NoPlatform {
                place: blobs.name(),
                wanted: wanted.clone(),
                found: std::mem::take(&mut search.seen),
            }),
        }
    }

    /// The image for `here` that `root` is or leads to; when there is none, the only one of any other platform.
    ///
    /// # Errors
    /// [`Error::NoPlatform`] when there are several others, of which one has to be chosen; else as [`Image::find`].
    pub fn find_any(blobs: &dyn Blobs, root: &Descriptor, here: &Platform) -> Result<Self> {
        let only = match Self::find(blobs, root, here) {
            Err(Error::NoPlatform { found, .. }) if found.len() == 1 => found[0].parse(),
            other => return other,
        };
        only.map_or_else(|_| Self::find(blobs, root, here), |only| Self::find(blobs, root, &only))
    }

    /// Reads the image whose manifest `descriptor` names.
    ///
    /// # Errors
    /// [`Error::LayerCount`], [`Error::NoLayer`], what is wrong with a document.
    pub fn read(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Self> {
        let manifest = read_manifest(blobs, descriptor)?;
        let what = || format!("image {} of {}", descriptor.digest_text(), blobs.name());
        if manifest.artifact_type.is_some() || manifest.config.media_type == media::EMPTY {
            return Err(Error::NoLayer { what: what(), found: "an artifact, no image".to_owned() });
        }
        if let Some(layer) = manifest.layers.iter().find(|layer| !media::is_layer(&layer.media_type)) {
            return Err(Error::NoLayer { what: layer.digest_text(), found: layer.media_type.clone() });
        }
        let config_bytes = read_small(blobs, &manifest.config)?;
        let of = format!("the configuration {} of {}", manifest.config.digest_text(), blobs.name());
        let config = Config::parse(&config_bytes, &of)?;
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(Error::LayerCount { what: what(), layers, diff_ids });
        }
        Ok(Self { descriptor: descriptor.clone(), manifest, config })
    }
}

fn read_manifest(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Manifest> {
    let bytes = read_small(blobs, descriptor)?;
    let what = format!("the manifest {} of {}", descriptor.digest_text(), blobs.name());
    let manifest = Manifest::parse(&bytes, &what)?;
    check_type(descriptor, manifest.media_type.as_deref(), what)?;
    Ok(manifest)
}

/// What says two things about itself would be one thing to one program and another to the next (CVE-2021-41190).
fn check_type(descriptor: &Descriptor, own: Option<&str>, what: String) -> Result<()> {
    match own {
        Some(own) if own != descriptor.media_type => {
            let (promised, found) = (descriptor.media_type.clone(), own.to_owned());
            Err(Error::MediaType { what, promised, found })
        }
        _ => Ok(()),
    }
}

struct Search<'a> {
    blobs: &'a dyn Blobs,
    wanted: &'a Platform,
    root: &'a Descriptor,
    /// How many have been read.
    documents: usize,
    /// Platforms that were met.
    seen: Vec<String>,
}

impl Search<'_> {
    fn look(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Option<Image>> {
        if let Some(platform) = &descriptor.platform
            && !platform.satisfies(self.wanted)
        {
            self.note(platform);
            return Ok(None);
        }
        self.documents += 1;
        if depth > DEPTH || self.documents > DOCUMENTS {
            let what = format!("index {} of {}", self.root.digest_text(), self.blobs.name());
            return Err(Error::TooDeep { what, limit: DEPTH });
        }
        if media::is_index(&descriptor.media_type) {
            return self.look_into(descriptor, depth);
        }
        if !media::is_manifest(&descriptor.media_type) {
            // A root must be what is asked for; beside images an index may list what it likes.
            if depth > 0 {
                return Ok(None);
            }
            let what = format!("{} of {}", descriptor.digest_text(), self.blobs.name());
            return Err(Error::NoLayer { what, found: descriptor.media_type.clone() });
        }
        let image = Image::read(self.blobs, descriptor)?;
        // The index may promise what it likes: what the image is for says its configuration.
        let platform = image.config.platform();
        if platform.satisfies(self.wanted) {
            return Ok(Some(image));
        }
        self.note(&platform);
        Ok(None)
    }

    fn look_into(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Option<Image>> {
        let what = format!("the index {} of {}", descriptor.digest_text(), self.blobs.name());
        let index = Index::parse(&read_small(self.blobs, descriptor)?, &what)?;
        check_type(descriptor, index.media_type.as_deref(), what)?;
        let is_image = |entry: &&Descriptor| {
            entry.artifact_type.is_none() && !entry.annotations.contains_key(NOT_AN_IMAGE)
        };
        for entry in index.manifests.iter().filter(is_image) {
            if let Some(image) = self.look(entry, depth + 1)? {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    fn note(&mut self, platform: &Platform) {
        let text = platform.to_string();
        if self.seen.len() < DOCUMENTS && !self.seen.contains(&text) {
            self.seen.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Read;

    use cache::Digest;

    use super::*;
    use crate::{Place, Process, RootFs, Verified};

    /// Contents in memory.
    #[derive(Default)]
    struct Memory(HashMap<Digest, Vec<u8>>);

    impl Place for Memory {
        fn name(&self) -> String {
            "memory".to_owned()
        }
    }

    impl Blobs for Memory {
        fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
            let missing = || Error::NoBlob { what: blob.digest_text(), place: self.name() };
            let bytes = self.0.get(&blob.digest).ok_or_else(missing)?;
            Ok(Box::new(Verified::new(&bytes[..], blob)))
        }
    }

    impl Memory {
        fn put(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
            let descriptor = Descriptor::of(media_type, &bytes);
            self.0.insert(descriptor.digest, bytes);
            descriptor
        }

        /// An image without layers, said to be for `platform`.
        fn image(&mut self, architecture: &str, platform: Option<&str>) -> Descriptor {
            let config = Config {
                created: None,
                author: None,
                architecture: architecture.to_owned(),
                os: "linux".to_owned(),
                variant: None,
                config: Process::default(),
                rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
                history: Vec::new(),
            };
            let config = self.put(media::CONFIG, config.to_bytes());
            let manifest = self.put(media::MANIFEST, Manifest::new(config, Vec::new()).to_bytes());
            Descriptor { platform: platform.map(|text| text.parse().unwrap()), ..manifest }
        }

        fn index(&mut self, entries: Vec<Descriptor>) -> Descriptor {
            self.put(media::INDEX, Index::new(entries).to_bytes())
        }
    }

    fn arm64() -> Platform {
        Platform::linux("arm64")
    }

    #[test]
    fn the_first_image_that_fits_is_found() {
        let mut memory = Memory::default();
        let (amd64, arm) =
            (memory.image("amd64", Some("amd64")), memory.image("arm64", Some("linux/arm64/v8")));
        let silent = Descriptor { platform: None, ..arm.clone() };
        let mut attestation = memory.image("arm64", Some("arm64"));
        attestation.annotations.insert(NOT_AN_IMAGE.to_owned(), "attestation-manifest".to_owned());
        let inner = memory.index(vec![amd64.clone(), arm.clone()]);
        for (summary, entries) in [
            ("in an index", vec![amd64.clone(), arm.clone()]),
            ("in an index within", vec![inner]),
            ("without a platform", vec![amd64, silent]),
            ("behind an attestation", vec![attestation, arm.clone()]),
        ] {
            let root = memory.index(entries);
            let image = Image::find(&memory, &root, &arm64()).unwrap();
            assert_eq!(image.descriptor.digest, arm.digest, "{summary}");
            assert_eq!(image.config.architecture, "arm64", "{summary}");
        }
        assert_eq!(Image::find(&memory, &arm, &arm64()).unwrap().descriptor.digest, arm.digest);
    }

    #[test]
    fn an_image_for_another_machine_is_not_taken() {
        let mut memory = Memory::default();
        let (amd64, liar) = (memory.image("amd64", Some("amd64")), memory.image("s390x", Some("arm64")));
        let root = memory.index(vec![amd64.clone(), liar]);
        let message = Image::find(&memory, &root, &arm64()).unwrap_err().to_string();
        assert_eq!(message, "memory has no image for linux/arm64: it has linux/amd64, linux/s390x");
        assert!(
            Image::find(&memory, &amd64, &arm64()).unwrap_err().to_string().contains("it has linux/amd64")
        );
    }

    #[test]
    fn without_a_choice_the_only_image_is_taken() {
        let mut memory = Memory::default();
        let (amd64, arm) = (memory.image("amd64", Some("amd64")), memory.image("riscv64", Some("riscv64")));
        let one = memory.index(vec![arm.clone()]);
        assert_eq!(Image::find_any(&memory, &one, &arm64()).unwrap().descriptor.digest, arm.digest);
        let two = memory.index(vec![amd64, arm]);
        let message = Image::find_any(&memory, &two, &arm64()).unwrap_err().to_string();
        assert_eq!(message, "memory has no image for linux/arm64: it has linux/amd64, linux/riscv64");
    }

    #[test]
    fn documents_that_lead_nowhere_or_lie_are_refused() {
        let mut memory = Memory::default();
        let mut deep = memory.image("arm64", None);
        for _ in 0..100 {
            deep = memory.index(vec![deep]);
        }
        assert!(matches!(Image::find(&memory, &deep, &arm64()), Err(Error::TooDeep { .. })));
        let many = (0..100).map(|number| memory.image(&format!("a{number}"), None)).collect();
        let wide = memory.index(many);
        assert!(matches!(Image::find(&memory, &wide, &arm64()), Err(Error::TooDeep { .. })));
        let image = memory.image("arm64", None);
        let two_things = Descriptor { media_type: media::DOCKER_MANIFEST.to_owned(), ..image.clone() };
        assert!(matches!(Image::find(&memory, &two_things, &arm64()), Err(Error::MediaType { .. })));
        let index = Descriptor { media_type: media::INDEX.to_owned(), ..image };
        assert!(matches!(Image::find(&memory, &index, &arm64()), Err(Error::Json { .. })));
        let text = memory.put("text/plain", b"hello".to_vec());
        assert!(matches!(Image::find(&memory, &text, &arm64()), Err(Error::NoLayer { .. })));
    }
}
