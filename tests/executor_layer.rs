//! Layers of Python and Node.js packages, by the whole program, from the registries that this machine's pip and npm use.
//!
//! Needs root, a Debian mirror, and registries of Python and npm packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::{Network, Program, Rootfs, machine_architecture, our_program, output, run, tool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");

/// A root of this machine's architecture to run layers in, and to have the real pip and npm install into.
const NATIVE: &str = r#"
format = 1
kind = "rootfs"
description = "Python, Node.js, pip and npm"
architectures = ["amd64", "arm64"]
output = "{arch}-native.tar"
distro = "debian"
[[steps]]
packages = ["python3", "python3-pip", "nodejs", "npm"]
[[steps]]
run = { script = "rm /usr/lib/python3*/EXTERNALLY-MANAGED" }
"#;

/// Where the packages are in a layer, and in a root.
const MODULES: &str = "usr/local/lib/python3.13/dist-packages";
const NODE_MODULES: &str = "usr/local/lib/node_modules";

#[test]
fn the_executor_layer() {
    let program = Program::new(PROGRAM).shared_cache();
    let built = program.run(["build", "executor-layer", "--distro", "debian"]);
    let told = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "{told}");
    assert!(told.contains("`server-foundation` in place of `server-base`"), "{told}");
    names_no_registry(&program);
    another_build_is_the_same(&program);
    let other = if machine_architecture() == "amd64" { "arm64" } else { "amd64" };
    for architecture in [machine_architecture(), other] {
        let layer = extract(&layer(&program, architecture));
        programs_are_for(architecture, layer.path());
    }
    program.write("native.toml", NATIVE);
    program.succeed(["build", "native.toml", "--arch", machine_architecture()]);
    let root = Rootfs::extract(&program.dist().join(format!("{}-native.tar", machine_architecture())));
    it_runs(&root, &layer(&program, machine_architecture()));
    it_is_what_pip_and_npm_install(&root, &program);
}

fn layer(program: &Program<'_>, architecture: &str) -> PathBuf {
    program.dist().join(format!("{architecture}-executor.tar"))
}

/// The contents of the only layer in an archive.
fn extract(archive: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tar = Command::new(tool("tar"));
    tar.arg("-xf").arg(archive).arg("-C").arg(folder.path());
    run(tar.args(["--strip-components=2", "layers/executor"]));
    folder
}

/// A lock is for all architectures, has a digest for everything, and no address.
fn names_no_registry(program: &Program<'_>) {
    let lock = fs::read_to_string(program.dist().join("executor-layer.lock")).expect("the lock");
    assert!(!lock.contains("://"), "{lock}");
    for word in
        ["manylinux2014_aarch64", "x86_64.whl", "@esbuild/linux-arm64", "@esbuild/linux-x64", "sha512-"]
    {
        assert!(lock.contains(word), "{word} is not in the lock:\n{lock}");
    }
    let versions = fs::read(program.dist().join("versions.json")).expect("versions.json");
    let versions: Value = serde_json::from_slice(&versions).expect("JSON");
    assert_eq!(versions["python"]["oocana-python-executor"], "0.16.18", "{versions}");
    assert_eq!(versions["architectures"]["arm64"]["python"], "3.13", "{versions}");
    assert_eq!(versions["architectures"]["arm64"]["parent"]["name"], "server-foundation", "{versions}");
}

/// By the lock alone, without network, with one thread, in another folder.
fn another_build_is_the_same(program: &Program<'_>) {
    fs::create_dir_all(program.folder().join("recipes")).expect("a folder");
    fs::copy(
        program.dist().join("executor-layer.lock"),
        program.folder().join("recipes/executor-layer.lock"),
    )
    .expect("the lock beside the recipe");
    let again = program.folder().join("again");
    let build_dir = program.folder().join("work");
    program.succeed(
        [
            "build",
            "executor-layer",
            "--distro",
            "debian",
            "--locked",
            "--offline",
            "--jobs",
            "1",
            "--out",
            "again",
        ]
        .iter()
        .map(|word| (*word).to_owned())
        .chain(["--build-dir".to_owned(), build_dir.display().to_string()]),
    );
    for name in ["amd64-executor.tar", "arm64-executor.tar", "versions.json", "executor-layer.lock"] {
        let read = |folder: &Path| fs::read(folder.join(name)).expect("an artifact");
        assert!(read(&program.dist()) == read(&again), "{name} differs");
    }
    let message = program.fail(["build", "executor-layer", "--distro", "ubuntu", "--locked"]);
    assert!(message.contains("it is for debian trixie"), "{message}");
}

