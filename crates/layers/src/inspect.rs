//! All that is known of a layer.

use crate::du::DiskUse;
use crate::{Engine, Layer, LayerName, MergePoint, PointName, Result};

/// What a layer is, holds and is used by.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Where it is.
    pub layer: Layer,
    /// The live merge points that have it.
    pub uses: Vec<Use>,
    /// How much it holds.
    pub holds: DiskUse,
}

/// A place of a layer in a merge point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The merge point.
    pub point: PointName,
    /// Its position, from 1 for the lowest.
    pub position: usize,
    /// Whether it is the top, which is written to.
    pub top: bool,
}

impl Engine {
    /// Gathers what is known of a layer. For an ordinary user to be called after [`Engine::enter`].
    ///
    /// # Errors
    /// [`crate::Error::UnknownLayer`]; when its contents cannot be counted.
    pub fn inspect_layer(&self, name: &LayerName) -> Result<Inspection> {
        let layer = self.locate(name)?;
        let uses = uses(&self.merge_points()?, name);
        let holds = self.disk_use(&layer)?;
        Ok(Inspection { layer, uses, holds })
    }
}

/// Where in `points` the layer is.
pub(crate) fn uses(points: &[MergePoint], name: &LayerName) -> Vec<Use> {
    let place = |point: &MergePoint| {
        let at = point.layers.iter().position(|layer| layer == name)?;
        Some(Use { point: point.name.clone(), position: at + 1, top: at + 1 == point.layers.len() })
    };
    points.iter().filter_map(place).collect()
}
