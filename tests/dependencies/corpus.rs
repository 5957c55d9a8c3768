//! Popular packages with native parts, installed for the foreign architecture by us, and by the real pip and npm inside a root
//! of that architecture under emulation.
//!
//! Emulation takes minutes: all of it runs with `OVMLAYER_DEPS_CORPUS=1`, as `cargo xtask soak --part deps` sets it. Without it
//! only what the corpus is made of is looked at; `locks.rs` compares a few packages in every run.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{MachineEmulation, PIP_AND_NPM, Program, Rootfs, machine_architecture, number, run, tool};

use crate::facts::{Fact, extract, facts, same};
use crate::{HEAD, MODULES, NODE_MODULES, PROGRAM, files, give};

/// Packages that find their own programs without the script that they run.
const WITHOUT_SCRIPTS: &[&str] = &[
    "@parcel/watcher",
    "@swc/core",
    "bcrypt",
    "bufferutil",
    "esbuild",
    "lmdb",
    "msgpackr-extract",
    "utf-8-validate",
];

#[test]
fn the_corpus_is_what_pip_and_npm_make() {
    let text = |name: &str| fs::read_to_string(files().join("corpus").join(name)).expect("a file");
    let python = text("requirements.txt").lines().filter(|line| line.contains("==")).count();
    let manifest: Value = serde_json::from_str(&text("package.json")).expect("JSON");
    let node = manifest["dependencies"].as_object().expect("dependencies").len();
    assert!(python >= 25 && node >= 15, "{python} Python packages, {node} npm packages");
    if number("OVMLAYER_DEPS_CORPUS", 0) == 0 {
        return;
    }
    let foreign = if machine_architecture() == "amd64" { "arm64" } else { "amd64" };
    let program = Program::new(PROGRAM).shared_cache();
    give(&program, "corpus", &["requirements.txt", "package.json", "package-lock.json"]);
    let steps = format!(
        "[[steps]]\npython = {{ file = \"requirements.txt\" }}\n[[steps]]\nnode = {{ folder = \".\", without-scripts = \
         {WITHOUT_SCRIPTS:?} }}\n"
    );
    program.write("corpus.toml", format!("{HEAD}{steps}"));
    program.succeed(["build", "corpus.toml", "--distro", "debian", "--arch", foreign]);
    let layer = extract(&program.dist().join(format!("{foreign}.tar")), "corpus");
    let lock = fs::read_to_string(program.dist().join("corpus.lock")).expect("the lock");
    let lock: toml::Table = lock.parse().expect("TOML");
    let programs = programs_are_for(foreign, layer.path(), &lock);
    let root = foreign_root(&program, foreign);
    let wheels = by_pip(&root, &lock, layer.path());
    eprintln!("soak: corpus of Python for {foreign}: {python} packages asked for, {wheels}, all the same");
    let archives = by_npm(&root, foreign, &lock, layer.path());
    eprintln!("soak: corpus of Node.js for {foreign}: {node} packages asked for, {archives}, all the same");
    eprintln!("soak: corpus, programs and libraries: {programs}");
}

/// Every program is for the architecture, but for those that the lock lists.
fn programs_are_for(architecture: &str, layer: &Path, lock: &toml::Table) -> String {
    let machine = if architecture == "amd64" { 62 } else { 183 };
    let others = lock.get("program").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    let listed = |path: &str| others.iter().any(|other| other["path"].as_str() == Some(path));
    let mut own = 0;
    for (path, fact) in facts(layer) {
        let Fact::File { contents, .. } = fact else { continue };
        if contents.starts_with(b"\x7fELF") && contents.len() > 20 {
            let is_own = contents[5] == 1 && contents[18] == machine && contents[19] == 0;
            assert!(is_own != listed(&path), "{architecture}: {path}");
            own += usize::from(is_own);
        }
    }
    assert!(own > 50, "{own} programs and libraries");
    format!("{own} for {architecture}, {} for others, listed in the lock", others.len())
}

/// A root of the architecture with pip and npm.
fn foreign_root(program: &Program<'_>, architecture: &str) -> Rootfs {
    program.write("native.toml", PIP_AND_NPM);
    program.succeed(["build", "native.toml", "--arch", architecture]);
    let root = Rootfs::extract(&program.dist().join(format!("{architecture}-native.tar")));
    root.know_registries();
    root
}

