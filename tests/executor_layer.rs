//! Layers of Python and Node.js packages, by the whole program, from the registries that this machine's pip and npm use.
//!
//! Needs root, a Debian mirror, and registries of Python and npm packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::{Network, Program, Rootfs, kept_rootfs, machine_architecture, our_program, output, run, tool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");

/// A root of this machine's architecture to run layers in, and to have the real pip install into.
const NATIVE: &str = r#"
format = 1
kind = "rootfs"
description = "Python, Node.js and pip"
architectures = ["amd64", "arm64"]
output = "{arch}-rootfs.tar"
distro = "debian"
[[steps]]
packages = ["python3", "python3-pip", "nodejs"]
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
    let root = Rootfs::extract(&kept_rootfs("native", NATIVE).tar);
    it_runs(&root, &layer(&program, machine_architecture()));
    it_is_what_pip_installs(&root, &program);
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
        ["manylinux2014_aarch64", "x86_64.whl", "@oomol/node-executor", "@swc/wasm-typescript", "sha512-"]
    {
        assert!(lock.contains(word), "{word} is not in the lock:\n{lock}");
    }
    let versions = fs::read(program.dist().join("versions.json")).expect("versions.json");
    let versions: Value = serde_json::from_slice(&versions).expect("JSON");
    assert_eq!(versions["python"]["oocana-python-executor"], "0.16.18", "{versions}");
    assert_eq!(versions["node"]["@oomol/node-executor"], "0.1.0", "{versions}");
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
    assert!(programs >= 1, "{architecture}: simplejson brings a program, and there is none");
}

/// `ovmlayer` with stores of its own over a root filesystem.
struct Stores {
    home: tempfile::TempDir,
}

