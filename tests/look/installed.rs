//! Packages of pip and npm, installed by pip and npm themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Program, run, tool, validator};

use crate::stage::{PROGRAM, json as parsed};

const SITE: &str = "usr/local/lib/python3.13/dist-packages";

/// A wheel as `pip` takes it, made by Python's own `zipfile`.
fn wheel(folder: &Path, name: &str, version: &str, licence: &str) {
    let info = format!("{name}-{version}.dist-info");
    let source = folder.join(format!("{name}-source"));
    fs::create_dir_all(source.join(&info)).expect("a folder");
    fs::create_dir_all(source.join(name)).expect("a folder");
    let write = |path: &str, text: &str| fs::write(source.join(path), text).expect("a file");
    write(&format!("{name}/__init__.py"), "print('made here')\n");
    write(
        &format!("{info}/METADATA"),
        &format!("Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{licence}\nWords.\n"),
    );
    write(
        &format!("{info}/WHEEL"),
        "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    );
    write(&format!("{info}/entry_points.txt"), &format!("[console_scripts]\n{name} = {name}:main\n"));
    let files = ["METADATA", "WHEEL", "entry_points.txt", "RECORD"].map(|file| format!("{info}/{file},,\n"));
    write(&format!("{info}/RECORD"), &format!("{name}/__init__.py,,\n{}", files.concat()));
    let wheel = folder.join(format!("{name}-{version}-py3-none-any.whl"));
    let mut zip = Command::new(tool("python3"));
    run(zip.args(["-m", "zipfile", "-c"]).arg(&wheel).args([name, &info]).current_dir(&source));
}

/// A tree with two packages of each kind, in the folder `tree` of the program.
fn install(program: &Program<'_>) {
    let (made, tree) = (program.folder().join("made"), program.folder().join("tree"));
    fs::create_dir_all(&made).expect("a folder");
    wheel(&made, "made_here", "1.0rc1", "License-Expression: MIT\n");
    wheel(&made, "other", "2.0", "Classifier: License :: OSI Approved :: Apache Software License\n");
    let mut pip = Command::new(validator("pip"));
    pip.args(["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", "--target"]);
    pip.arg(tree.join(SITE)).arg(made.join("made_here-1.0rc1-py3-none-any.whl"));
    run(pip.arg(made.join("other-2.0-py3-none-any.whl")).env("HOME", program.folder()));
    for (folder, name, more) in [
        ("inner", "inner", json!({})),
        (
            "package",
            "@scope/made-here",
            json!({"bundleDependencies": ["inner"], "dependencies": {"inner": "3.2.1"}}),
        ),
    ] {
        let path = made.join(folder);
        fs::create_dir_all(&path).expect("a folder");
        let mut manifest = json!({"name": name, "version": "3.2.1", "license": "ISC"});
        manifest.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        fs::write(path.join("package.json"), manifest.to_string()).expect("a file");
        fs::write(path.join("main.js"), "console.log('made here')\n").expect("a file");
    }
    let bundled = made.join("package/node_modules");
    fs::create_dir_all(&bundled).expect("a folder");
    fs::rename(made.join("inner"), bundled.join("inner")).expect("a folder");
    run(Command::new(tool("tar")).args(["-czf", "package.tgz", "package"]).current_dir(&made));
    let mut npm = npm(program);
    npm.args(["install", "--global", "--offline", "--no-audit", "--no-fund", "--loglevel=error"]);
    run(npm.arg("./made/package.tgz"));
}

fn npm(program: &Program<'_>) -> Command {
    let mut npm = Command::new(tool("npm"));
    npm.current_dir(program.folder()).env("HOME", program.folder());
    npm.arg("--prefix").arg(program.folder().join("tree/usr/local"));
    npm
}

#[test]
fn packages_are_those_of_pip_and_npm() {
    let program = Program::new(PROGRAM);
    install(&program);
    let found = parsed(&program.succeed(["inspect", "--json", "tree"]));
    let packages = found["packages"].as_array().expect("packages");
    let of = |ecosystem: &str| -> BTreeSet<(String, String)> {
        let of_it = packages.iter().filter(|package| package["ecosystem"] == ecosystem);
        of_it.map(|package| pair(&package["name"], &package["version"])).collect()
    };

    let mut pip = Command::new(validator("pip"));
    pip.args(["list", "--format=json", "--disable-pip-version-check", "--path"]);
    let listed = run(pip.arg(program.folder().join("tree").join(SITE)));
    let listed: Value = serde_json::from_slice(&listed).expect("JSON");
    let listed: BTreeSet<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|package| pair(&package["name"], &package["version"]))
        .collect();
    assert_eq!(listed.len(), 2);
    assert_eq!(of("pypi"), listed);

    let listed = run(npm(&program).args(["ls", "--global", "--all", "--json"]));
    let listed: Value = serde_json::from_slice(&listed).expect("JSON");
    let mut all = BTreeSet::new();
    dependencies(&listed, &mut all);
    assert_eq!(all.len(), 2);
    assert_eq!(of("npm"), all);

    let package = |name: &str| packages.iter().find(|package| package["name"] == name).expect("the package");
    let rows = [
        ("made_here", "MIT", "pkg:pypi/made-here@1.0rc1"),
        ("other", "Apache-2.0", "pkg:pypi/other@2.0"),
        ("@scope/made-here", "ISC", "pkg:npm/%40scope/made-here@3.2.1"),
        ("inner", "ISC", "pkg:npm/inner@3.2.1"),
    ];
    for (name, licence, purl) in rows {
        assert_eq!(
            (&package(name)["licence"], &package(name)["purl"]),
            (&json!(licence), &json!(purl)),
            "{name}"
        );
    }
    // Each has what was installed for it: the bundled package's files are not those of the one around it.
    assert_eq!((&package("inner")["files"], &package("@scope/made-here")["files"]), (&json!(2), &json!(2)));
    let record = fs::read_to_string(
        program.folder().join("tree").join(SITE).join("made_here-1.0rc1.dist-info/RECORD"),
    );
    let recorded = record.expect("pip's record").lines().count();
    let there = package("made_here")["files"].as_u64().expect("a number");
    // With `--target`, pip puts scripts where their record does not say.
    assert!((recorded as u64 - 1..=recorded as u64).contains(&there), "{there} of {recorded}");
}

fn pair(name: &Value, version: &Value) -> (String, String) {
    (name.as_str().expect("a name").to_owned(), version.as_str().expect("a version").to_owned())
}

/// What `npm ls` tells, at any depth.
fn dependencies(value: &Value, all: &mut BTreeSet<(String, String)>) {
    for (name, package) in value["dependencies"].as_object().into_iter().flatten() {
        all.insert((name.clone(), package["version"].as_str().expect("a version").to_owned()));
        dependencies(package, all);
    }
}
