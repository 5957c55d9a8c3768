//! The rooms of the workspace and who may know whom: arrows point down only (`docs/architecture.md`).

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use crate::step::cargo;

/// Each package in `crates/` with those of the workspace that it may depend on, directly or not.
const ROOMS: &[(&str, &[&str])] = &[
    ("ovmlayer-tree", &[]),
    ("ovmlayer-sandbox", &[]),
    ("ovmlayer-cache", &["ovmlayer-tree"]),
    ("ovmlayer-http", &["ovmlayer-tree", "ovmlayer-cache"]),
    ("ovmlayer-archive", &["ovmlayer-tree", "ovmlayer-cache", "ovmlayer-http"]),
    ("ovmlayer-image", &["ovmlayer-tree", "ovmlayer-cache", "ovmlayer-http"]),
    ("ovmlayer-layers", &["ovmlayer-tree", "ovmlayer-sandbox"]),
    ("ovmlayer-deps", &["ovmlayer-tree"]),
    (
        "ovmlayer-rootfs-build",
        &["ovmlayer-tree", "ovmlayer-cache", "ovmlayer-http", "ovmlayer-sandbox", "ovmlayer-archive"],
    ),
    (
        "ovmlayer-recipe",
        &[
            "ovmlayer-tree",
            "ovmlayer-cache",
            "ovmlayer-http",
            "ovmlayer-sandbox",
            "ovmlayer-archive",
            "ovmlayer-rootfs-build",
            "ovmlayer-image",
            "ovmlayer-layers",
            "ovmlayer-deps",
        ],
    ),
    ("ovmlayer-publishing", &["ovmlayer-cache", "ovmlayer-http", "ovmlayer-image"]),
    ("ovmlayer-releases", &["ovmlayer-tree", "ovmlayer-cache", "ovmlayer-http"]),
    ("ovmlayer-flow", &[]),
    // What it does to layers, it does through the program.
    ("ovmlayer-packages", &["ovmlayer-tree", "ovmlayer-flow"]),
    ("ovmlayer-runner", &["ovmlayer-tree", "ovmlayer-cache", "ovmlayer-http", "ovmlayer-flow"]),
    // The program for flows calls the program for layers and does not link it.
    ("oocana", &["ovmlayer-flow", "ovmlayer-runner", "ovmlayer-packages"]),
    // The program for layers links neither archive nor HTTP code.
    ("ovmlayer", &["ovmlayer-tree", "ovmlayer-sandbox", "ovmlayer-layers"]),
    (
        "ovmlayer-rootfs",
        &[
            "ovmlayer-tree",
            "ovmlayer-cache",
            "ovmlayer-http",
            "ovmlayer-sandbox",
            "ovmlayer-archive",
            "ovmlayer-rootfs-build",
            "ovmlayer-image",
            "ovmlayer-layers",
            "ovmlayer-deps",
            "ovmlayer-publishing",
            "ovmlayer-releases",
            "ovmlayer-recipe",
            "ovmlayer-packages",
        ],
    ),
];

/// Checks that no room knows one it must not.
pub(crate) fn check() -> Result<(), String> {
    let mut command = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"]);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cannot read metadata: {error}"))?;
    let arrows = arrows(&metadata);
    let problems: Vec<String> = arrows.iter().filter_map(|(from, to)| problem(from, to)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Which package in `crates/` depends on which other of this project, tests not counted.
fn arrows(metadata: &Value) -> Vec<(String, String)> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let is_room =
        |package: &&Value| package["manifest_path"].as_str().is_some_and(|path| path.contains("/crates/"));
    let mut arrows = BTreeSet::new();
    for package in packages.iter().filter(is_room) {
        let from = package["name"].as_str().unwrap_or_default();
        let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"].is_null()) {
            let to = dependency["name"].as_str().unwrap_or_default();
            if to.starts_with("ovmlayer") {
                arrows.insert((from.to_owned(), to.to_owned()));
            }
        }
    }
    arrows.into_iter().collect()
}

fn problem(from: &str, to: &str) -> Option<String> {
    match ROOMS.iter().find(|(room, _)| *room == from) {
        None => Some(format!("`{from}` is not a room of the design: add it to xtask/src/layout.rs")),
        Some((_, known)) if known.contains(&to) => None,
        Some(_) => Some(format!("`{from}` must not depend on `{to}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_that_point_up_are_found() {
        let metadata = serde_json::json!({ "packages": [
            {
                "name": "ovmlayer-tree",
                "manifest_path": "/x/crates/tree/Cargo.toml",
                "dependencies": [
                    { "name": "ovmlayer-cache", "kind": null },
                    { "name": "ovmlayer-testkit", "kind": "dev" },
                    { "name": "rustix", "kind": null },
                ],
            },
            { "name": "xtask", "manifest_path": "/x/xtask/Cargo.toml", "dependencies": [
                { "name": "ovmlayer-testkit", "kind": null },
            ] },
        ] });
        let arrows = arrows(&metadata);
        assert_eq!(arrows, [("ovmlayer-tree".to_owned(), "ovmlayer-cache".to_owned())]);
        assert_eq!(
            problem("ovmlayer-tree", "ovmlayer-cache").as_deref(),
            Some("`ovmlayer-tree` must not depend on `ovmlayer-cache`")
        );
        assert_eq!(problem("ovmlayer-cache", "ovmlayer-tree"), None);
        assert!(problem("ovmlayer-new", "ovmlayer-tree").is_some());
    }
}
