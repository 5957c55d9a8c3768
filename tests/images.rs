//! Images built from recipes: other tools read and run them, two builds are the same image, and the open foundation does what
//! its callers do with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use testkit::{Program, Registry, RegistrySetup, number, output, run, tool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");
const NATIVE: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

const HEAD: &str = "format = 1\nkind = \"image\"\ndescription = \"to test\"\narchitectures = [\"amd64\", \"arm64\"]\n\
                    distro = \"debian\"\nvariant = \"essential\"\n";

/// A small image with a step of every kind.
const BODY: &str = r##"
[image]
entrypoint = ["/usr/local/bin/greet", "hello"]
cmd = ["world"]
env = { GREETING = "good day", PATH = "/usr/local/bin:/usr/bin:/bin" }
user = "worker"
workdir = "/srv"
labels = { "org.example.label" = "a label" }
annotations = { "org.example.annotation" = "an annotation" }
ports = ["8080", "53/udp"]
volumes = ["/srv/data"]
stop-signal = "SIGINT"
LAYERS

[[steps]]
packages = ["busybox-static", "passwd"]

[[steps]]
users = [{ name = "worker", uid = 1234 }]

[[steps]]
files = [
    { path = "/usr/local/bin/greet", content = "#!/bin/sh\necho \"$1 $2 $GREETING $(id -u) $(pwd) $(cat /srv/made)\"\n", mode = "0755" },
    { path = "/etc/motd", content = "changed\n" },
]

[[steps]]
run = { script = "mkdir -p /srv; echo made > /srv/made" }

[[steps]]
slim = ["/usr/share/doc/**", "/usr/share/locale/**"]
"##;

fn recipe(layers: &str, output: &str) -> String {
    let output = if output.is_empty() { String::new() } else { format!("output = {output:?}\n") };
    format!("{HEAD}{output}{}", BODY.replace("LAYERS", layers))
}

fn json_of(command: &mut Command) -> Value {
    serde_json::from_slice(&run(command)).expect("JSON")
}

fn inspect(image: &str, more: &[&str]) -> Value {
    json_of(Command::new(tool("skopeo")).arg("inspect").args(more).arg(image))
}

/// The digests of the manifests in the index that a layout calls `latest`, by architecture.
fn architectures(layout: &Path) -> Vec<String> {
    let index = inspect(&format!("oci:{}:latest", layout.display()), &["--raw"]);
    let images = index["manifests"].as_array().expect("an index");
    let name =
        |image: &Value| image["platform"]["architecture"].as_str().expect("an architecture").to_owned();
    images.iter().map(name).collect()
}

/// The whole of what a build printed about its image: path, size and digest.
fn printed(program: &Program<'_>, arguments: &[&str]) -> Value {
    let text = program.succeed(["build", "--json"].iter().chain(arguments));
    let artifacts: Value = serde_json::from_str(&text).expect("JSON");
    artifacts[0].clone()
}

/// An image unpacked by umoci into a bundle of runc.
struct Bundle {
    folder: tempfile::TempDir,
}

impl Bundle {
    fn unpack(layout: &Path) -> Self {
        let bundle = Self { folder: tempfile::tempdir().expect("a folder") };
        let image = format!("{}:latest", layout.display());
        run(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(bundle.path()));
        bundle
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// Runs the image as its configuration says, or another command in it as root.
    fn run(&self, command: Option<&[&str]>) -> Output {
        let path = self.path().join("config.json");
        let kept = self.folder.path().join("config.json");
        if !kept.exists() {
            fs::copy(&path, &kept).expect("umoci's configuration");
        }
        let mut config: Value =
            serde_json::from_slice(&fs::read(&kept).expect("umoci's configuration")).expect("JSON");
        // There is no terminal here, and a container that runs the tests may not be allowed to set limits.
        config["process"]["terminal"] = json!(false);
        config["linux"]["resources"] = json!({});
        let process = config["process"].as_object_mut().expect("a process");
        process.remove("rlimits");
        if let Some(command) = command {
            process.insert("args".into(), json!(command));
            process.insert("user".into(), json!({"uid": 0, "gid": 0}));
        }
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| matches!(mount["type"].as_str(), Some("proc" | "tmpfs" | "devpts")));
        fs::write(&path, config.to_string()).expect("a configuration");
        let name = format!("ovmimage{}", self.folder.path().file_name().expect("a name").to_string_lossy());
        let mut runc = Command::new(tool("runc"));
        runc.arg("--root").arg(self.folder.path().join("state")).args(["run", "--bundle"]);
        output(runc.arg(self.path()).arg(name.replace('.', "")))
    }

