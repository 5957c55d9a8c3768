//! Making, listing, moving and removing layers.

use std::process::ExitCode;

use layers::{Deleted, Engine, Filter, Layer, LayerName, MergePoint, Role};
use serde_json::json;

use super::{Outcome, done, engine, engine_inside};
use crate::cli::{Create, Delete, Flatten, ListLayers, Move};
use crate::printer;

pub(crate) fn create(create: &Create) -> Outcome {
    engine_inside()?.create(&create.name)?;
    done(&format!("created layer `{}`", create.name))
}

pub(crate) fn delete(delete: &Delete) -> Outcome {
    let Some(name) = &delete.name else {
        let removed = engine_inside()?.delete_all()?;
        return done(&format!("deleted all layers, which were {}", removed.len()));
    };
    match engine_inside()?.delete(name)? {
        Deleted::Gone => done(&format!("deleted layer `{name}`")),
        Deleted::Missing => done(&format!("there was no layer `{name}` to delete")),
    }
}

pub(crate) fn list(list: &ListLayers, json: bool) -> Outcome {
    let filter = match (list.used, list.unused) {
        (true, _) => Filter::Used,
        (_, true) => Filter::Unused,
        _ => Filter::All,
    };
    let engine = engine()?;
    let names = engine.list(filter)?;
    if json {
        let points = engine.merge_points()?;
        let layers: Vec<_> = names.iter().filter_map(|name| described(&engine, name, &points)).collect();
        printer::json(&layers.into());
    } else {
        printer::results(names.iter().map(LayerName::as_str));
    }
    Ok(ExitCode::SUCCESS)
}

/// A layer for `list layers --json`; nothing for one that was deleted meanwhile.
fn described(engine: &Engine, name: &LayerName, points: &[MergePoint]) -> Option<serde_json::Value> {
    let layer = engine.locate(name).ok()?;
    let used_by = points.iter().filter(|point| point.layers.contains(name)).map(|point| point.name.as_str());
    Some(json!({
        "name": name.as_str(),
        "store": role(&layer),
        "path": layer.path.to_string_lossy(),
        "archived": layer.archived,
        "used_by": used_by.collect::<Vec<_>>(),
    }))
}

/// The word for a layer's store.
pub(super) fn role(layer: &Layer) -> &'static str {
    match layer.store.role() {
        Role::Runtime => "runtime",
        Role::External => "external",
        Role::ReadOnly => "read-only",
    }
}

pub(crate) fn move_to_external(moved: &Move) -> Outcome {
    engine_inside()?.move_to_external(&moved.name)?;
    done(&format!("moved layer `{}` to the external store", moved.name))
}

pub(crate) fn flatten(flatten: &Flatten) -> Outcome {
    engine_inside()?.flatten(&flatten.layer, &flatten.name)?;
    done(&format!("made layer `{}` of {} layers", flatten.name, flatten.layer.len()))
}
