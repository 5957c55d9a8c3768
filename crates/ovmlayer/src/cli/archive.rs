//! Layers into files and back.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use layers::LayerName;

/// Write layers into one file.
///
/// The name says the compression: `.tar.zst`, `.tar.gz` or `.tar.xz`, none for any other. The same layers give
/// the same bytes. A file that is there already is replaced when the new one is complete.
#[derive(Debug, Args)]
#[command(after_help = "Example: ovmlayer export -l python -l numpy --dest layers.tar.zst")]
pub(crate) struct Export {
    /// A layer. Can be given several times; the order is kept.
    #[arg(long, short, value_name = "NAME", required = true)]
    pub(crate) layer: Vec<LayerName>,
    /// The file.
    #[arg(long, value_name = "FILE")]
    pub(crate) dest: PathBuf,
    /// `ovmlayer`, which holds any number of layers by name, or `oci`, a layer of a container image.
    #[arg(long, value_enum, value_name = "FORM", default_value = "ovmlayer")]
    pub(crate) format: Form,
}

/// Read layers from a file.
///
/// Layers get the names they were exported under and replace those that exist. The compression is seen from the file.
/// Either all layers of the file are there afterwards, or nothing has changed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ovmlayer import layers.tar.zst
  ovmlayer import --rename executor amd64-executor.tar
  ovmlayer import --format oci --rename tools layer.tar.gz")]
pub(crate) struct Import {
    /// The file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Give the layer this name; only for a file with one layer.
    #[arg(long, value_name = "NAME")]
    pub(crate) rename: Option<LayerName>,
    /// `ovmlayer`, as `export` writes it, or `oci`, a layer of a container image, which needs --rename.
    #[arg(long, value_enum, value_name = "FORM", default_value = "ovmlayer")]
    pub(crate) format: Form,
    /// Move the layers on to the external store, which lies here.
    #[arg(long, value_name = "DIR")]
    pub(crate) external: Option<PathBuf>,
}

/// What an archive looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Our own.
    Ovmlayer,
    /// A layer of a container image.
    Oci,
}