    /// Runs a command that must succeed, and gives what it printed.
    fn succeed(&self, command: &[&str]) -> String {
        let result = self.run(Some(command));
        let (text, errors) =
            (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
        assert!(result.status.success(), "{command:?}:\n{text}{errors}");
        text.into_owned()
    }
}

#[test]
fn others_read_and_run_it_and_two_builds_are_one_image() {
    let program = Program::new(PROGRAM).shared_cache();
    program.write("greeter.toml", recipe("", ""));
    let arguments = ["greeter.toml", "--arch", NATIVE];
    let first = printed(&program, &arguments);
    assert_eq!(first["path"], "dist/greeter");
    // The same name again, with other numbers of threads, in the place of the first.
    let second = printed(&program, &[&arguments[..], &["--jobs", "5"]].concat());
    assert_eq!(first, second);
    let names: BTreeSet<_> =
        fs::read_dir(program.dist()).expect("dist").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["greeter", "greeter.lock"].map(Into::into).into());
    let layout = program.dist().join("greeter");
    assert_eq!(architectures(&layout), [NATIVE]);
    let image = format!("oci:{}:latest", layout.display());
    settings_are_in_it(&image);
    let theirs = program.folder().join("theirs.tar");
    run(Command::new(tool("skopeo")).args([
        "copy",
        &image,
        &format!("docker-archive:{}:greeter:1", theirs.display()),
    ]));
    let bundle = Bundle::unpack(&layout);
    let result = bundle.run(None);
    assert_eq!(
        String::from_utf8_lossy(&result.stdout),
        "hello world good day 1234 /srv made\n",
        "{}",
        String::from_utf8_lossy(&result.stderr)
    );
    assert_eq!(bundle.succeed(&["/bin/busybox", "cat", "/etc/motd"]), "changed\n");
    assert_eq!(bundle.succeed(&["dpkg", "--audit"]), "");
    assert!(!bundle.rootfs().join("usr/share/doc/passwd").exists(), "slim left something");
}

fn settings_are_in_it(image: &str) {
    let config = inspect(image, &["--config"]);
    let process = &config["config"];
    assert_eq!(process["Entrypoint"], json!(["/usr/local/bin/greet", "hello"]));
    assert_eq!(process["Cmd"], json!(["world"]));
    assert_eq!(process["Env"], json!(["GREETING=good day", "PATH=/usr/local/bin:/usr/bin:/bin"]));
    assert_eq!((&process["User"], &process["WorkingDir"]), (&json!("worker"), &json!("/srv")));
    assert_eq!(process["Labels"], json!({"org.example.label": "a label"}));
    assert_eq!(process["ExposedPorts"], json!({"53/udp": {}, "8080/tcp": {}}));
    assert_eq!((&process["Volumes"], &process["StopSignal"]), (&json!({"/srv/data": {}}), &json!("SIGINT")));
    let history = config["history"].as_array().expect("a history");
    let origins: Vec<&str> = history.iter().filter_map(|layer| layer["created_by"].as_str()).collect();
    let expected =
        ["packages", "users", "files", "run"].map(|step| format!("ovmlayer-rootfs build greeter: {step}"));
    assert_eq!(origins, expected);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(4));
}

