//! Which image is meant, of the several that an index may list.

use crate::{Blobs, Config, Descriptor, Error, Index, Manifest, Platform, Result, media, read_small};

/// How deep indices may lie in indices.
const NESTING: usize = 4;

/// An image for one platform: what it says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its manifest by digest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: Config,
}

impl Image {
    /// Opens the image that `found`, a manifest or an index, has for `platform`. Without one it is the only image, or else
    /// that for this machine.
    ///
    /// # Errors
    /// [`Error::NoPlatform`] when there is none or one has to be chosen; those of [`read_small`]; [`Error::Json`].
    pub fn open(blobs: &dyn Blobs, found: &Descriptor, platform: Option<&Platform>) -> Result<Self> {
        let descriptor = choose(blobs, found, platform, NESTING)?;
        let what = descriptor.digest_text();
        let manifest = Manifest::parse(&read_small(blobs, &descriptor)?, &what)?;
        if manifest.artifact_type.is_some() && !media::is_config(&manifest.config.media_type) {
            let message = "it is an artifact about something else, not an image".to_owned();
            return Err(Error::Json { what, message });
        }
        let config = Config::parse(&read_small(blobs, &manifest.config)?, &manifest.config.digest_text())?;
        if let Some(wanted) = platform.filter(|wanted| !config.platform().satisfies(wanted)) {
            return Err(Error::NoPlatform {
                place: blobs.name(),
                wanted: Some(wanted.to_string()),
                there: vec![config.platform().to_string()],
            });
        }
        Ok(Self { descriptor, manifest, config })
    }
}

fn choose(
    blobs: &dyn Blobs,
    found: &Descriptor,
    platform: Option<&Platform>,
    nesting: usize,
) -> Result<Descriptor> {
    if !media::is_index(&found.media_type) {
        return Ok(found.clone());
    }
    let what = found.digest_text();
    if nesting == 0 {
        return Err(Error::Json { what, message: "indices lie in indices more than four deep".to_owned() });
    }
    let index = Index::parse(&read_small(blobs, found)?, &what)?;
    // Builders list what they say about an image beside it, for an unknown platform.
    let is_image =
        |entry: &&Descriptor| entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown");
    let images: Vec<&Descriptor> = index.manifests.iter().filter(is_image).collect();
    let of = |wanted: &Platform| {
        images.iter().find(|entry| entry.platform.as_ref().is_some_and(|has| has.satisfies(wanted)))
    };
    let chosen = match (platform, &images[..]) {
        (Some(wanted), _) => of(wanted),
        (None, [only]) => Some(only),
        (None, _) => of(&this_machine()),
    };
    match chosen {
        Some(one) => choose(blobs, one, platform, nesting - 1),
        None => Err(Error::NoPlatform {
            place: blobs.name(),
            wanted: platform.map(ToString::to_string),
            there: images.iter().filter_map(|entry| Some(entry.platform.as_ref()?.to_string())).collect(),
        }),
    }
}

fn this_machine() -> Platform {
    Platform::linux(match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    })
}
