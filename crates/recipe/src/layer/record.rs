//! What a layer says about itself: a file in it, by which `ovmlayer` sees what it fits on, and `versions.json` beside it.

use serde_json::{Value, json};
use tree::{EntryPath, Metadata, Root};

use super::lock::{LayerLock, Parent};
use crate::Error;

/// The file beside the layers.
pub(super) const FILE: &str = "versions.json";

/// The version of both formats.
const FORMAT: u32 = 1;

/// The folder of layers' records, in a root.
const FOLDER: &str = "usr/share/ovmlayer/layers";

/// Puts a layer's record into it.
pub(super) fn put(name: &str, parent: &Parent, root: &Root, epoch: i64) -> Result<(), Error> {
    let mut record = describe(parent);
    record["format"] = FORMAT.into();
    record["layer"] = name.into();
    record["architecture"] = parent.architecture.clone().into();
    let text = text(&record);
    let path = EntryPath::parse(format!("{FOLDER}/{name}.json").as_bytes()).map_err(tree::Error::from)?;
    root.make_parents(&path, &Metadata::new(0o755, epoch))?;
    root.write_file(&path, &Metadata::new(0o644, epoch), &mut text.as_bytes())?;
    Ok(())
}

/// Everything that has a version, for all architectures.
pub(super) fn versions(lock: &LayerLock, architectures: &[String]) -> String {
    let parents = lock.parents.iter().filter(|parent| architectures.contains(&parent.architecture));
    let parents: serde_json::Map<String, Value> =
        parents.map(|parent| (parent.architecture.clone(), describe(parent))).collect();
    let python = lock.wheels.iter().filter(|wheel| wheel.requested);
    let python: serde_json::Map<String, Value> =
        python.map(|wheel| (wheel.name.clone(), wheel.version.clone().into())).collect();
    let node = lock.npm.iter().filter(|npm| npm.package.direct);
    let node: serde_json::Map<String, Value> =
        node.map(|npm| (npm.package.name.clone(), npm.package.version.clone().into())).collect();
    text(&json!({
        "format": FORMAT,
        "layer": lock.recipe,
        "architectures": parents,
        "python": python,
        "node": node,
    }))
}

fn describe(parent: &Parent) -> Value {
    json!({
        "parent": { "name": parent.name, "digest": format!("sha256:{}", parent.digest) },
        "python": parent.python,
        "glibc": parent.glibc,
        "node": parent.node,
        "node-abi": parent.node_abi,
    })
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}