/// The same root as layers of packages, as a tar and as a Docker archive: each is the same tree.
#[test]
fn other_layers_and_forms_hold_the_same_tree() {
    let program = Program::new(PROGRAM).shared_cache();
    program.write("concerns.toml", recipe("", ""));
    program.write("budget.toml", recipe("layers = { budget = 8 }\ncompression = \"zstd\"", "budget.oci.tar"));
    program.write("docker.toml", recipe("", "{arch}.docker.tar"));
    program.succeed(["build", "concerns.toml", "budget.toml", "docker.toml", "--arch", NATIVE]);
    let copy = |from: String, name: &str| {
        let layout = program.folder().join(name);
        let to = format!("oci:{}:latest", layout.display());
        // umoci of this age knows no zstd.
        run(Command::new(tool("skopeo")).args(["copy", "--dest-compress-format", "gzip", &from, &to]));
        Bundle::unpack(&layout)
    };
    let archive = program.dist().join("budget.oci.tar");
    let budget = format!("oci-archive:{}:latest", archive.display());
    let config = inspect(&budget, &["--config"]);
    let layers = config["rootfs"]["diff_ids"].as_array().map_or(0, Vec::len);
    assert!((5..=8).contains(&layers), "{layers} layers for a budget of 8");
    let docker = program.dist().join(format!("{NATIVE}.docker.tar"));
    let bundles = [
        Bundle::unpack(&program.dist().join("concerns")),
        copy(budget, "copied-budget"),
        copy(format!("docker-archive:{}:docker:latest", docker.display()), "copied-docker"),
    ];
    let pack = |bundle: &Bundle, name: &str| {
        let tar = program.folder().join(name);
        let options =
            ["--create", "--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"];
        let mut command = Command::new(tool("tar"));
        run(command.args(options).arg(&tar).arg("--directory").arg(bundle.rootfs()).arg("."));
        tar
    };
    let first = pack(&bundles[0], "0.tar");
    for (number, bundle) in bundles.iter().enumerate().skip(1) {
        let difference = testkit::rootfs_diff(&first, &pack(bundle, &format!("{number}.tar")), &[]);
        assert!(difference.is_empty(), "{number}: {:?}", difference.lines);
        assert!(difference.equal > 1000, "only {} paths compared", difference.equal);
    }
}

/// Another image on top: its layers are those of the one below, what steps take away is gone, and what the recipe says of
/// how it is run goes over what was said.
#[test]
fn an_image_on_another_one() {
    let program = Program::new(PROGRAM).shared_cache();
    program.write("greeter.toml", recipe("", ""));
    program.succeed(["build", "greeter.toml", "--arch", NATIVE]);
    program.write("child.toml", CHILD);
    let arguments = ["child.toml", "--arch", NATIVE];
    let first = printed(&program, &arguments);
    let second = printed(&program, &[&arguments[..], &["--jobs", "3"]].concat());
    assert_eq!(first, second);
    let config =
        |name: &str| inspect(&format!("oci:{}:latest", program.dist().join(name).display()), &["--config"]);
    let (below, child) = (config("greeter"), config("child"));
    let diff_ids = |config: &Value| config["rootfs"]["diff_ids"].as_array().expect("layers").clone();
    let (lower, all) = (diff_ids(&below), diff_ids(&child));
    assert_eq!(all[..lower.len()], lower, "the layers below are the same");
    assert_eq!(all.len(), lower.len() + 2, "one for what `run` did, one for the files");
    assert_eq!(child["config"]["Labels"], json!({"org.example.label": "a label", "more": "words"}));
    assert_eq!(child["config"]["Env"], json!(["PATH=/usr/local/bin:/usr/bin:/bin", "GREETING=good night"]));
    let bundle = Bundle::unpack(&program.dist().join("child"));
    let result = bundle.run(None);
    assert_eq!(
        String::from_utf8_lossy(&result.stdout),
        "hello moon good night 1234 /srv made again\n",
        "{}",
        String::from_utf8_lossy(&result.stderr)
    );
    let there = |path: &str| bundle.rootfs().join(path).symlink_metadata().is_ok();
    assert!(!there("etc/motd") && !there("usr/share/zoneinfo") && there("usr/share/base-files"));
    assert_eq!(fs::read_to_string(bundle.rootfs().join("srv/note")).expect("a file"), "read me\n");
    assert_eq!(bundle.succeed(&["dpkg", "--audit"]), "");
    // The same tree by our own hand; the mount point of the volume is runc's.
    program.write("flat.toml", CHILD_AS_ROOT);
    program.succeed(["build", "flat.toml", "--arch", NATIVE]);
    let theirs = program.folder().join("theirs.tar");
    let options = ["--create", "--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"];
    let mut tar = Command::new(tool("tar"));
    run(tar.args(options).arg(&theirs).arg("--directory").arg(bundle.rootfs()).arg("."));
    let difference = testkit::rootfs_diff(
        &theirs,
        &program.dist().join(format!("{NATIVE}-flat.tar")),
        &["/etc/ovmlayer", "/etc/ovmlayer/**", "/srv/data"],
    );
    assert!(difference.is_empty(), "{:?}", difference.lines);
    assert!(difference.equal > 1000, "only {} paths compared", difference.equal);
}

