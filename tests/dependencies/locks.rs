//! Locks of every kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Program, run, tool, validator};

use crate::facts::{extract, facts, same};
use crate::{HEAD, MODULES, NODE_MODULES, PROGRAM, give};

const STEPS: &str = "[[steps]]\npython = { file = \"pylock.toml\" }\n[[steps]]\npython = { file = \"uv.lock\" }\n\
                     [[steps]]\nnode = { folder = \".\" }\n\
                     [[steps]]\nnode = { folder = \"npm\", into = \"/opt/npm\", without-scripts = [\"esbuild\"] }\n";

const FILES: &[&str] = &["pylock.toml", "pyproject.toml", "uv.lock", "package.json", "pnpm-lock.yaml"];

#[test]
fn locks_of_every_kind_are_installed() {
    let program = Program::new(PROGRAM).shared_cache();
    give(&program, "locks", FILES);
    fs::create_dir(program.folder().join("npm")).expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        program.write(&format!("npm/{name}"), fs::read(npm().join(name)).expect("a file"));
    }
    program.write("locks.toml", format!("{HEAD}{STEPS}"));
    program.succeed(["build", "locks.toml", "--distro", "debian"]);
    let lock = fs::read_to_string(program.dist().join("locks.lock")).expect("the lock");
    for word in ["aarch64.whl", "x86_64.whl", "six-1.17.0", "node_modules/debug/node_modules/ms", "semver = "]
    {
        assert!(lock.contains(word), "{word} is not in the lock:\n{lock}");
    }
    for word in ["colorama", "picocolors", "://"] {
        assert!(!lock.contains(word), "{word} is in the lock:\n{lock}");
    }
    for (architecture, cpu, other) in [("amd64", "x64", "arm64"), ("arm64", "arm64", "x64")] {
        let layer = extract(&program.dist().join(format!("{architecture}.tar")), "locks");
        let modules: Vec<String> = facts(&layer.path().join(MODULES)).into_keys().collect();
        assert!(modules.iter().any(|name| name == "six.py"), "{modules:?}");
        let native = modules.iter().filter(|name| name.starts_with("markupsafe/_speedups")).count();
        assert!(native >= 1 && !modules.iter().any(|name| name.starts_with("colorama")), "{modules:?}");
        let node = layer.path().join(NODE_MODULES);
        assert!(node.join(format!("@esbuild/linux-{cpu}/bin/esbuild")).exists());
        assert!(!node.join(format!("@esbuild/linux-{other}")).exists());
        assert!(!node.join("picocolors").exists(), "what is for development is not in it");
        assert_eq!(
            fs::read_link(layer.path().join("usr/local/bin/semver")).expect("a program"),
            Path::new("../../../usr/local/lib/node_modules/semver/bin/semver.js")
        );
    }
    let layer = extract(&program.dist().join("arm64.tar"), "locks");
    let in_modules = |folder: &Path| folder.join("node_modules");
    same(&in_modules(by_pnpm("arm64").path()), &layer.path().join(NODE_MODULES), &[]);
    same(&in_modules(by_npm().path()), &in_modules(&layer.path().join("opt/npm")), &[]);
    let reasons =
        [("/REQUESTED", "pip is given names here; of what is in a lock nobody knows who asked for it")];
    same(by_pip().path(), &layer.path().join(MODULES), &reasons);
    // From the lock alone, with the archives that are in the cache.
    fs::copy(program.dist().join("locks.lock"), program.folder().join("locks.lock")).expect("a lock");
    let again = ["build", "locks.toml", "--distro", "debian", "--locked", "--offline", "--out", "again"];
    program.succeed(again);
    for name in ["amd64.tar", "arm64.tar"] {
        let read = |folder: &str| fs::read(program.folder().join(folder).join(name)).expect("a layer");
        assert!(read("dist") == read("again"), "{name} differs");
    }
    program.write(
        "pnpm-lock.yaml",
        fs::read_to_string(program.folder().join("pnpm-lock.yaml")).expect("a lock") + "\n",
    );
    let message = program.fail(["build", "locks.toml", "--distro", "debian", "--locked", "--offline"]);
    assert!(message.contains("packages are other ones"), "{message}");
}

/// What the real pip installs for arm64 of both locks.
fn by_pip() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pip = Command::new(validator("pip"));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]);
    pip.args([
        "--platform",
        "manylinux2014_aarch64",
        "--implementation",
        "cp",
        "--abi",
        "cp313",
        "--abi",
        "none",
    ]);
    pip.args(["--python-version", "3.13", "six==1.17.0", "markupsafe==3.0.2", "--target"]);
    run(pip.arg(folder.path()));
    folder
}

/// What the real npm installs for arm64.
fn by_npm() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        fs::copy(npm().join(name), folder.path().join(name)).expect("a copy");
    }
    let mut npm = Command::new(tool("npm"));
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(npm.args(["--os=linux", "--cpu=arm64", "--libc=glibc"]).current_dir(folder.path()));
    folder
}

/// The folder of the executors' own packages.
fn npm() -> PathBuf {
    crate::files().join("../npm")
}

/// What the real pnpm installs for a processor, from the registry that this machine's npm knows.
fn by_pnpm(cpu: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["package.json", "pnpm-lock.yaml"] {
        fs::copy(crate::files().join("locks").join(name), folder.path().join(name)).expect("a copy");
    }
    let mut pnpm = Command::new(tool("npm"));
    pnpm.args([
        "exec",
        "--yes",
        "--",
        "pnpm@10.34.9",
        "install",
        "--frozen-lockfile",
        "--prod",
        "--ignore-scripts",
    ]);
    pnpm.args(["--node-linker=hoisted", "--os=linux", "--libc=glibc", &format!("--cpu={cpu}")]);
    pnpm.arg(format!("--store-dir={}", folder.path().join("store").display()));
    run(pnpm.current_dir(folder.path()));
    folder
}
