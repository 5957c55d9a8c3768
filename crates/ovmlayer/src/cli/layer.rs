//! What makes, stacks, shows and removes layers.

use clap::{Args, Subcommand};
use layers::{LayerName, PointName};

/// Create an empty layer.
///
/// It is an error when there is a layer of this name already, in any store.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The name: without `/`, `:` and control characters, and not beginning with a dot or a dash.
    #[arg(value_name = "NAME")]
    pub(crate) name: LayerName,
}

/// Delete a layer.
///
/// A layer that does not exist is no error. One that a merge point uses is refused: `unmerge` it first.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The layer.
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) name: Option<LayerName>,
    /// Unmerge every merge point and delete every layer of the runtime store. The other stores, which may be shared,
    /// stay as they are, and so do the setup and the root filesystem.
    #[arg(long)]
    pub(crate) all: bool,
}

/// What can be listed.
#[derive(Debug, Subcommand)]
pub(crate) enum List {
    /// Print the names of layers, one a line.
    #[command(visible_alias = "layer")]
    Layers(ListLayers),
    /// Print the names of merge points, one a line.
    #[command(visible_alias = "merged-point")]
    MergedPoints,
}

/// What `list layers` takes.
#[derive(Debug, Args)]
pub(crate) struct ListLayers {
    /// Only layers that a merge point uses, at any position.
    #[arg(long, conflicts_with = "unused")]
    pub(crate) used: bool,
    /// Only layers that no merge point uses.
    #[arg(long)]
    pub(crate) unused: bool,
}

/// Mount layers over the root filesystem at a merge point.
///
/// The root filesystem is always lowest. What is written goes to the last layer, which must be in the runtime store.
/// The same layer can be a lower one of several merge points, but the top of one only.
#[derive(Debug, Args)]
#[command(after_help = "Example: ovmlayer merge -l python -l numpy -l mine -m work    mine is written to")]
pub(crate) struct Merge {
    /// A layer, the lowest first. Can be given several times.
    #[arg(long, short, value_name = "NAME", required = true)]
    pub(crate) layer: Vec<LayerName>,
    /// The name of the merge point.
    #[arg(long, short, value_name = "POINT")]
    pub(crate) merged_point: PointName,
}

/// Unmount a merge point.
///
/// Its layers stay. A merge point that does not exist is no error. One that is busy vanishes as soon as it no longer
/// is; its name can be used again at once.
#[derive(Debug, Args)]
pub(crate) struct Unmerge {
    /// The merge point.
    #[arg(value_name = "POINT")]
    pub(crate) point: PointName,
}

/// Move a layer from the runtime store to the external store.
///
/// A layer of that name in the external store is replaced. When the layer is there already, nothing is done. It can be
/// tried again after a failure: the layer is at all times whole in one of the two.
#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The layer.
    #[arg(value_name = "NAME")]
    pub(crate) name: LayerName,
}

/// Show where a layer is, what it holds and what uses it.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The layer.
    #[arg(value_name = "NAME")]
    pub(crate) name: LayerName,
}

/// Show what a layer changes.
///
/// One line for each change: `+` for what it adds, `~` for what it has in place of the root filesystem's, `-` for what
/// it hides. Directories that are there only for what they hold are left out. What layers between this one and the root
/// filesystem hold is not known here: a layer can lie over any others.
#[derive(Debug, Args)]
#[command(after_help = "Example: ovmlayer diff python | grep '^-'    what installing Python took away")]
pub(crate) struct Diff {
    /// The layer.
    #[arg(value_name = "NAME")]
    pub(crate) name: LayerName,
}

/// Show how much space layers take.
#[derive(Debug, Args)]
pub(crate) struct DiskUse {
    /// The layers; all of them when none is given.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<LayerName>,
    /// Print bytes instead of KiB, MiB and GiB.
    #[arg(long, short)]
    pub(crate) bytes: bool,
}

/// Make one layer that equals a stack of layers.
///
/// Looking a file up takes longer the more layers there are: some dozens are noticeable. The stack stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "Example: ovmlayer flatten -l python -l numpy -l scipy science")]
pub(crate) struct Flatten {
    /// A layer, the lowest first. Can be given several times.
    #[arg(long, short, value_name = "NAME", required = true)]
    pub(crate) layer: Vec<LayerName>,
    /// The name of the new layer.
    #[arg(value_name = "NAME")]
    pub(crate) name: LayerName,
}

/// Check the stores.
///
/// Exits with 0 when nothing is wrong or everything could be repaired.
#[derive(Debug, Args)]
pub(crate) struct Fsck {
    /// Repair what is found. Complete layers are never removed.
    #[arg(long)]
    pub(crate) repair: bool,
}