const CHILD: &str = r##"format = 1
kind = "image"
description = "on another one"
architectures = ["amd64", "arm64"]
from = "./dist/greeter"

[image]
cmd = ["moon"]
env = { GREETING = "good night" }
labels = { more = "words" }

[[steps]]
run = { script = "rm /etc/motd; printf ' again' > /tmp/x; tr -d '\n' < /srv/made > /tmp/y; cat /tmp/y /tmp/x > /srv/made; rm /tmp/x /tmp/y" }

[[steps]]
files = [{ path = "/srv/note", content = "read me\n" }]

[[steps]]
slim = ["/usr/share/zoneinfo"]
"##;

const CHILD_AS_ROOT: &str = r##"format = 1
kind = "rootfs"
description = "the same as a root filesystem"
architectures = ["amd64", "arm64"]
output = "{arch}-flat.tar"
from = "oci:dist/child"
"##;

/// An image of nothing but a folder of this machine.
#[test]
fn an_image_on_nothing() {
    let program = Program::new(PROGRAM);
    fs::create_dir_all(program.folder().join("from/bin")).expect("a folder");
    program.write("from/bin/busybox", fs::read("/bin/busybox").expect("busybox"));
    run(Command::new("chmod").args(["4755", "from/bin/busybox"]).current_dir(program.folder()));
    run(Command::new("ln").args(["from/bin/busybox", "from/bin/again"]).current_dir(program.folder()));
    run(Command::new("ln").args(["-s", "busybox", "from/bin/sh"]).current_dir(program.folder()));
    program.write(
        "scratch.toml",
        "format = 1\nkind = \"image\"\ndescription = \"d\"\narchitectures = [\"amd64\", \"arm64\"]\nfrom = \"scratch\"\n\
         [image]\ncmd = [\"/opt/bin/sh\", \"-c\", \"echo $0\", \"from nothing\"]\n[[steps]]\n\
         files = [{ path = \"/opt\", source = \"from\", owner = \"7:8\" }, { path = \"/opt/bin/own\", content = \"\" }]\n",
    );
    let first = printed(&program, &["scratch.toml", "--arch", NATIVE]);
    assert_eq!(printed(&program, &["scratch.toml", "--arch", NATIVE]), first);
    let bundle = Bundle::unpack(&program.dist().join("scratch"));
    let text = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text(bundle.run(None)), "from nothing\n");
    let stat = "/opt/bin/busybox stat -c '%a %u %g %h %n' /opt/bin/busybox /opt/bin/again /opt/bin/own";
    assert_eq!(
        text(bundle.run(Some(&["/opt/bin/sh", "-c", stat]))),
        "4755 7 8 2 /opt/bin/busybox\n4755 7 8 2 /opt/bin/again\n644 0 0 1 /opt/bin/own\n"
    );
}

