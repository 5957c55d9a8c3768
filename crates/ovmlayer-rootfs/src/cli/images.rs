//! What the commands for images in registries take.

use std::path::PathBuf;

use clap::Args;
use image::sbom::Form;
use image::{Location, Platform, Reference};

use super::Network;

/// What `pull` takes.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Which image: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
    #[arg(value_name = "REF")]
    pub(crate) source: Reference,
    /// Where to: a folder, or `oci:DIR[:TAG]` [default tag: that of REF, or latest].
    #[arg(value_name = "DEST", value_parser = layout)]
    pub(crate) target: Location,
    #[command(flatten)]
    pub(crate) parts: Parts,
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
}

/// What `push` takes.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Which image: a layout (its folder, or `oci:DIR[:TAG]`), an archive, or a reference.
    #[arg(value_name = "SRC", value_parser = Location::guess)]
    pub(crate) source: Location,
    /// Where to, and what to call it there: `[REGISTRY/]REPOSITORY[:TAG]`.
    #[arg(value_name = "REF", required = true)]
    pub(crate) targets: Vec<Reference>,
    #[command(flatten)]
    pub(crate) parts: Parts,
    #[command(flatten)]
    pub(crate) signing: Signing,
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
}

/// What `copy` takes.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// Which image: a reference, a layout (its folder, or `oci:DIR[:TAG]`), or an archive (`oci-archive:`, `docker-archive:`).
    #[arg(value_name = "SRC", value_parser = Location::guess)]
    pub(crate) source: Location,
    /// Where to: a reference, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:NAME]`.
    #[arg(value_name = "DEST", value_parser = Location::guess)]
    pub(crate) target: Location,
    #[command(flatten)]
    pub(crate) parts: Parts,
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
}

/// What `build` makes of images beyond writing them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct Publish {
    /// What an image is called in its layout or archive; can be given several times [default: latest].
    #[arg(long, value_name = "TAG", value_parser = tag)]
    pub(crate) tag: Vec<String>,
    /// Put a bill of materials beside the image or layer of each architecture: spdx (SPDX 2.3), cyclonedx (CycloneDX 1.6), or
    /// both.
    ///
    /// The image and its digest stay as they are without it. That of a layer is a file beside it.
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub(crate) sbom: Vec<Form>,
    /// Put a statement beside the image that says what it was made of (SLSA provenance 1.0).
    #[arg(long)]
    pub(crate) provenance: bool,
    /// Write layers as an OCI image as well: a layout called like the recipe, in which each architecture has one layer.
    #[arg(long)]
    pub(crate) oci: bool,
    /// Send the image to this reference when it is built, with what was put beside it; can be given several times.
    #[arg(long, value_name = "REF")]
    pub(crate) push: Vec<Reference>,
    #[command(flatten)]
    pub(crate) signing: Signing,
}

/// Whether what was sent is signed.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// Sign what was sent, by the program cosign: with KEY, or else with the identity that it finds.
    #[arg(long, value_name = "KEY", num_args = 0..=1, default_missing_value = "", require_equals = true)]
    pub(crate) sign: Option<String>,
}

/// Which parts of an image go along.
#[derive(Debug, Args)]
pub(crate) struct Parts {
    /// Only this platform, such as linux/arm64, and not all there are; can be given several times.
    ///
    /// One platform makes a copy of its manifest alone; several make a new index of these, with a digest of its own.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Vec<Platform>,
    /// Copy what is about the image as well: signatures, bills of materials, provenance.
    #[arg(long)]
    pub(crate) referrers: bool,
}

/// How much is done at the same time.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// How many contents are transferred at the same time.
    #[arg(long, short, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
}

/// How registries are reached, and who we are there.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct Registries {
    /// Trust the certificates in this file (PEM) beside those of the machine; can be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// Speak to this registry without TLS: HOST, or HOST:PORT. Those of this machine need not be named.
    #[arg(long, value_name = "HOST")]
    pub(crate) plain_http: Vec<String>,
    /// Log in as this user, at HOST alone if that is given; can be given several times.
    ///
    /// Everybody on the machine can read command lines: without PASSWORD it is taken from OVMLAYER_REGISTRY_PASSWORD, and `-`
    /// in its place reads a line of standard input. OVMLAYER_REGISTRY_USER (and OVMLAYER_REGISTRY_HOST) do without the option.
    /// Else who we are is looked for in REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json and
    /// ~/.docker/config.json with its credential helpers.
    #[arg(long, value_name = "[HOST=]USER[:PASSWORD]")]
    pub(crate) creds: Vec<String>,
}

fn tag(text: &str) -> Result<String, String> {
    match format!("localhost/image:{text}").parse::<Reference>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a tag has letters, digits, `_`, `.` and `-`, 128 at most".to_owned()),
    }
}

/// A place on disk: what has no prefix is a folder.
fn layout(text: &str) -> Result<Location, String> {
    if text.contains("://") {
        return Err("images are pulled into a folder; `copy` goes from registry to registry".to_owned());
    }
    if text.starts_with("oci:") {
        return text.parse().map_err(|error: image::ReferenceSyntax| error.to_string());
    }
    Ok(Location::Layout { path: text.into(), tag: None })
}
