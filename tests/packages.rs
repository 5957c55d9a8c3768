//! Layers of packages for a registry, by the whole program and the real `ovmlayer`. They need root.
//!
//! With `OVMLAYER_PACKAGE_TOOLS=1` the package installs with apt, pip and npm, from where this machine's own get their packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Program, Rootfs, base_rootfs, machine_architecture, number, our_program, output, run, tool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");

/// A root with what a package can install with.
const TOOLS: &str = r#"
format = 1
kind = "rootfs"
description = "zsh, apt, pip and npm"
architectures = ["amd64", "arm64"]
output = "{arch}-tools.tar"
distro = "debian"
[[steps]]
packages = ["zsh", "ca-certificates", "python3", "python3-pip", "nodejs", "npm"]
[[steps]]
run = { script = "rm /usr/lib/python3*/EXTERNALLY-MANAGED" }
"#;

/// A script with each of them, and what has to be there then.
const INSTALL: &str = "apt-get update && apt-get install -y --no-install-recommends tree && \
                       pip install --root-user-action=ignore six==1.17.0 && npm install ms@2.1.3";
const INSTALLED: &str = "tree --version | grep -o '^tree'; python3 -c 'import six; print(six.__version__)'; \
                         node -p 'require(\"ms\")(\"1s\")'";

/// The program with stores over a root, and a package.
struct Place {
    program: Program<'static>,
    _root: Option<Rootfs>,
    /// What lets the package install.
    options: Vec<String>,
}

impl Place {
    fn new(has_tools: bool) -> Self {
        let programs = our_program("ovmlayer");
        let path =
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.parent().expect("a folder").display());
        let program = Program::new(PROGRAM).shared_cache().env("PATH", path);
        let root = has_tools.then(|| {
            program.write("tools.toml", TOOLS);
            program.succeed(["build", "tools.toml", "--arch", machine_architecture()]);
            Rootfs::extract(&program.dist().join(format!("{}-tools.tar", machine_architecture())))
        });
        let folder = root.as_ref().map_or_else(|| base_rootfs().folder.clone(), Rootfs::path);
        let place = Self { program, _root: root, options: if has_tools { registries() } else { Vec::new() } };
        for name in ["runtime", "external"] {
            fs::create_dir(place.path(name)).expect("a folder");
        }
        let [runtime, external] = ["runtime", "external"].map(|name| place.path(name).display().to_string());
        let rootfs = folder.display().to_string();
        place.ovmlayer(&["setup", "--runtime", &runtime, "--external", &external, "--rootfs-path", &rootfs]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.program.folder().join(name)
    }

    fn package(&self, manifest: &str) -> String {
        fs::create_dir_all(self.path("demo")).expect("a folder");
        self.program.write("demo/package.oo.yaml", manifest);
        self.path("demo").display().to_string()
    }

    fn other(&self, name: &str, words: &[&str]) -> String {
        let mut command = Command::new(our_program(name));
        let programs = our_program("ovmlayer");
        let path = format!("{}:/usr/bin:/bin", programs.parent().expect("a folder").display());
        command.env_clear().env("HOME", self.path("home")).env("PATH", path).args(words);
        String::from_utf8_lossy(&run(&mut command)).into_owned()
    }

    fn ovmlayer(&self, words: &[&str]) -> String {
        self.other("ovmlayer", words)
    }

    fn layers(&self) -> Vec<String> {
        self.ovmlayer(&["list", "layers"]).lines().map(str::to_owned).collect()
    }
}

/// Binds and variables by which pip, npm and apt of this machine reach their registries.
fn registries() -> Vec<String> {
    let files = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf", "/root/.config/pip", "/root/.npmrc"];
    let files = files.iter().filter(|path| Path::new(path).exists());
    let mut options: Vec<String> =
        files.map(|path| format!("--bind-paths=src={path},dst={path},ro")).collect();
    let is_about = |name: &String| {
        let name = name.to_lowercase();
        ["pip_", "npm_config_"].iter().any(|start| name.starts_with(start)) || name.ends_with("_proxy")
    };
    let keys = std::env::vars().map(|(name, _)| name).filter(is_about);
    options.extend(keys.map(|name| format!("--retain-env-keys={name}")));
    options
}