fn programs_are_for(architecture: &str, layer: &Path) {
    let machine = if architecture == "amd64" { 62 } else { 183 };
    let mut programs = 0;
    for (path, fact) in facts(layer) {
        let Fact::File { contents, .. } = fact else { continue };
        if contents.starts_with(b"\x7fELF") {
            assert_eq!(contents[18], machine, "{architecture}: {path}");
            programs += 1;
        }
    }
    assert!(programs >= 2, "{architecture}: simplejson and esbuild bring programs, and there are {programs}");
}

/// With `ovmlayer` itself: imported, merged, run.
fn it_runs(root: &Rootfs, archive: &Path) {
    let home = tempfile::tempdir().expect("a folder");
    let stores = ["runtime", "external"].map(|name| home.path().join(name));
    stores.iter().for_each(|store| fs::create_dir(store).expect("a store"));
    let program = our_program("ovmlayer");
    let ovmlayer = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        String::from_utf8_lossy(&run(command.env("HOME", home.path()).args(arguments))).into_owned()
    };
    let text = |path: &Path| path.display().to_string();
    let (runtime, external) = (text(&stores[0]), text(&stores[1]));
    ovmlayer(&[
        "setup",
        "--runtime",
        &runtime,
        "--external",
        &external,
        "--rootfs-path",
        &text(&root.path()),
    ]);
    ovmlayer(&["import", "--rename", "blocks", &text(archive)]);
    ovmlayer(&["create", "top"]);
    ovmlayer(&["merge", "-l", "blocks", "-l", "top", "-m", "m"]);
    let help = ovmlayer(&["run", "--workdir=/tmp", "--merged-point=m", "python-executor", "--help"]);
    assert!(help.contains("--session-id"), "{help}");
    ovmlayer(&["run", "--merged-point=m", "python3", "-c", "import oocana, simplejson._speedups"]);
    let version = ovmlayer(&["run", "--workdir=/srv", "--merged-point=m", "esbuild", "--version"]);
    assert_eq!(version.trim(), "0.25.9");
    let listed = ovmlayer(&["run", "--merged-point=m", "pip", "show", "--files", "oocana-python-executor"]);
    assert!(listed.contains("../../../bin/python-executor") && listed.contains("Required-by"), "{listed}");
    ovmlayer(&["unmerge", "m"]);
}

/// What `path` is.
#[derive(Debug, PartialEq, Eq)]
enum Fact {
    Folder,
    Link(PathBuf),
    File { mode: u32, contents: Vec<u8> },
}

fn facts(folder: &Path) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current).expect("a folder").flatten() {
            let path = entry.path();
            let found = entry.metadata().expect("what it is");
            let name = path.strip_prefix(folder).expect("beneath it").display().to_string();
            let fact = if found.is_dir() {
                open.push(path);
                Fact::Folder
            } else if found.is_symlink() {
                Fact::Link(fs::read_link(&path).expect("a target"))
            } else {
                let contents = fs::read(&path).expect("a file");
                Fact::File { mode: found.permissions().mode() & 0o7777, contents }
            };
            facts.insert(name, fact);
        }
    }
    facts
}

/// What may differ from what pip and npm make, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("/INSTALLER", "names the program that installed it"),
    ("/RECORD", "has the hash of INSTALLER; its lines are compared by themselves"),
    (".package-lock.json", "npm's cache of its own lock, with the times of this installation"),
];

fn it_is_what_pip_and_npm_install(root: &Rootfs, program: &Program<'_>) {
    let layer = extract(&layer(program, machine_architecture()));
    configure(root);
    let lock = fs::read_to_string(program.dist().join("executor-layer.lock")).expect("the lock");
    let lock: toml::Table = lock.parse().expect("TOML");
    let pinned = |wheel: &toml::Value| format!("{}=={}\n", wheel["name"], wheel["version"]).replace('"', "");
    let wheels = lock["wheel"].as_array().expect("wheels");
    fs::write(root.path().join("constraints.txt"), wheels.iter().map(pinned).collect::<String>())
        .expect("constraints");
    let executors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../executors");
    fs::copy(executors.join("requirements.txt"), root.path().join("requirements.txt")).expect("a copy");
    let options = "--no-compile --root-user-action=ignore -c /constraints.txt -r /requirements.txt";
    in_root(root, &format!("pip install {options}"));
    same(&root.path().join(MODULES), &layer.path().join(MODULES));
    same_lists(&root.path().join(MODULES), &layer.path().join(MODULES));
    let script =
        |root: &Path| fs::read_to_string(root.join("usr/local/bin/python-executor")).expect("a script");
    assert_eq!(script(layer.path()), script(&root.path()), "the launcher");
    let folder = root.path().join("project");
    fs::create_dir(&folder).expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        fs::copy(executors.join(name), folder.join(name)).expect("a copy");
    }
    in_root(root, "cd /project && npm ci --omit=dev --ignore-scripts --no-audit --no-fund");
    same(&folder.join("node_modules"), &layer.path().join(NODE_MODULES));
}

