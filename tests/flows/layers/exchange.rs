//! Package layers leave one machine and come to another.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::place::{Place, text};

const MANIFEST: &str = "name: demo
version: 1.0.0
scripts:
  bootstrap: echo made > /opt/made; echo built > built; rm .hidden deep/file
";

/// What the package must be, wherever it is.
const LOOK: &str = "cat /opt/made && ls -A . deep && cat file built";
const SEEN: &str = "made\n.:\nbuilt\ndeep\nfile\npackage.oo.yaml\n\ndeep:\nsource\nbuilt\n";

fn read(folder: &Path) -> Vec<Vec<u8>> {
    ["layers.tar", "package-layer.json", "layers.json"]
        .map(|name| fs::read(folder.join(name)).expect("a file of the export"))
        .to_vec()
}

fn names(noted: &Value) -> Vec<String> {
    ["source_layer", "bootstrap_layer"].map(|key| noted[key].as_str().expect("a name").to_owned()).to_vec()
}

#[test]
fn exported_deleted_and_imported_elsewhere() {
    let place = Place::new();
    let package = place.package("packages/demo", MANIFEST);
    let path = text(&package);
    place.layer(&["create", path]);
    let (first, second) = (place.path("first"), place.path("deep/second"));
    for folder in [&first, &second, &first] {
        place.layer(&["export", path, text(folder)]);
    }
    assert!(read(&first) == read(&second), "exported twice, and not the same");
    let noted = place.noted(&package);
    let layers = names(&noted);
    let about: Value = serde_json::from_slice(&read(&first)[1]).expect("JSON");
    let expected = json!({ "name": "demo", "version": "1.0.0", "source_layer": layers[0], "bootstrap_layer": layers[1],
        "bootstrap": "echo made > /opt/made; echo built > built; rm .hidden deep/file", "package_path": path });
    assert_eq!(about, expected);
    let list: Value = serde_json::from_slice(&read(&first)[2]).expect("JSON");
    assert_eq!(list, json!({ "layers": layers }));

    let message = place.refused(&["import", text(&first), text(&place.path("elsewhere"))]);
    assert!(message.contains(&format!("belongs to {path} already")), "{message}");
    assert_eq!(
        place.layer(&["import", text(&first), path]),
        "Package layer already exists, skipping import.\n"
    );
    // The same place, another one, one inside it and one around it.
    for target in ["packages/demo", "elsewhere/it is", "packages/demo/inner", "packages"] {
        let target = place.path(target);
        for noted in place.layer(&["list"]).lines() {
            let path = noted.split('"').nth(1).expect("a path");
            place.layer(&["delete", path]);
        }
        assert_eq!(place.layers(), [""; 0]);
        assert_eq!(place.layer(&["import", text(&first), text(&target)]), "");
        place.is_clean();
        let noted = place.noted(&target);
        assert_eq!((names(&noted), &noted["package_path"]), (layers.clone(), &json!(text(&target))));
        let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
        let seen = place.inside(&layers, &format!("cd '{}' && {LOOK}", text(&target)));
        assert_eq!(seen, SEEN, "{}", target.display());
        // It is a layer as any other: it can be exported again.
        place.stage.write(&format!("{}/package.oo.yaml", text(&target)), "name: demo\nversion: 1.0.0\n");
        assert_eq!(place.layer(&["get", text(&target)]), "Exist\n");
    }
}

#[test]
fn an_older_export_has_an_archive_for_each_layer() {
    let place = Place::new();
    let package = place.package("demo", MANIFEST);
    place.layer(&["create", text(&package)]);
    let layers = names(&place.noted(&package));
    let folder = place.path("old");
    place.layer(&["export", text(&package), text(&folder)]);
    fs::remove_file(folder.join("layers.tar")).expect("it goes");
    for layer in &layers {
        place.ovmlayer(&["export", "-l", layer, "-dest", text(&folder.join(format!("{layer}.tar")))]);
    }
    let files: Vec<String> = layers.iter().map(|layer| format!("{layer}.tar")).collect();
    fs::write(folder.join("layers.json"), json!({ "layers": files }).to_string()).expect("a file");
    place.layer(&["delete", text(&package)]);
    place.layer(&["import", text(&folder), text(&package)]);
    let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
    assert_eq!(place.inside(&layers, &format!("cd {} && {LOOK}", text(&package))), SEEN);
}

#[test]
fn an_export_that_is_not_what_it_says_changes_nothing() {
    let place = Place::new();
    let package = place.package("demo", MANIFEST);
    place.layer(&["create", text(&package)]);
    let folder = place.path("out");
    place.layer(&["export", text(&package), text(&folder)]);
    place.layer(&["delete", text(&package)]);
    place.ovmlayer(&["create", "executor"]);
    place.stage.write("home/.oomol-studio/oocana/layer.json", r#"{"base_rootfs":["executor"]}"#);
    let about: Value = serde_json::from_slice(&read(&folder)[1]).expect("JSON");
    let with = |key: &str, value: Value| {
        let mut changed = about.clone();
        changed[key] = value;
        changed
    };
    let cases = [
        (
            with("source_layer", json!("executor")),
            "the layer `executor` of this export belongs to all packages",
        ),
        (with("source_layer", json!("another")), "in it is none of the package"),
        (with("source_layer", json!("--all")), "`--all` is no name of a layer"),
        (with("package_path", json!("/a/../../b")), "not the path of a folder"),
    ];
    for (changed, part) in cases {
        fs::write(folder.join("package-layer.json"), changed.to_string()).expect("a file");
        let message = place.refused(&["import", text(&folder), text(&package)]);
        assert!(message.contains(part), "{part}: {message}");
        assert_eq!(
            (place.layers(), place.layer(&["list"])),
            (vec!["executor".to_owned()], String::new()),
            "{part}"
        );
    }
    fs::write(folder.join("package-layer.json"), about.to_string()).expect("a file");
    let archive = fs::read(folder.join("layers.tar")).expect("the archive");
    fs::write(folder.join("layers.tar"), &archive[..archive.len() / 2]).expect("half of it");
    place.refused(&["import", text(&folder), text(&package)]);
    fs::remove_file(folder.join("layers.json")).expect("it goes");
    let message = place.refused(&["import", text(&folder), text(&package)]);
    assert!(message.contains("layers.json is no export of a package layer"), "{message}");
    assert_eq!(place.layers(), ["executor"]);
    place.is_clean();
}
