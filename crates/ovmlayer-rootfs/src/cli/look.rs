//! What the commands take that look at trees and images.

use std::path::PathBuf;

use clap::Args;
use image::Platform;
use image::sbom::Form;

use super::{Network, Registries};

/// What `inspect` takes.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A tar, a folder, an image layout or archive, or a reference into a registry.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Write a page for a browser that shows where the bytes are.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// How many of the largest files and directories are listed.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(crate) top: u16,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
}

/// What `diff` takes.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// What it was: a tar, a folder, an image layout or archive, or a reference into a registry.
    #[arg(value_name = "BEFORE")]
    pub(crate) before: String,
    /// What it is now.
    #[arg(value_name = "AFTER")]
    pub(crate) after: String,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
}

/// What `sbom` takes.
#[derive(Debug, Args)]
pub(crate) struct Sbom {
    /// A tar, a folder, an image layout or archive, or a reference into a registry.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Which kind of document: `spdx` (SPDX 2.3) or `cyclonedx` (CycloneDX 1.6), both as JSON.
    #[arg(long, value_name = "FORMAT", default_value_t = Form::Spdx)]
    pub(crate) format: Form,
    /// Write it to a file instead of printing it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Store it beside the image, in its layout or registry, as a referrer. The image and its digest stay as they are.
    #[arg(long, conflicts_with = "output")]
    pub(crate) attach: bool,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) registries: Registries,
    #[command(flatten)]
    pub(crate) network: Network,
}

/// Which image of several.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// Which image of several: `linux/arm64`, or an architecture alone [default: the only one, or this machine's].
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
}
