//! Merge points.

use std::process::ExitCode;

use layers::{LayerName, MergePoint, Place, Unmerged};
use serde_json::json;

use super::{Outcome, done, engine};
use crate::cli::{Merge, Unmerge};
use crate::printer;

pub(crate) fn merge(merge: &Merge, json: bool) -> Outcome {
    let merged = engine()?.merge(&merge.layer, &merge.merged_point)?;
    for warning in &merged.warnings {
        printer::warning(warning);
    }
    if json {
        printer::json(&json!({
            "name": merge.merged_point.as_str(),
            "path": merged.path.to_string_lossy(),
            "layers": names(&merge.layer),
            "warnings": merged.warnings,
        }));
    }
    done(&format!("merged {} layers at `{}`", merge.layer.len(), merge.merged_point))
}

pub(crate) fn unmerge(unmerge: &Unmerge) -> Outcome {
    let point = &unmerge.point;
    match engine()?.unmerge(point)? {
        Unmerged::Gone => {}
        Unmerged::Detached => {
            printer::note(&format!(
                "merge point `{point}` was busy: it ends when the processes in it have ended"
            ));
        }
        Unmerged::Unknown => printer::note(&format!("there is no merge point `{point}`")),
    }
    done(&format!("unmerged `{point}`"))
}

pub(crate) fn list(json: bool) -> Outcome {
    let points = engine()?.merge_points()?;
    if json {
        let list: Vec<_> = points.iter().map(described).collect();
        printer::json(&list.into());
    } else {
        printer::results(points.iter().map(|point| point.name.as_str()));
    }
    Ok(ExitCode::SUCCESS)
}

fn described(point: &MergePoint) -> serde_json::Value {
    let (place, holder) = match point.place {
        Place::Here => ("here", None),
        Place::Holder { pid } => ("holder", Some(pid)),
        Place::Elsewhere => ("elsewhere", None),
    };
    json!({
        "name": point.name.as_str(),
        "path": point.path.to_string_lossy(),
        "layers": names(&point.layers),
        "mounted": place,
        "holder": holder,
    })
}

fn names(layers: &[LayerName]) -> Vec<&str> {
    layers.iter().map(LayerName::as_str).collect()
}