/// Gives the root what this machine's pip and npm are told about their registries.
fn configure(root: &Rootfs) {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for (from, to) in [
        (PathBuf::from("/etc/pip.conf"), "etc/pip.conf"),
        (PathBuf::from("/etc/ssl/certs/ca-certificates.crt"), "etc/ssl/certs/ca-certificates.crt"),
        (home.join(".config/pip/pip.conf"), "root/.config/pip/pip.conf"),
        (home.join(".npmrc"), "root/.npmrc"),
    ] {
        if from.is_file() {
            let to = root.path().join(to);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(from, to).expect("a copy");
        }
    }
}

fn in_root(root: &Rootfs, script: &str) {
    let variables = std::env::vars().filter(|(name, _)| {
        name.to_lowercase().ends_with("_proxy") || name == "PIP_INDEX_URL" || name == "PIP_EXTRA_INDEX_URL"
    });
    let exports: String = variables.map(|(name, value)| format!("export {name}='{value}'; ")).collect();
    let result = root.runc(Network::Host, &["/bin/sh", "-ec", &format!("{exports}{script}")]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(result.status.success(), "{script}\n{}{}", text(&result.stdout), text(&result.stderr));
}

/// Everything is the same in both folders but for what [`DIFFERENT`] names.
fn same(theirs: &Path, ours: &Path) {
    let differs = |path: &str| DIFFERENT.iter().any(|(name, _)| path.ends_with(name));
    let known = |folder: &Path| {
        let mut facts = facts(folder);
        facts.retain(|path, _| !differs(path));
        facts
    };
    let (theirs, ours) = (known(theirs), known(ours));
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let different: Vec<_> = paths.into_iter().filter(|path| theirs.get(*path) != ours.get(*path)).collect();
    assert!(different.is_empty(), "{different:?} of {} differ", theirs.len());
}

/// Of the lists of installed files, only the lines about the installer differ.
fn same_lists(theirs: &Path, ours: &Path) {
    let lines = |folder: &Path| -> BTreeMap<String, BTreeSet<String>> {
        let lists = facts(folder).into_iter().filter(|(path, _)| path.ends_with("/RECORD"));
        let lines = |fact: Fact| {
            let Fact::File { contents, .. } = fact else { return BTreeSet::new() };
            let text = String::from_utf8_lossy(&contents).into_owned();
            let is_kept = |line: &&str| !line.contains("/INSTALLER,");
            text.lines().map(str::trim_end).filter(is_kept).map(str::to_owned).collect()
        };
        lists.map(|(path, fact)| (path, lines(fact))).collect()
    };
    let (theirs, ours) = (lines(theirs), lines(ours));
    assert!(theirs.len() > 3 && theirs.keys().eq(ours.keys()));
    for (list, theirs) in &theirs {
        let different: Vec<_> = theirs.symmetric_difference(&ours[list]).collect();
        assert!(different.is_empty(), "{list}: {different:?}");
    }
}

/// What a recipe of a layer begins with.
const HEAD: &str = "format = 1\nkind = \"layer\"\ndescription = \"d\"\narchitectures = [\"amd64\", \"arm64\"]\n\
                    output = \"{arch}.tar\"\n[layer]\nparent = \"server-foundation\"\n[[steps]]\n";

/// An npm lock with one package that is really there, and `more` about it.
fn npm_lock(version: u32, more: &str) -> String {
    let hash =
        "sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
    format!(
        "{{\"lockfileVersion\": {version}, \"packages\": {{\"\": {{\"dependencies\": {{\"ms\": \"2.1.3\"}}}},\n\
         \"node_modules/ms\": {{\"version\": \"2.1.3\", \"integrity\": \"{hash}\" {more}}}}}}}"
    )
}

const MANIFEST: &str = "{\"dependencies\": {\"ms\": \"2.1.3\"}}";

/// Each of these is found out before anything is fetched or run, and nothing is left.
#[test]
fn what_cannot_be_built_is_named() {
    let python = "python = { file = \"requirements.txt\" }\n";
    let node = "node = { folder = \".\" }\n";
    let cases: &[(&str, &str, &str, String, &[&str])] = &[
        ("no version", python, "requirements.txt", "orjson\n".into(), &["requirements.txt:1", "`orjson`"]),
        (
            "a range",
            python,
            "requirements.txt",
            "ms==1\n\norjson>=3\n".into(),
            &["requirements.txt:3", "`orjson>=3`"],
        ),
        ("an unknown lock", node, "package-lock.json", npm_lock(1, ""), &["package-lock.json", "version 1"]),
        (
            "a lifecycle script",
            node,
            "package-lock.json",
            npm_lock(3, ", \"hasInstallScript\": true"),
            &["`ms` 2.1.3", "`without-scripts`"],
        ),
        (
            "another platform",
            node,
            "package-lock.json",
            npm_lock(3, ", \"cpu\": [\"x64\"]"),
            &["`ms` 2.1.3", "arm64", "cpu x64"],
        ),
        ("no JSON", node, "package-lock.json", "{\n\"a\"".into(), &["package-lock.json", "line 2"]),
        ("a missing file", "python = { file = \"no.txt\" }\n", "x", String::new(), &["no.txt"]),
    ];
    for (summary, step, name, text, words) in cases {
        let program = Program::new(PROGRAM).shared_cache();
        program.write("l.toml", format!("{HEAD}{step}"));
        program.write("package.json", MANIFEST);
        program.write(name, text);
        let message = program.fail(["build", "l.toml", "--distro", "debian"]);
        for word in *words {
            assert!(message.contains(word), "{summary}: {message}");
        }
        let left = fs::read_dir(program.dist()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{summary}: something is left in dist");
    }
}

/// What only the tools find out: it names the package too.
#[test]
fn what_registries_do_not_have_is_named() {
    let python = "python = { file = \"requirements.txt\" }\n";
    let node = "node = { folder = \".\" }\n";
    let cases: &[(&str, &str, &str, String, &[&str])] = &[
        (
            "a conflict",
            python,
            "requirements.txt",
            "jsonschema==4.23.0\nattrs==20.1.0\n".into(),
            &["resolve Python packages", "jsonschema==4.23.0", "attrs==20.1.0"],
        ),
        (
            "only source",
            python,
            "requirements.txt",
            "docopt==0.6.2\n".into(),
            &["resolve Python packages", "docopt"],
        ),
        (
            "another hash",
            node,
            "package-lock.json",
            npm_lock(3, ""),
            &["`ms@2.1.3` is not what the lock says", "sha512-AAAA"],
        ),
    ];
    for (summary, step, name, text, words) in cases {
        let program = Program::new(PROGRAM).shared_cache();
        program.write("l.toml", format!("{HEAD}{step}"));
        program.write("package.json", MANIFEST);
        program.write(name, text);
        let message = program.fail(["build", "l.toml", "--distro", "debian", "--arch", "arm64"]);
        for word in *words {
            assert!(message.contains(word), "{summary}: {message}");
        }
        assert_eq!(fs::read_dir(program.dist()).map_or(0, Iterator::count), 0, "{summary}");
    }
}

/// A layer of files alone needs no tools; what is left out is not in it, and what it says of itself is.
#[test]
fn files_and_what_is_left_out() {
    let program = Program::new(PROGRAM).shared_cache();
    let steps = "files = [{ path = \"/opt/a/run\", content = \"x\", mode = \"0755\" }, { path = \"/opt/a/no.pyc\", \
                 content = \"x\" }, { path = \"/usr/bin/run\", link = \"/opt/a/run\" }]\n[[steps]]\nslim = [\"**/*.pyc\"]\n";
    program.write("l.toml", format!("{HEAD}{steps}"));
    program.succeed(["build", "l.toml", "--distro", "debian", "--arch", "arm64"]);
    let mut tar = Command::new(tool("tar"));
    let listed = output(tar.args(["-tf"]).arg(program.dist().join("arm64.tar")));
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for (path, expected) in [
        ("layers/l/opt/a/run", true),
        ("layers/l/usr/bin/run", true),
        ("layers/l/usr/share/ovmlayer/layers/l.json", true),
        ("layers/l/opt/a/no.pyc", false),
    ] {
        assert_eq!(listed.lines().any(|line| line == path), expected, "{path}:\n{listed}");
    }
}