impl Stores {
    fn over(root: &Path) -> Self {
        let stores = Self { home: tempfile::tempdir().expect("a folder") };
        let [runtime, external] = ["runtime", "external"].map(|name| stores.home.path().join(name));
        [&runtime, &external].iter().for_each(|store| fs::create_dir(store).expect("a store"));
        let [runtime, external, root] = [&runtime, &external, root].map(|path| path.display().to_string());
        stores.run(&["setup", "--runtime", &runtime, "--external", &external, "--rootfs-path", &root]);
        stores
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(our_program("ovmlayer"));
        command.env("HOME", self.home.path()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        String::from_utf8_lossy(&run(&mut self.command(arguments))).into_owned()
    }

    /// Imports a layer and gives the warnings.
    fn import(&self, arguments: &[&str]) -> String {
        let imported = output(self.command(&["import"]).args(arguments));
        let told = String::from_utf8_lossy(&imported.stderr).into_owned();
        assert!(imported.status.success(), "{told}");
        told
    }
}

/// With `ovmlayer` itself: imported, merged, run.
fn it_runs(root: &Rootfs, archive: &Path) {
    let stores = Stores::over(&root.path());
    let told = stores.import(&["--rename", "blocks", &archive.display().to_string()]);
    assert_eq!(told, "", "it fits");
    let ovmlayer = |arguments: &[&str]| stores.run(arguments);
    ovmlayer(&["create", "top"]);
    ovmlayer(&["merge", "-l", "blocks", "-l", "top", "-m", "m"]);
    let help = ovmlayer(&["run", "--workdir=/tmp", "--merged-point=m", "python-executor", "--help"]);
    assert!(help.contains("--session-id"), "{help}");
    ovmlayer(&["run", "--merged-point=m", "python3", "-c", "import oocana, simplejson._speedups"]);
    let command = ["run", "--workdir=/srv", "--merged-point=m", "nodejs-executor", "--tmp-dir", "/tmp"];
    let told = output(&mut stores.command(&command));
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("session-id"), "it reads its command line: {told}");
    let transpile =
        "require('/usr/local/lib/node_modules/@oomol/node-executor/node_modules/@swc/wasm-typescript')";
    ovmlayer(&["run", "--merged-point=m", "node", "-e", transpile]);
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

fn it_is_what_pip_installs(root: &Rootfs, program: &Program<'_>) {
    let layer = extract(&layer(program, machine_architecture()));
    configure(root);
    let lock = fs::read_to_string(program.dist().join("executor-layer.lock")).expect("the lock");
    let lock: toml::Table = lock.parse().expect("TOML");
    let pinned = |wheel: &toml::Value| format!("{}=={}\n", wheel["name"], wheel["version"]).replace('"', "");
    let wheels = lock["wheel"].as_array().expect("wheels");
    fs::write(root.path().join("constraints.txt"), wheels.iter().map(pinned).collect::<String>())
        .expect("constraints");
    fs::copy(source("executors/requirements.txt"), root.path().join("requirements.txt")).expect("a copy");
    let options = "--no-compile --root-user-action=ignore -c /constraints.txt -r /requirements.txt";
    in_root(root, &format!("pip install {options}"));
    same(&root.path().join(MODULES), &layer.path().join(MODULES));
    same_lists(&root.path().join(MODULES), &layer.path().join(MODULES));
    let script =
        |root: &Path| fs::read_to_string(root.join("usr/local/bin/python-executor")).expect("a script");
    assert_eq!(script(layer.path()), script(&root.path()), "the launcher");
}

/// A file of the repository.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Gives the root what this machine's pip is told about its registries.
fn configure(root: &Rootfs) {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for (from, to) in [
        (PathBuf::from("/etc/pip.conf"), "etc/pip.conf"),
        (PathBuf::from("/etc/ssl/certs/ca-certificates.crt"), "etc/ssl/certs/ca-certificates.crt"),
        (home.join(".config/pip/pip.conf"), "root/.config/pip/pip.conf"),
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

/// What needs no programs: files, what is left out, packages with native parts for another machine; and all that can be made
/// of a layer.
#[test]
fn files_and_native_packages_in_all_forms() {
    let program = Program::new(PROGRAM).shared_cache();
    let steps = "files = [{ path = \"/opt/a/run\", content = \"x\", mode = \"0755\" }, { path = \"/opt/a/no.pyc\", \
                 content = \"x\" }, { path = \"/usr/bin/run\", link = \"/opt/a/run\" }]\n[[steps]]\nslim = [\"**/*.pyc\"]\n\
                 [[steps]]\nnode = { folder = \"js\", without-scripts = [\"esbuild\"] }\n";
    program.write("l.toml", format!("{HEAD}{steps}"));
    give_packages(&program);
    program.succeed([
        "build",
        "l.toml",
        "--distro",
        "debian",
        "--oci",
        "--sbom",
        "spdx,cyclonedx",
        "--provenance",
    ]);
    for architecture in ["amd64", "arm64"] {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = program.dist().join(format!("{architecture}.tar"));
        let mut tar = Command::new(tool("tar"));
        tar.arg("-xf").arg(archive).arg("-C").arg(folder.path());
        run(tar.args(["--strip-components=2", "layers/l"]));
        for (path, expected) in [
            ("opt/a/run", true),
            ("usr/bin/run", true),
            ("usr/share/ovmlayer/layers/l.json", true),
            ("opt/a/no.pyc", false),
        ] {
            assert_eq!(folder.path().join(path).symlink_metadata().is_ok(), expected, "{path}");
        }
        programs_are_for(architecture, folder.path());
        if architecture == machine_architecture() {
            it_is_what_npm_installs(folder.path());
        }
        for (name, word) in [("spdx", "pkg:npm/esbuild@0.25.9"), ("cdx", "pkg:npm/esbuild@0.25.9")] {
            let path = program.dist().join(format!("{architecture}.{name}.json"));
            let text = fs::read_to_string(&path).expect("a bill of materials");
            assert!(text.contains(word), "{path:?} does not tell of {word}");
        }
    }
    the_image_has_each_layer(&program);
}

/// Puts a project with native packages beside the recipes.
fn give_packages(program: &Program<'_>) {
    fs::create_dir(program.folder().join("js")).expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        let text = fs::read(source("tests/npm").join(name)).expect("a file of the repository");
        program.write(&format!("js/{name}"), text);
    }
}

/// This machine's npm makes the same of the lock.
fn it_is_what_npm_installs(layer: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["package.json", "package-lock.json"] {
        fs::copy(source("tests/npm").join(name), folder.path().join(name)).expect("a copy");
    }
    let mut npm = Command::new(tool("npm"));
    npm.current_dir(folder.path()).args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(&mut npm);
    same(&folder.path().join("node_modules"), &layer.join(NODE_MODULES));
}

/// The image has one layer for each architecture, which `ovmlayer` reads; a root that it does not fit on is told.
fn the_image_has_each_layer(program: &Program<'_>) {
    let layout = program.dist().join("l");
    let read = |descriptor: &Value| -> Value {
        let digest = descriptor["digest"].as_str().expect("a digest").replace(':', "/");
        let text = fs::read(layout.join("blobs").join(digest)).expect("a blob");
        serde_json::from_slice(&text).expect("JSON")
    };
    let top: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("an index")).expect("JSON");
    let tagged = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == "latest";
    let entries = top["manifests"].as_array().expect("entries");
    let index = read(entries.iter().find(tagged).expect("the image"));
    let images = index["manifests"].as_array().expect("images");
    assert_eq!(images.len(), 2, "{index}");
    let image = images.iter().find(|image| image["platform"]["architecture"] == "arm64").expect("arm64");
    let layers = read(image)["layers"].as_array().expect("layers").clone();
    assert_eq!(layers.len(), 1, "{layers:?}");
    let blob = layout.join("blobs").join(layers[0]["digest"].as_str().expect("a digest").replace(':', "/"));
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(root.path().join("var/lib/dpkg")).expect("a folder");
    let status = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n\
                  Package: python3\nStatus: install ok installed\nVersion: 3.11.2-1\n";
    fs::write(root.path().join("var/lib/dpkg/status"), status).expect("a database");
    let told =
        Stores::over(root.path()).import(&["--format", "oci", "--rename", "l", &blob.display().to_string()]);
    for words in [
        "layer `l` is for arm64, and the root filesystem is for amd64",
        "layer `l` is for Python 3.13, and the root filesystem has Python 3.11",
        "layer `l` is for Node.js, and the root filesystem has none",
    ] {
        assert!(told.contains(words), "{words}:\n{told}");
    }
}

/// Whether a file of Python's cache is found by the time of its source, which a layer does not keep (PEP 552).
fn is_dated(path: &Path, fact: &Fact) -> bool {
    let Fact::File { contents, .. } = fact else { return false };
    path.extension().is_some_and(|extension| extension == "pyc")
        && contents.get(4).is_none_or(|flags| flags & 1 == 0)
}

/// Steps that run programs, in the root of the parent.
const STEPS: &str = r#"
packages = ["tree", "python3-setuptools"]
[[steps]]
python = { file = "requirements.txt", from-source = ["docopt"] }
[[steps]]
node = { folder = "js", into = "/srv/app", scripts = ["esbuild"] }
[[steps]]
users = [{ name = "web", uid = 1234 }]
[[steps]]
files = [{ path = "/srv/app/main.mjs", content = "hello" }]
[[steps]]
env = { GREETING = "hello" }
[[steps]]
run = { script = """
python3 -c 'import docopt; print(docopt.__version__)' > /srv/docopt
/srv/app/node_modules/.bin/esbuild --version > /srv/esbuild
tree --noreport /srv/app/node_modules/mqtt > /dev/null
echo $GREETING > /srv/greeting
chmod 0700 /srv && chmod 0755 /srv
touch /etc/debian_version
cat /etc/issue > /tmp/issue && cat /tmp/issue > /etc/issue
rm /usr/bin/wget
rm -r /usr/share/doc/git
""" }
[[steps]]
slim = ["/usr/share/doc/tree", "/usr/share/man/**"]
"#;

#[test]
fn what_steps_change_is_the_layer() {
    let program = Program::new(PROGRAM).shared_cache();
    let architecture = machine_architecture();
    program.write(
        "l.toml",
        format!("{HEAD}{STEPS}").replace("[\"amd64\", \"arm64\"]", &format!("[\"{architecture}\"]")),
    );
    program.write("requirements.txt", "docopt==0.6.2\n");
    give_packages(&program);
    program.succeed(["build", "l.toml", "--distro", "debian"]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut tar = Command::new(tool("tar"));
    let archive = program.dist().join(format!("{architecture}.tar"));
    run(tar.arg("-xf").arg(&archive).arg("-C").arg(folder.path()).args(["--strip-components=2", "layers/l"]));
    let text = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap_or_default();
    assert_eq!((text("srv/docopt").trim(), text("srv/esbuild").trim()), ("0.6.2", "0.25.9"));
    assert_eq!(text("srv/greeting"), "hello\n");
    assert!(text("etc/passwd").contains("web:x:1234:"), "the user");
    assert!(text("var/lib/dpkg/status").contains("Package: tree\n"), "dpkg knows the package");
    let found = facts(folder.path());
    for (path, expected) in [
        ("usr/bin/tree", true),
        ("usr/bin/.wh.wget", true),
        ("usr/share/doc/.wh.git", true),
        ("usr/share/doc/tree", false),
        ("srv/app/node_modules/esbuild/package.json", true),
        ("usr/bin/env", false),
        ("etc/debian_version", false),
        ("etc/issue", false),
    ] {
        assert_eq!(found.contains_key(path), expected, "{path}");
    }
    // What every build leaves behind, or would make it another one.
    let left =
        ["tmp", "run", "dev", "proc", "var/log", "var/cache/apt", "etc/passwd-", "etc/.pwd.lock", "root"];
    let is_left = |(path, fact): &(&String, &Fact)| {
        let path = Path::new(path.as_str());
        **fact != Fact::Folder && left.iter().any(|name| path.starts_with(name)) || is_dated(path, fact)
    };
    let left: Vec<&String> = found.iter().filter(is_left).map(|(path, _)| path).collect();
    assert!(left.is_empty(), "{left:?}");
    if std::env::var_os("OVMLAYER_FOREIGN_IMAGES").is_some() {
        fs::copy(program.dist().join("l.lock"), program.folder().join("l.lock")).expect("the lock");
        let again = ["build", "l.toml", "--distro", "debian", "--locked", "--offline", "--jobs", "1"];
        program.succeed(again.iter().chain(&["--out", "again"]));
        let again = fs::read(program.folder().join(format!("again/{architecture}.tar"))).expect("a layer");
        assert!(fs::read(&archive).expect("a layer") == again, "the same lock gives another layer");
        the_executors_run_on_another_machine();
        eprintln!(
            "soak: executor layer: steps of every kind twice the same, executors run on another machine"
        );
    }
}

/// The executors for another machine, in their merged root there; the root has to be made by an emulator first, which takes
/// minutes.
fn the_executors_run_on_another_machine() {
    let program = Program::new(PROGRAM).shared_cache();
    let other = if machine_architecture() == "amd64" { "arm64" } else { "amd64" };
    program.write("native.toml", NATIVE);
    let node = source("executors/node");
    let steps = format!(
        "python = {{ file = \"{}\" }}\n[[steps]]\nnode = {{ folder = \"{}\", pack = [\"bin\", \"sdk\", \"src\", \
         \"tsconfig.json\"] }}\n[[steps]]\npackages = [\"tree\"]\n[[steps]]\nrun = {{ script = \"\"\"\n\
         python-executor --help > /srv/help\npython3 -c 'import oocana, simplejson._speedups'\n\
         nodejs-executor 2> /srv/usage || true\ntree --version > /srv/tree\n\"\"\" }}\n",
        source("executors/requirements.txt").display(),
        node.display(),
    );
    let head = HEAD.replace("server-foundation", "./native.toml");
    program.write("l.toml", format!("{head}{steps}"));
    program.succeed(["build", "./l.toml", "--distro", "debian", "--arch", other]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut tar = Command::new(tool("tar"));
    let archive = program.dist().join(format!("{other}.tar"));
    run(tar.arg("-xf").arg(&archive).arg("-C").arg(folder.path()).args(["--strip-components=2", "layers/l"]));
    let text = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap_or_default();
    assert!(text("srv/help").contains("--session-id") && text("srv/usage").contains("session-id"));
    assert!(text("srv/tree").starts_with("tree v"));
    programs_are_for(other, folder.path());
}

/// An image with a shell in it, made of nothing else.
const IMAGE: &str = r#"
format = 1
kind = "image"
description = "d"
architectures = ["amd64"]
from = "scratch"
[[steps]]
files = [
    { path = "/bin/busybox", source = "/bin/busybox", mode = "0755" },
    { path = "/bin/sh", link = "busybox" },
    { path = "/dev/kept", content = "" },
    { path = "/proc/kept", content = "" },
    { path = "/etc/word", content = "first" },
    { path = "/srv/data/page", content = "words" },
]
"#;

/// A layer on an image, whatever that is made of: by its digest, and with nothing left behind where a step fails.
#[test]
fn steps_on_an_image() {
    let program = Program::new(PROGRAM);
    let architecture = machine_architecture();
    let for_machine = |text: &str| text.replace("amd64", architecture);
    program.write("base.toml", for_machine(IMAGE));
    program.succeed(["build", "base.toml"]);
    let recipe = |name: &str, step: &str| {
        let head = "format = 1\nkind = \"layer\"\ndescription = \"d\"\narchitectures = [\"amd64\"]\n\
                    output = \"{arch}-layer.tar\"\nfrom = \"./dist/base\"\n[[steps]]\n";
        program.write(name, for_machine(&format!("{head}{step}\n")));
    };
    let script = "echo second > /etc/word; busybox rm -r /srv/data; busybox mkdir -p /srv/data; \
                  busybox touch /bin/busybox; echo $WORD > /srv/data/new";
    recipe("good.toml", &format!("env = {{ WORD = \"new\" }}\n[[steps]]\nrun = {{ script = \"{script}\" }}"));
    program.succeed(["build", "good.toml"]);
    let mut tar = Command::new(tool("tar"));
    let archive = program.dist().join(format!("{architecture}-layer.tar"));
    let listed = output(tar.args(["-tf"]).arg(&archive)).stdout;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let listed: Vec<&str> =
        listed.lines().filter(|line| !line.ends_with('/') && !line.contains("ovmlayer")).collect();
    let expected = ["etc/word", "srv/data/.wh..wh..opq", "srv/data/new", "sums"];
    assert!(listed.iter().zip(expected).all(|(line, end)| line.contains(end)), "{listed:?}");
    assert_eq!(listed.len(), expected.len(), "{listed:?}");
    program.succeed(["build", "good.toml", "--jobs", "1", "--out", "again"]);
    let again = program.folder().join(format!("again/{architecture}-layer.tar"));
    assert!(fs::read(&archive).expect("a layer") == fs::read(again).expect("a layer"), "it is another one");
    fs::remove_dir_all(program.dist().join("base")).expect("the image is gone");
    program.write("base.toml", for_machine(IMAGE).replace("first", "other"));
    program.succeed(["build", "base.toml"]);
    fs::copy(program.dist().join("good.lock"), program.folder().join("good.lock")).expect("the lock");
    let cases = [
        ("failing.toml", "run = { script = \"echo oh no; exit 3\" }", "oh no"),
        ("packages.toml", "packages = [\"zsh\"]", "`./dist/base` is an image"),
    ];
    fs::remove_file(&archive).expect("the layer");
    for (name, step, words) in cases {
        recipe(name, step);
        let message = program.fail(["build", name]);
        assert!(message.contains(words) && !archive.exists(), "{name}: {message}");
    }
    let message = program.fail(["build", "good.toml", "--locked"]);
    assert!(message.contains("is another image than the one in the lock"), "{message}");
}