/// pip is told the versions alone, and chooses the wheels itself.
fn by_pip(root: &Rootfs, lock: &toml::Table, layer: &Path) -> String {
    let wheels = lock["wheel"].as_array().expect("wheels");
    let pinned = |wheel: &toml::Value| format!("{}=={}\n", wheel["name"], wheel["version"]).replace('"', "");
    let text: String = wheels.iter().map(pinned).collect();
    fs::write(root.path().join("constraints.txt"), text).expect("a file");
    fs::copy(files().join("corpus/requirements.txt"), root.path().join("requirements.txt")).expect("a copy");
    let _emulation = MachineEmulation::present();
    root.install_by(
        "pip install --quiet --no-compile --no-cache-dir --only-binary :all: --root-user-action=ignore \
         -c /constraints.txt -r /requirements.txt",
    );
    let modules = same(&root.path().join(MODULES), &layer.join(MODULES), &[]);
    let programs = same(&root.path().join("usr/local/bin"), &layer.join("usr/local/bin"), NODE_PROGRAMS);
    format!("{} installed, {modules} files and {programs} programs", wheels.len())
}

/// Links that npm makes only when it is told to install globally.
const NODE_PROGRAMS: &[(&str, &str)] = &[
    ("biome", "a link to a program of npm's"),
    ("esbuild", "another one"),
    ("rollup", "another one"),
    ("download-lmdb-prebuilds", "another one"),
    ("download-msgpackr-prebuilds", "another one"),
];

/// Packages that Debian's npm 9 installs and newer ones do not: what a variant for WebAssembly needs, and it itself.
const OF_OLD_NPM: &[&str] = &["@emnapi/runtime", "@img/sharp-wasm32", "tslib"];

/// The npm of this machine, told what the target is, and the one of Debian, which runs on the target.
fn by_npm(root: &Rootfs, architecture: &str, lock: &toml::Table, layer: &Path) -> String {
    let here = tempfile::tempdir().expect("a folder");
    let there = root.path().join("project");
    fs::create_dir(&there).expect("a folder");
    for folder in [here.path(), &there] {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(files().join("corpus").join(name), folder.join(name)).expect("a copy");
        }
    }
    let cpu = if architecture == "amd64" { "x64" } else { architecture };
    let mut npm = Command::new(tool("npm"));
    npm.args([
        "ci",
        "--omit=dev",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--os=linux",
        "--libc=glibc",
    ]);
    run(npm.arg(format!("--cpu={cpu}")).current_dir(here.path()));
    let ours = layer.join(NODE_MODULES);
    let count = same(&here.path().join("node_modules"), &ours, &[]);
    let _emulation = MachineEmulation::present();
    root.install_by("cd /project && npm ci --omit=dev --ignore-scripts --no-audit --no-fund");
    let modules = there.join("node_modules");
    let left_out = leave_out_others(&modules);
    let emulated = same(&modules, &ours, &[]);
    let packages = lock["npm"].as_array().expect("packages").len();
    format!(
        "{packages} installed, {count} files by npm here, {emulated} by npm on the target but for {left_out} packages more for \
         musl and WebAssembly"
    )
}

/// Takes away what newer versions of npm do not install: npm 9 does not read `libc`.
fn leave_out_others(modules: &Path) -> usize {
    let mut others = 0;
    let scopes = fs::read_dir(modules).expect("packages").flatten().map(|entry| entry.path());
    let scopes =
        scopes.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('@')));
    for folder in scopes.chain([modules.to_owned()]).collect::<Vec<_>>() {
        for path in fs::read_dir(&folder).expect("packages").flatten().map(|entry| entry.path()) {
            let Ok(text) = fs::read(path.join("package.json")) else { continue };
            let manifest: Value = serde_json::from_slice(&text).expect("JSON");
            let is_other = manifest["libc"] == serde_json::json!(["musl"])
                || OF_OLD_NPM.iter().any(|name| manifest["name"] == **name);
            if is_other {
                fs::remove_dir_all(&path).expect("removed");
                others += 1;
            }
        }
    }
    others
}
