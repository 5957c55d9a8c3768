//! Layers and settings into images.

use std::collections::BTreeMap;

use super::Layer;
use crate::{Config, Descriptor, Error, History, Index, Manifest, Platform, Process, Result, RootFs, Target};
use crate::{manifest::LAYER_LIMIT, media};

/// An image for one platform in the making.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    config: Config,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
}

impl ImageBuilder {
    /// An image without layers for `platform`, made at `created`, in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Time`] for a time that no calendar has.
    pub fn new(platform: &Platform, created: i64) -> Result<Self> {
        let rootfs = RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() };
        let config = Config {
            created: Some(timestamp(created)?),
            author: None,
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            config: Process::default(),
            rootfs,
            history: Vec::new(),
        };
        Ok(Self { config, layers: Vec::new(), annotations: BTreeMap::new() })
    }

    /// An image on top of another one, whose layers are in the target already: its layers come first, with their history,
    /// and its settings are there to be changed.
    ///
    /// # Errors
    /// [`Error::Time`]; [`Error::NoLayer`] for a layer that cannot be passed on.
    pub fn on(parent: &Manifest, config: &Config, created: i64) -> Result<Self> {
        let config = Config { created: Some(timestamp(created)?), ..config.clone() };
        let layers = parent.layers.iter().map(passed_on).collect::<Result<_>>()?;
        Ok(Self { config, layers, annotations: BTreeMap::new() })
    }

    /// How the image is run.
    pub fn process(&mut self) -> &mut Process {
        &mut self.config.config
    }

    /// Adds a free word about it to its manifest.
    pub fn annotate(&mut self, name: &str, value: &str) {
        self.annotations.insert(name.to_owned(), value.to_owned());
    }

    /// Puts a layer on top; `created_by` says how it came to be.
    pub fn push(&mut self, layer: &Layer, created_by: &str) {
        self.layers.push(layer.descriptor.clone());
        self.config.rootfs.diff_ids.push(layer.diff_id);
        self.config.history.push(History {
            created: self.config.created.clone(),
            created_by: Some(created_by.to_owned()),
            ..History::default()
        });
    }

    /// Writes the configuration and the manifest, whose layers are there, and gives the manifest's descriptor with its
    /// platform.
    ///
    /// # Errors
    /// [`Error::TooManyLayers`]; those of the target.
    pub fn write(self, target: &dyn Target) -> Result<Descriptor> {
        if self.layers.len() > LAYER_LIMIT {
            let what = format!("an image of {}", self.config.platform());
            return Err(Error::TooManyLayers { what, count: self.layers.len() });
        }
        let platform = self.config.platform();
        let bytes = self.config.to_bytes();
        let config = Descriptor::of(media::CONFIG, &bytes);
        target.put(&config, &mut &bytes[..])?;
        let manifest = Manifest { annotations: self.annotations, ..Manifest::new(config, self.layers) };
        let bytes = manifest.to_bytes();
        let descriptor = Descriptor::of(media::MANIFEST, &bytes);
        target.put_manifest(&descriptor, &bytes)?;
        Ok(Descriptor { platform: Some(platform), ..descriptor })
    }
}

/// Writes an index of `images`, in the order of their platforms, and gives it the names in `tags`.
///
/// # Errors
/// Those of the target.
pub fn put_index(
    target: &dyn Target,
    mut images: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
    tags: &[String],
) -> Result<Descriptor> {
    images.sort_by_key(|image| image.platform.as_ref().map(Platform::to_string));
    let bytes = Index { annotations, ..Index::new(images) }.to_bytes();
    let descriptor = Descriptor::of(media::INDEX, &bytes);
    target.put_manifest(&descriptor, &bytes)?;
    for tag in tags {
        target.tag(&descriptor, &bytes, tag)?;
    }
    Ok(descriptor)
}

/// A layer of another image as a manifest of ours names it.
fn passed_on(layer: &Descriptor) -> Result<Descriptor> {
    let Some(media_type) = media::oci_layer(&layer.media_type) else {
        return Err(Error::NoLayer { what: layer.digest_text(), found: layer.media_type.clone() });
    };
    Ok(Descriptor::new(media_type, layer.digest, layer.size))
}

/// A time in seconds since 1970 as RFC 3339 spells it.
///
/// # Errors
/// [`Error::Time`] for a time that no calendar has.
pub fn timestamp(seconds: i64) -> Result<String> {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => Ok(time.to_string()),
        Err(_) => Err(Error::Time { seconds }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, read_small};

    #[test]
    fn times_are_spelled_as_in_rfc_3339() {
        assert_eq!(timestamp(0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_704_067_201).unwrap(), "2024-01-01T00:00:01Z");
        assert!(timestamp(i64::MAX).is_err());
    }

    #[test]
    fn an_image_on_another_one_has_its_layers_and_settings() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let layer = |bytes: &[u8]| Layer {
            descriptor: Descriptor::of(media::LAYER, bytes),
            diff_id: cache::Digest::of(bytes),
            size: bytes.len() as u64,
        };
        let mut parent = ImageBuilder::new(&Platform::linux("arm64"), 0).unwrap();
        parent.process().user = "app".to_owned();
        parent.push(&layer(b"1"), "one");
        let parent = parent.write(&layout).unwrap();
        let manifest = Manifest::parse(&read_small(&layout, &parent).unwrap(), "it").unwrap();
        let config = Config::parse(&read_small(&layout, &manifest.config).unwrap(), "it").unwrap();
        let mut child = ImageBuilder::on(&manifest, &config, 60).unwrap();
        child.push(&layer(b"2"), "two");
        child.annotate("a", "b");
        let child = child.write(&layout).unwrap();
        assert_eq!(child.platform, Some(Platform::linux("arm64")));
        let manifest = Manifest::parse(&read_small(&layout, &child).unwrap(), "it").unwrap();
        let config = Config::parse(&read_small(&layout, &manifest.config).unwrap(), "it").unwrap();
        assert_eq!(manifest.layers, [layer(b"1").descriptor, layer(b"2").descriptor]);
        assert_eq!(manifest.annotations.get("a").map(String::as_str), Some("b"));
        assert_eq!(config.rootfs.diff_ids, [layer(b"1").diff_id, layer(b"2").diff_id]);
        assert_eq!((config.config.user.as_str(), config.history.len()), ("app", 2));
        assert_eq!(config.created.as_deref(), Some("1970-01-01T00:01:00Z"));
    }
}