/// Documents beside an image leave it as it is, and go with it to a registry.
#[test]
fn documents_and_names_go_to_a_registry() {
    let registry = Registry::start(&RegistrySetup::default());
    let (host, program) = (registry.name(), Program::new(PROGRAM).shared_cache());
    program.write("greeter.toml", recipe("", ""));
    let plain = printed(&program, &["greeter.toml", "--arch", NATIVE]);
    let names = [format!("{host}/team/greeter:v1"), format!("{host}/team/greeter:latest")];
    let text = program.succeed([
        "build",
        "greeter.toml",
        "--arch",
        NATIVE,
        "--tag",
        "v1",
        "--tag",
        "stable",
        "--sbom",
        "spdx,cyclonedx",
        "--provenance",
        "--push",
        &names[0],
        "--push",
        &names[1],
    ]);
    let digest = format!("sha256:{}", plain["sha256"].as_str().expect("a digest"));
    for name in &names {
        assert!(text.lines().any(|line| line == format!("{name}  {digest}")), "{name} {digest}:\n{text}");
    }
    let layout = program.dist().join("greeter");
    for tag in ["v1", "stable"] {
        let raw = run(Command::new(tool("skopeo"))
            .args(["inspect", "--raw"])
            .arg(format!("oci:{}:{tag}", layout.display())));
        assert_eq!(format!("sha256:{}", cache::Digest::of(&raw)), digest, "{tag}");
    }
    // What comes back has them all, each about what it says it is about.
    program.succeed(["pull", &names[0], "back", "--referrers"]);
    let index = fs::read(program.folder().join("back/index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let kinds: BTreeSet<&str> = index["manifests"]
        .as_array()
        .expect("manifests")
        .iter()
        .filter_map(|entry| entry["artifactType"].as_str())
        .collect();
    let expected =
        ["application/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.in-toto+json"];
    assert_eq!(kinds, expected.into());
    let errors = program.fail(["build", "greeter.toml", "--arch", NATIVE, "--push", &names[0], "--sign"]);
    assert!(errors.contains("no `cosign` in PATH"), "{errors}");
}

#[test]
fn a_folder_of_somebody_else_is_not_replaced() {
    let program = Program::new(PROGRAM).shared_cache();
    program.write("greeter.toml", recipe("", ""));
    fs::create_dir_all(program.dist().join("greeter")).expect("a folder");
    fs::write(program.dist().join("greeter/precious"), "x").expect("a file");
    let message = program.fail(["build", "greeter.toml", "--arch", NATIVE]);
    assert!(message.contains("dist/greeter") && message.contains("not an OCI image layout"), "{message}");
    assert!(program.dist().join("greeter/precious").exists());
}

/// A wheel, an npm package and a git repository, all made here: the foundation has no need of a network to install them.
const INSTALLS: &str = r##"
set -e
cd "$(mktemp -d)"
mkdir -p wheel/made_here-1.0.dist-info
echo 'print("from a wheel")' > wheel/made_here.py
printf 'Metadata-Version: 2.1\nName: made-here\nVersion: 1.0\n' > wheel/made_here-1.0.dist-info/METADATA
printf 'Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n' > wheel/made_here-1.0.dist-info/WHEEL
printf 'made_here.py,,\nmade_here-1.0.dist-info/METADATA,,\nmade_here-1.0.dist-info/WHEEL,,\nmade_here-1.0.dist-info/RECORD,,\n' \
    > wheel/made_here-1.0.dist-info/RECORD
(cd wheel && python -m zipfile -c ../made_here-1.0-py3-none-any.whl made_here.py made_here-1.0.dist-info)
python3 -m pip install --no-index ./made_here-1.0-py3-none-any.whl
python3 -m made_here
python3 -m venv v && v/bin/python -c 'print("from a venv")'
mkdir package
echo '{"name":"made-here","version":"1.0.0","bin":{"made-here":"main.js"}}' > package/package.json
printf '#!/usr/bin/env node\nconsole.log("from npm")\n' > package/main.js
chmod +x package/main.js
tar -czf made-here.tgz package
npm install -g --offline --no-audit --no-fund ./made-here.tgz
made-here
git init -q origin
git -C origin -c user.name=n -c user.email=e commit -q --allow-empty -m 'from git'
git clone -q ./origin clone
git -C clone log --format=%s
"##;

const INSTALLED: [&str; 4] = ["from a wheel", "from a venv", "from npm", "from git"];

/// What callers do in the foundation: natively in a container, and, where a test may take its time, for the foreign
/// architecture in our own sandbox, as a step of a recipe on top of it.
#[test]
fn the_foundation_installs_packages() {
    let program = Program::new(PROGRAM).shared_cache();
    let foundation = ["server-foundation", "--distro", "debian", "--arch", NATIVE];
    let first = printed(&program, &foundation);
    assert_eq!(printed(&program, &foundation), first, "two builds are one image");
    let layout = program.dist().join("server-foundation");
    let bundle = Bundle::unpack(&layout);
    let text = bundle.succeed(&["/bin/zsh", "-c", INSTALLS]);
    for line in INSTALLED {
        assert!(text.lines().any(|printed| printed == line), "no `{line}` in:\n{text}");
    }
    shells_find_programs(&bundle);
    // It stands in for the image that is not to be had everywhere.
    program.succeed(["build", "server-base", "--from", "./dist/server-foundation", "--arch", NATIVE]);
    let tar = program.dist().join(format!("{NATIVE}-server-base.tar"));
    let about = run(Command::new(tool("tar")).arg("-xOf").arg(tar).arg("etc/ovmlayer/image.json"));
    let about: Value = serde_json::from_slice(&about).expect("JSON");
    assert_eq!(about["config"]["Cmd"], json!(["/bin/zsh"]));
    if number("OVMLAYER_FOREIGN_IMAGES", 0) > 0 {
        foreign_foundation(&program);
        foreign_child(&program);
        eprintln!("soak: foundation for a foreign architecture: builds, installs with pip and npm, clones");
    }
}

/// Shells of every kind, without the environment that an exported root has lost.
fn shells_find_programs(bundle: &Bundle) {
    for shell in [&["bash", "-lc"][..], &["bash", "-ic"], &["zsh", "-lc"], &["zsh", "-ic"], &["zsh", "-c"]] {
        let script = "echo $LANG; command -v python npm git curl wget xz zstd; echo $PATH";
        let command = [&["/usr/bin/env", "-i", "HOME=/root"], shell, &[script]].concat();
        let text = bundle.succeed(&command);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 9, "{shell:?}:\n{text}");
        assert_eq!(lines[0], "C.UTF-8", "{shell:?}");
        assert!(lines[8].split(':').any(|folder| folder == "/root/.local/bin"), "{shell:?}: {}", lines[8]);
    }
}

fn foreign_foundation(program: &Program<'_>) {
    let foreign = if NATIVE == "amd64" { "arm64" } else { "amd64" };
    program.write(
        "installs.toml",
        format!(
            "format = 1\nkind = \"image\"\ndescription = \"to test\"\narchitectures = [\"{foreign}\"]\n\
             [image]\nrootfs = \"server-foundation\"\n[[steps]]\nrun = {{ script = '''{INSTALLS}''' }}\n"
        ),
    );
    // Twice: what is built for a foreign architecture is the same image every time.
    let foundation = ["server-foundation", "--distro", "debian", "--arch", foreign];
    assert_eq!(printed(program, &foundation), printed(program, &foundation));
    let result = program.run(["build", "installs.toml", "--distro", "debian", "--verbose"]);
    let text = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{text}");
    for line in INSTALLED {
        assert!(
            text.lines().any(|printed| printed.ends_with(&format!("| {line}"))),
            "no `{line}` in:\n{text}"
        );
    }
    assert_eq!(architectures(&program.dist().join("installs")), [foreign]);
}

/// What programs of the foreign architecture do to an image of it is a layer on it, the same every time.
fn foreign_child(program: &Program<'_>) {
    let (foreign, machine) = if NATIVE == "amd64" { ("arm64", "aarch64") } else { ("amd64", "x86_64") };
    program.write(
        "child.toml",
        format!(
            "format = 1\nkind = \"image\"\ndescription = \"to test\"\narchitectures = [\"{foreign}\"]\n\
             from = \"./dist/server-foundation\"\n[[steps]]\nusers = [{{ name = \"worker\", uid = 1234 }}]\n\
             [[steps]]\nrun = {{ script = \"uname -m > /srv/machine; id -u worker >> /srv/machine; rm /etc/issue\" }}\n"
        ),
    );
    let arguments = ["child.toml", "--distro", "debian"];
    assert_eq!(printed(program, &arguments), printed(program, &arguments));
    let bundle = Bundle::unpack(&program.dist().join("child"));
    let made = fs::read_to_string(bundle.rootfs().join("srv/machine")).expect("what the step wrote");
    assert_eq!(made, format!("{machine}\n1234\n"));
    assert!(!bundle.rootfs().join("etc/issue").exists(), "a file that a step removed is there");
}
