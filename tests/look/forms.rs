//! The same tree in every form, beside what other programs say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::{Member, Program, TarBuilder, run, tool};

use crate::stage::{PROGRAM, Stage, walk};

/// What does not depend on the form.
const COMMON: [&str; 8] =
    ["format", "release", "totals", "packages", "unowned", "largest_files", "largest_directories", "notes"];

pub(crate) fn every_form_of_a_tree_is_understood_alike(stage: &Stage) {
    let folder = stage.inspect("bundle/rootfs");
    let reference = stage.reference();
    let digest = skopeo(&format!("oci:{}:latest", stage.layout().display()));
    let images = ["dist/stage", "oci:dist/stage:latest", "oci-archive.tar", "docker-archive.tar", &reference];
    for source in ["rootfs.tar", "rootfs.tar.zst"].iter().chain(&images) {
        let found = stage.inspect(source);
        for field in COMMON {
            assert_eq!(found[field], folder[field], "{field} of {source}");
        }
        let keys: BTreeSet<&String> = found.as_object().expect("an object").keys().collect();
        assert_eq!(keys, folder.as_object().expect("an object").keys().collect(), "{source}");
    }
    assert_eq!(
        (&folder["digest"], &folder["stored"], &folder["image"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    for source in &images {
        let image = &stage.inspect(source)["image"];
        assert_eq!(image["platform"], format!("linux/{}", architecture()), "{source}");
        assert_eq!(image["config"]["Entrypoint"], json!(["/usr/bin/looked-at"]), "{source}");
        let layers = image["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), 3, "{source}");
        let sizes: Vec<_> =
            layers[1..].iter().map(|layer| [&layer["files"], &layer["bytes"], &layer["removed"]]).collect();
        assert_eq!(json!(sizes), json!([[1, 8, 0], [2, 10, 0]]), "{source}");
    }
    for source in ["dist/stage", "oci-archive.tar", &reference] {
        let found = stage.inspect(source);
        assert_eq!(found["digest"], digest, "{source}");
        let layers = found["image"]["layers"].as_array().expect("layers");
        let stored: u64 = layers.iter().filter_map(|layer| layer["size"].as_u64()).sum();
        assert_eq!(found["stored"], stored, "{source}");
    }
    for source in ["rootfs.tar", "rootfs.tar.zst"] {
        let (found, path) = (stage.inspect(source), stage.program.folder().join(source));
        assert_eq!(found["digest"], format!("sha256:{}", sha256sum(&path)), "{source}");
        assert_eq!(found["stored"], fs::metadata(&path).expect("a file").len(), "{source}");
    }
}

/// Every field of the JSON forms stands in their description.
pub(crate) fn fields_are_described(stage: &Stage) {
    let page = include_str!("../../docs/inspect.md");
    stage.program.write("other.tar", TarBuilder::new().member(Member::file("a", "1")).build());
    let difference = stage.program.run(["diff", "--json", "dist/stage", "other.tar"]).stdout;
    let mut keys = BTreeSet::new();
    fields(&stage.inspect("dist/stage"), &mut keys);
    fields(&serde_json::from_slice(&difference).expect("JSON"), &mut keys);
    assert!(keys.len() > 40, "only {keys:?}");
    let missing: Vec<&String> = keys.iter().filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/inspect.md has nothing about {missing:?}");
}

/// The names of all fields, but for those of an image's configuration, which others define.
fn fields(value: &Value, keys: &mut BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        keys.insert(key.clone());
        if key != "config" || value.is_array() {
            fields(value, keys);
        }
    }
    value.as_array().into_iter().flatten().for_each(|value| fields(value, keys));
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
}

/// The digest of the manifest that an image layout's index leads to.
fn skopeo(image: &str) -> String {
    let text = run(Command::new(tool("skopeo")).args(["inspect", "--raw", image]));
    let index: Value = serde_json::from_slice(&text).expect("JSON");
    index["manifests"][0]["digest"].as_str().expect("an index of one image").to_owned()
}

fn sha256sum(path: &Path) -> String {
    let text = run(Command::new(tool("sha256sum")).arg(path));
    String::from_utf8_lossy(&text).split(' ').next().expect("a digest").to_owned()
}

/// dpkg knows what it has installed.
pub(crate) fn packages_are_those_of_dpkg(stage: &Stage) {
    let database = format!("--admindir={}", stage.rootfs().join("var/lib/dpkg").display());
    let query = |arguments: &[&str]| {
        let text = run(Command::new(tool("dpkg-query")).arg(&database).args(arguments));
        String::from_utf8(text).expect("text")
    };
    let form = "-f=${Package}\t${Version}\t${Architecture}\t${source:Package} ${source:Version}\t${Installed-Size}\n";
    let mut expected: Vec<Vec<String>> =
        query(&["-W", form]).lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    expected.sort();
    let found = stage.inspect("rootfs.tar");
    let packages = found["packages"].as_array().expect("packages");
    let text = |package: &Value, field: &str| package[field].as_str().unwrap_or_default().to_owned();
    let mut ours: Vec<Vec<String>> = packages
        .iter()
        .map(|package| {
            assert_eq!(package["ecosystem"], "deb");
            let size =
                package["installed_size"].as_u64().map_or(String::new(), |size| (size / 1024).to_string());
            let fields = ["name", "version", "architecture", "source"].map(|field| text(package, field));
            fields.into_iter().chain([size]).collect()
        })
        .collect();
    ours.sort();
    assert!(ours.len() > 30, "only {} packages", ours.len());
    assert_eq!(ours, expected);
    for package in packages {
        let name = text(package, "name");
        let listed = files_of(&query(&["-L", &name]), &stage.rootfs());
        let bytes: u64 = listed.values().sum();
        assert_eq!((&package["files"], &package["bytes"]), (&json!(listed.len()), &json!(bytes)), "{name}");
    }
}

/// The files, links and devices of a list that are there, each by its real path, with its bytes.
fn files_of(list: &str, root: &Path) -> BTreeMap<std::path::PathBuf, u64> {
    let real = |line: &str| {
        let path = root.join(line.strip_prefix('/')?);
        let path = path.parent()?.canonicalize().ok()?.join(path.file_name()?);
        let metadata = fs::symlink_metadata(&path).ok().filter(|metadata| !metadata.is_dir())?;
        Some((path, if metadata.is_file() { metadata.len() } else { 0 }))
    };
    let mut files: BTreeMap<_, _> = list.lines().filter_map(real).collect();
    // A file with several names counts once, by the first of them.
    let mut seen = BTreeSet::new();
    for (path, bytes) in &mut files {
        let metadata = fs::symlink_metadata(path).expect("it is there");
        if metadata.is_file() && !seen.insert(metadata.ino()) {
            *bytes = 0;
        }
    }
    files
}

pub(crate) fn sizes_are_those_of_the_file_system(stage: &Stage) {
    let found = stage.inspect("rootfs.tar");
    let (mut inodes, mut directories, mut links, mut names, mut bytes) = (BTreeSet::new(), 0, 0, 0, 0);
    let mut sizes = Vec::new();
    for path in walk(&stage.rootfs()) {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        directories += u64::from(metadata.is_dir());
        links += u64::from(metadata.is_symlink());
        if metadata.is_file() {
            names += 1;
            if inodes.insert(metadata.ino()) {
                bytes += metadata.len();
                sizes.push(metadata.len());
            }
        }
    }
    let totals = &found["totals"];
    assert_eq!(totals["files"], inodes.len());
    assert_eq!((&totals["directories"], &totals["symbolic_links"]), (&json!(directories), &json!(links)));
    assert_eq!((&totals["hard_links"], &totals["bytes"]), (&json!(names - inodes.len()), &json!(bytes)));
    assert!(names > inodes.len(), "no hard link");
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let rows = |list: &str| found[list].as_array().expect("rows").clone();
    let largest: Vec<u64> = rows("largest_files").iter().filter_map(|row| row["bytes"].as_u64()).collect();
    assert_eq!(largest, sizes[..50]);
    let usr: u64 = walk(&stage.rootfs().join("usr"))
        .iter()
        .filter_map(|path| fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file))
        .map(|metadata| (metadata.ino(), metadata.len()))
        .collect::<BTreeMap<_, _>>()
        .values()
        .sum();
    assert_eq!(
        (&rows("largest_directories")[0]["path"], &rows("largest_directories")[0]["bytes"]),
        (&json!("usr"), &json!(usr))
    );
}

/// What people read is the same, and nothing in it moves a terminal's cursor.
#[test]
fn names_do_nothing_to_a_terminal() {
    let program = Program::new(PROGRAM);
    let tar = TarBuilder::new()
        .member(Member::file("etc/os-release", "ID=x\nPRETTY_NAME=\"\u{1b}[31mred\"\n"))
        .member(Member::file("bad\u{1b}[2J\u{9b}1mname", "contents"))
        .member(Member::file(
            "opt/node_modules/x/package.json",
            "{\"name\":\"\\u001b[1mx\",\"version\":\"1\\u0007\"}",
        ))
        .build();
    program.write("hostile.tar", tar);
    program.write("empty.tar", TarBuilder::new().build());
    for arguments in [&["inspect", "hostile.tar"][..], &["diff", "hostile.tar", "empty.tar"]] {
        let result = program.run(arguments);
        let text = String::from_utf8(result.stdout).expect("text");
        assert!(text.contains("bad\\x1b") || text.contains("bad\\u{1b}"), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

pub(crate) fn what_cannot_be_read_is_said(stage: &Stage) {
    let program = &stage.program;
    program.write("no.tar", "not a tar at all, but long enough to be one".repeat(40));
    for (summary, source, expected) in [
        ("nothing there", "./none.tar", "there is no such file or folder"),
        ("no tar", "no.tar", "cannot read no.tar as a tar, a folder or an image"),
        ("no image", "oci:dist", "is not an OCI image layout"),
        ("no platform", "dist/stage", "linux/riscv64"),
    ] {
        let more: &[&str] = if summary == "no platform" { &["--platform", "linux/riscv64"] } else { &[] };
        let errors = program.fail([&["inspect", source], more].concat());
        assert!(errors.contains(expected), "{summary}: {errors}");
        assert!(errors.starts_with("error: "), "{summary}: {errors}");
    }
}

/// SIGINT ends it while it reads what has no end.
#[test]
fn it_can_be_interrupted() {
    let program = Program::new(PROGRAM);
    let pipe = program.folder().join("pipe.tar");
    run(Command::new(tool("mkfifo")).arg(&pipe));
    let child = program
        .command(["inspect", "pipe.tar"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).expect("somebody reads");
    let mut tar = TarBuilder::new().member(Member::file("first", "x")).build();
    tar.truncate(1024);
    // A file of 8 GiB less one byte, as far as its header says.
    let mut header = TarBuilder::new().member(Member::file("endless", "")).build()[..512].to_vec();
    header[124..136].copy_from_slice(b"77777777777\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend(header);
    writer.write_all(&tar).expect("it reads");
    let zeros = vec![0; 1 << 20];
    writer.write_all(&zeros).expect("it reads on");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    while writer.write_all(&zeros).is_ok() {}
    let result = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&result.stderr);
    assert_eq!(result.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("error: interrupted"), "{errors}");
}