#[test]
fn created_exported_deleted_imported_and_run() {
    let has_tools = number("OVMLAYER_PACKAGE_TOOLS", 0) != 0;
    let place = Place::new(has_tools);
    let script = if has_tools { INSTALL } else { "echo said" };
    let look = if has_tools { INSTALLED } else { "true" };
    let manifest = format!(
        "name: demo\nversion: 1.0.0\nscripts:\n  bootstrap: |\n    {script}\n    echo made > /opt/made\n"
    );
    let package = place.package(&manifest);
    let mut words = vec!["package".to_owned(), "create".to_owned(), package.clone()];
    words.extend(place.options.clone());
    let mut create = place.program.command(&words);
    // What a registry is reached by is this process's own.
    create.envs(std::env::vars().filter(|(name, _)| name.to_lowercase().starts_with("pip_")));
    let created = output(&mut create);
    let told = String::from_utf8_lossy(&created.stderr);
    assert!(created.status.success() && (has_tools || told.contains("said\n")), "{told}");
    let layers = place.layers();
    assert_eq!(layers.len(), 2);
    let printed = String::from_utf8_lossy(&created.stdout).into_owned();
    assert!(
        printed.starts_with("made layer_") && layers.iter().all(|layer| printed.contains(layer)),
        "{printed}"
    );
    let again = place.program.succeed(["package", "create", &package]);
    assert_eq!(again, printed.replace("made ", "found "));

    let name = format!("{}-layer", machine_architecture());
    for out in ["first", "second"] {
        let printed = place.program.succeed(["package", "export", &package, "--out", out]);
        assert_eq!(printed, format!("{out}/{name}\n{out}/{name}.zip\n"));
    }
    let zip = place.path(&format!("first/{name}.zip"));
    let [first, second] =
        ["first", "second"].map(|out| fs::read(place.path(&format!("{out}/{name}.zip"))).expect("a zip"));
    assert!(first == second, "exported twice, and not the same");

    place.other("oocana", &["package-layer", "delete", &package]);
    assert_eq!(place.layers(), [""; 0]);
    let unpacked = place.path("unpacked").display().to_string();
    run(Command::new(tool("python3")).args(["-m", "zipfile", "-e"]).arg(&zip).arg(&unpacked));
    let elsewhere = place.path("elsewhere").display().to_string();
    place.other("oocana", &["package-layer", "import", &unpacked, &elsewhere]);
    assert_eq!(place.layers().len(), 2);
    let mut merge = vec!["merge"];
    let in_order: Vec<&str> = printed.trim().trim_start_matches("made ").split(", ").collect();
    in_order.iter().for_each(|layer| merge.extend(["-l", layer]));
    merge.extend(["-m", "look"]);
    place.ovmlayer(&merge);
    let script = format!("cd {elsewhere}; cat package.oo.yaml /opt/made; {look}");
    let seen = place.ovmlayer(&["run", "--merged-point=look", "sh", "-c", &script]);
    place.ovmlayer(&["unmerge", "look"]);
    let installed = if has_tools { "tree\n1.17.0\n1000\n" } else { "" };
    assert_eq!(seen, format!("{manifest}made\n{installed}"));
}

#[test]
fn what_is_wrong_with_a_package_is_told() {
    let place = Place::new(false);
    let cases = [
        ("version: 1.0.0\n", "demo/package.oo.yaml:1:1: a package needs a `name`"),
        ("# one\nname: demo\n", "demo/package.oo.yaml:2:1: a package needs a `version`"),
        ("name: demo\nversion: 1\n", "a package needs a `version` that is a text"),
        ("name: [\n", "demo/package.oo.yaml:2:1: this is not YAML"),
    ];
    for (manifest, part) in cases {
        let package = place.package(manifest);
        for command in ["create", "export"] {
            let message = place.program.fail(["package", command, &package]);
            assert!(message.contains(part), "{manifest}: {message}");
        }
    }
    let package =
        place.package("name: demo\nversion: 1.0.0\nscripts: {bootstrap: 'echo no such thing; exit 7'}\n");
    let message = place.program.fail(["package", "create", &package]);
    for part in ["no such thing\n", "the bootstrap script of", "exit status: 7"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = place.program.fail(["package", "export", &package]);
    assert!(message.contains("doesn't exist"), "{message}");
    assert_eq!(place.layers(), [""; 0]);
}
