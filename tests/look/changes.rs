//! `diff`: what it tells, and the status it ends with.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{Member, MemberKind, Program, TarBuilder, run, tool};

use crate::stage::{PROGRAM, Stage, json as parsed};

/// A tree with these Debian packages, files and a package of npm's.
fn tree(packages: &[(&str, &str)], files: &[(&str, &str)], npm: &str) -> Vec<u8> {
    let stanza = |(name, version): &(&str, &str)| {
        format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\n")
    };
    let status: String = packages.iter().map(stanza).collect();
    let package = format!(r#"{{"name":"made-here","version":"{npm}"}}"#);
    let tar = TarBuilder::new()
        .member(Member::file("var/lib/dpkg/status", status))
        .member(Member::file("opt/node_modules/made-here/package.json", package))
        .member(Member::new("link", MemberKind::Symlink("x".into())));
    files.iter().fold(tar, |tar, (path, text)| tar.member(Member::file(*path, *text))).build()
}

fn two() -> Program<'static> {
    let program = Program::new(PROGRAM);
    let before = [("gone", "1"), ("later", "1.0~rc1-1"), ("earlier", "2:1.0-1"), ("same", "1")];
    let after = [("new", "1"), ("later", "1.0-1"), ("earlier", "1:9.0-1"), ("same", "1")];
    program.write("before.tar", tree(&before, &[("a", "1"), ("b", "1"), ("c", "1")], "1.9.0"));
    program.write("after.tar", tree(&after, &[("a", "1"), ("b", "22"), ("d", "1")], "1.10.0"));
    program
}

fn status(program: &Program<'_>, arguments: &[&str]) -> (Option<i32>, String, String) {
    let result = program.run([&["diff"], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (result.status.code(), text(&result.stdout), text(&result.stderr))
}

#[test]
fn packages_and_files() {
    let program = two();
    let (code, text, errors) = status(&program, &["before.tar", "after.tar"]);
    assert_eq!((code, errors.as_str()), (Some(1), ""));
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "~ deb earlier:all 2:1.0-1 -> 1:9.0-1 (earlier)",
        "- deb gone:all 1",
        "~ deb later:all 1.0~rc1-1 -> 1.0-1",
        "+ deb new:all 1",
        "~ npm made-here 1.9.0 -> 1.10.0",
        "~ file b (size, contents, 1 B -> 2 B)",
        "- file c (file, 1 B)",
        "+ file d (file, 1 B)",
        "~ file opt/node_modules/made-here/package.json (size, contents, 38 B -> 39 B)",
        "~ file var/lib/dpkg/status (contents)",
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        // The length of dpkg's list is of no interest.
        let same = *line == expected
            || expected.starts_with("~ file var/") && line.starts_with("~ file var/lib/dpkg/status (");
        assert!(same, "{line}\n{expected}");
    }

    let (code, text, _) = status(&program, &["--json", "before.tar", "after.tar"]);
    let found = parsed(&text);
    assert_eq!((code, &found["format"]), (Some(1), &json!(1)));
    let changes: Vec<_> = found["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| {
            (package["change"].as_str().expect("a change"), package["name"].as_str().expect("a name"))
        })
        .collect();
    let expected = [
        ("downgraded", "earlier"),
        ("removed", "gone"),
        ("upgraded", "later"),
        ("added", "new"),
        ("upgraded", "made-here"),
    ];
    assert_eq!(changes, expected);
    let file = &found["files"][0];
    assert_eq!(
        *file,
        json!({"change": "changed", "path": "b", "kind": "file", "from_bytes": 1, "to_bytes": 2, "what": ["size", "contents"]})
    );
}

pub(crate) fn the_same_is_no_difference_whatever_its_form(stage: &Stage) {
    for other in ["rootfs.tar", "docker-archive.tar"] {
        let (code, text, errors) = status(&stage.program, &["dist/stage", other]);
        assert_eq!((code, text.as_str(), errors.as_str()), (Some(0), "", ""), "{other}");
    }
    let (code, text, _) = status(&stage.program, &["--json", "dist/stage", "bundle/rootfs"]);
    assert_eq!(
        (code, parsed(&text)),
        (Some(0), json!({"format": 1, "packages": [], "files": [], "config": []}))
    );
}

pub(crate) fn how_an_image_is_run(stage: &Stage) {
    let copy = stage.program.folder().join("changed");
    run(Command::new(tool("skopeo")).args([
        "copy",
        "--quiet",
        &format!("oci:{}:latest", stage.layout().display()),
        &format!("oci:{}:latest", copy.display()),
    ]));
    let image = format!("{}:latest", copy.display());
    run(Command::new(tool("umoci")).args(["config", "--image", &image, "--config.user", "nobody"]));
    let (code, text, _) = status(&stage.program, &["--json", "dist/stage", "changed"]);
    let found = parsed(&text);
    assert_eq!((code, &found["files"]), (Some(1), &json!([])));
    let user = |change: &&Value| change["field"] == "User";
    let change = found["config"].as_array().expect("changes").iter().find(user).expect("the user");
    assert_eq!(change["to"], "nobody");
}

#[test]
fn trouble_is_no_difference() {
    let program = two();
    for other in ["./none.tar", "oci:none"] {
        let (code, text, errors) = status(&program, &["before.tar", other]);
        assert_eq!((code, text.as_str()), (Some(2), ""), "{other}: {errors}");
        assert!(errors.starts_with("error: "), "{other}: {errors}");
    }
}
