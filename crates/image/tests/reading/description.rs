//! What an image says of itself, in its own tree.

use std::fs;

use image::Location;
use image::flatten::{DESCRIPTION, Limits, Shape};
use serde_json::Value;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use testkit::{Member, run, tool};
use tree::{Kind, tar};

use crate::layers::{dir, file, symlink};
use crate::made::{Made, entries, read, write};

fn described(made: &Made, time: Option<i64>) -> std::path::PathBuf {
    let path = made.folder.path().join("described.tar");
    let (found, mut flattened) = read(&made.location(), made.folder.path(), Limits::default()).unwrap();
    flattened.describe(&found, time).unwrap();
    write(&mut flattened, &path).unwrap();
    path
}

fn description(tar: &std::path::Path) -> Value {
    let text = run(Command::new(tool("tar")).arg("-xOf").arg(tar).arg(DESCRIPTION));
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn how_an_image_is_run_is_kept_as_a_file() {
    let made = Made::new(&[vec![file("etc/x", "x")]]);
    let image = format!("{}:latest", made.path().display());
    let set = [
        ["--config.user", "app:staff"],
        ["--config.env", "LANG=C.UTF-8"],
        ["--config.workingdir", "/srv"],
        ["--config.entrypoint", "/bin/start"],
        ["--config.cmd", "--fast"],
        ["--config.label", "org.example.kind=server"],
        ["--config.exposedports", "80/tcp"],
        ["--config.volume", "/data"],
        ["--config.stopsignal", "SIGINT"],
    ];
    run(Command::new(tool("umoci")).args(["config", "--image", &image]).args(set.concat()));
    let found = description(&described(&made, None));
    assert_eq!(found["format"], 1);
    assert_eq!((&found["os"], &found["architecture"]), (&"linux".into(), &"amd64".into()));
    let config = &found["config"];
    for (key, value) in [
        ("User", serde_json::json!("app:staff")),
        ("Env", serde_json::json!(["PATH=/bin", "LANG=C.UTF-8"])),
        ("WorkingDir", serde_json::json!("/srv")),
        ("Entrypoint", serde_json::json!(["/bin/start"])),
        ("Cmd", serde_json::json!(["--fast"])),
        ("Labels", serde_json::json!({"org.example.kind": "server"})),
        ("ExposedPorts", serde_json::json!({"80/tcp": {}})),
        ("Volumes", serde_json::json!({"/data": {}})),
        ("StopSignal", serde_json::json!("SIGINT")),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
}

#[test]
fn the_description_has_the_newest_time_and_stands_in_its_place() {
    let mut newest = file("newest", "x");
    newest.mtime = 1_700_000_000;
    let mut old = file("old", "x");
    old.mtime = 1;
    for (summary, layer, time, expected) in [
        ("the newest of the entries", vec![newest.clone()], None, 1_700_000_000),
        ("the time of the image", vec![old.clone()], None, 1_000_000_000),
        ("the time that was given", vec![newest], Some(5), 5),
        ("over one that was there", vec![old.clone(), file(DESCRIPTION, "old")], Some(5), 5),
        ("through a link", vec![old, dir("usr/"), symlink("etc", "usr")], Some(5), 5),
    ] {
        let made = Made::new(&[layer]);
        let entries = entries(&described(&made, time));
        let entry = entries.iter().find(|entry| entry.path.to_string().ends_with("ovmlayer/image.json"));
        let entry = entry.unwrap();
        assert!(matches!(entry.kind, Kind::File { .. }), "{summary}");
        assert_eq!(entry.metadata, tree::Metadata::new(0o644, expected), "{summary}");
    }
    let file_in_the_way: Vec<Member> = vec![file("etc", "no directory")];
    let made = Made::new(&[file_in_the_way]);
    let (found, mut flattened) = read(&made.location(), made.folder.path(), Limits::default()).unwrap();
    let error = flattened.describe(&found, None).unwrap_err().to_string();
    assert_eq!(error, "cannot add `etc/ovmlayer/image.json` to the tree");
}

#[test]
fn shapes() {
    let device = Member::new("dev/null", testkit::MemberKind::CharDevice { major: 1, minor: 3 });
    let made = Made::new(&[vec![dir("dev/"), device, file("device", "x"), dir("doc/"), file("doc/x", "x")]]);
    let location: Location = made.location();
    let mut flattened = read(&location, made.folder.path(), Limits::default()).unwrap().1;
    let shape = Shape {
        leave_out: &|path| path.as_bytes() == b"doc",
        empty_dev: true,
        latest: Some(7),
        interrupted: &AtomicBool::new(false),
    };
    let mut writer = tar::Writer::new(Vec::new());
    let written = flattened.write(&mut writer, &shape).unwrap();
    let path = made.folder.path().join("shaped.tar");
    fs::write(&path, writer.finish().unwrap()).unwrap();
    let entries = entries(&path);
    let names: Vec<String> = entries.iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(names, [".", "dev", "device"]);
    assert_eq!(written.entries, 3);
    assert!(entries.iter().skip(1).all(|entry| entry.metadata.mtime == 7));
    let stopped = Shape { interrupted: &AtomicBool::new(true), ..shape };
    assert!(flattened.write(&mut tar::Writer::new(Vec::new()), &stopped).is_err());
}
