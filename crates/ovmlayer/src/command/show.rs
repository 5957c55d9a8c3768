//! What is in layers.

use std::process::ExitCode;

use layers::{Change, DiskUse, Effect, Layer, LayerName};
use serde_json::json;

use super::layer::role;
use super::{Outcome, engine_inside};
use crate::cli;
use crate::printer;

pub(crate) fn inspect(inspect: &cli::Inspect, json: bool) -> Outcome {
    let inspection = engine_inside()?.inspect_layer(&inspect.name)?;
    let (layer, holds) = (&inspection.layer, inspection.holds);
    if json {
        let uses = inspection
            .uses
            .iter()
            .map(|used| json!({ "point": used.point.as_str(), "position": used.position, "top": used.top }));
        printer::json(&json!({
            "name": layer.name.as_str(),
            "store": role(layer),
            "path": layer.path.to_string_lossy(),
            "archived": layer.archived,
            "overlay_marks": format!("{}*", layer.store.form().prefix()),
            "entries": holds.entries,
            "whiteouts": holds.whiteouts,
            "bytes": holds.bytes,
            "disk_bytes": holds.disk_bytes,
            "used_by": uses.collect::<Vec<_>>(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let archived = if layer.archived { ", as an archive" } else { "" };
    let mut lines = vec![
        format!("name     {}", layer.name),
        format!("store    {}{archived}", role(layer)),
        format!("path     {}", layer.path.display()),
        format!("entries  {}, {} of which hide something", holds.entries, holds.whiteouts),
        format!("size     {} on disk, {} of contents", human(holds.disk_bytes), human(holds.bytes)),
    ];
    if inspection.uses.is_empty() {
        lines.push("used by  nothing".into());
    }
    for used in &inspection.uses {
        let top = if used.top { ", the top" } else { "" };
        lines.push(format!("used by  {}, as layer {} from below{top}", used.point, used.position));
    }
    printer::results(lines);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn diff(diff: &cli::Diff, json: bool) -> Outcome {
    let engine = engine_inside()?;
    let layer = engine.locate(&diff.name)?;
    let mut changes = Vec::new();
    engine.diff(&layer, |change| {
        changes.push(change);
        Ok::<_, layers::Error>(())
    })?;
    if json {
        let list: Vec<_> = changes.iter().map(described).collect();
        printer::json(&list.into());
    } else {
        printer::results(changes.iter().map(line));
    }
    Ok(ExitCode::SUCCESS)
}

fn described(change: &Change) -> serde_json::Value {
    json!({ "path": format!("/{}", shown(change)), "change": change.effect.word(), "kind": change.kind })
}

fn line(change: &Change) -> String {
    let folder = if change.kind == Some("directory") { "/" } else { "" };
    let path = shown(change);
    match change.effect {
        Effect::Adds => format!("+ /{path}{folder}"),
        Effect::Replaces => format!("~ /{path}{folder}"),
        Effect::Removes => format!("- /{path}"),
        Effect::Empties => format!("- /{path}/*"),
    }
}

fn shown(change: &Change) -> String {
    if change.path.is_root() { String::new() } else { change.path.to_string() }
}

pub(crate) fn disk_use(usage: &cli::DiskUse, json: bool) -> Outcome {
    let engine = engine_inside()?;
    let names = if usage.names.is_empty() { engine.list(layers::Filter::All)? } else { usage.names.clone() };
    let mut total = DiskUse::default();
    let mut counted: Vec<(Layer, DiskUse)> = Vec::new();
    for name in &names {
        let layer = engine.locate(name)?;
        let holds = engine.disk_use(&layer)?;
        total.add(holds);
        counted.push((layer, holds));
    }
    let size = |bytes: u64| if usage.bytes { bytes.to_string() } else { human(bytes) };
    if json {
        let list = counted.iter().map(|(layer, holds)| sizes(Some(layer), *holds));
        printer::json(&json!({ "layers": list.collect::<Vec<_>>(), "total": sizes(None, total) }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines: Vec<_> = counted
        .iter()
        .map(|(layer, holds)| format!("{:>12}  {}", size(holds.disk_bytes), layer.name))
        .collect();
    if counted.len() != 1 {
        lines.push(format!("{:>12}  total", size(total.disk_bytes)));
    }
    printer::results(lines);
    Ok(ExitCode::SUCCESS)
}

fn sizes(layer: Option<&Layer>, holds: DiskUse) -> serde_json::Value {
    json!({
        "name": layer.map(|layer| LayerName::as_str(&layer.name)),
        "store": layer.map(role),
        "entries": holds.entries,
        "bytes": holds.bytes,
        "disk_bytes": holds.disk_bytes,
    })
}

/// A size in the unit that gives one to three digits before the point.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is printed")]
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_576, "1.0 MiB"),
            (1_572_864, "1.5 MiB"),
            (1 << 40, "1.0 TiB"),
            (1 << 53, "8192.0 TiB"),
        ];
        for (bytes, want) in table {
            assert_eq!(human(bytes), want);
        }
    }
}
