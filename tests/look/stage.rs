//! One image, built once, in all the forms that a tree or an image can have.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::{Program, Registry, RegistrySetup, run, tool};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");
const NATIVE: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };

/// A few packages in one layer, and another that replaces and adds files.
const RECIPE: &str = r##"
format = 1
kind = "image"
description = "to look at"
architectures = ["amd64", "arm64"]
distro = "debian"
variant = "essential"

[image]
entrypoint = ["/usr/bin/looked-at"]
env = { PATH = "/usr/bin:/bin" }

[[steps]]
files = [
    { path = "/usr/bin/looked-at", content = "#!/bin/sh\n", mode = "0755" },
    { path = "/etc/motd", content = "changed\n" },
]

[[steps]]
run = { script = "ln /usr/bin/looked-at /usr/bin/another-name" }
"##;

/// The image and what others make of it.
pub(crate) struct Stage {
    pub(crate) program: Program<'static>,
    pub(crate) registry: Registry,
    /// What was said before, by source.
    said: RefCell<BTreeMap<String, Value>>,
}

impl Stage {
    /// Builds it and makes all forms of it.
    pub(crate) fn build() -> Self {
        let program = Program::new(PROGRAM).shared_cache();
        program.write("stage.toml", RECIPE);
        program.succeed(["build", "stage.toml", "--arch", NATIVE]);
        let (folder, registry) = (program.folder(), Registry::start(&RegistrySetup::default()));
        let stored = format!("oci:{}:latest", program.dist().join("stage").display());
        for kind in ["oci-archive", "docker-archive"] {
            let to = format!("{kind}:{}:stage:latest", folder.join(format!("{kind}.tar")).display());
            run(Command::new(tool("skopeo")).args(["copy", "--quiet", &stored, &to]));
        }
        program.succeed(["push", "dist/stage", &format!("{}/stage:v1", registry.name())]);
        let stage = Self { registry, program, said: RefCell::default() };
        let bundle = stage.program.folder().join("bundle");
        let image = format!("{}:latest", stage.layout().display());
        run(Command::new(tool("umoci")).args(["unpack", "--image", &image]).arg(&bundle));
        run(Command::new(tool("tar"))
            .args(["--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C"])
            .arg(stage.rootfs())
            .arg("-cf")
            .arg(stage.tar())
            .arg("."));
        run(Command::new(tool("zstd")).args(["--quiet", "--keep"]).arg(stage.tar()));
        stage
    }

    /// The image as it was built.
    pub(crate) fn layout(&self) -> PathBuf {
        self.program.dist().join("stage")
    }

    /// What `umoci` unpacks of it.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.program.folder().join("bundle/rootfs")
    }

    /// The same, packed by GNU tar.
    pub(crate) fn tar(&self) -> PathBuf {
        self.program.folder().join("rootfs.tar")
    }

    /// Its name in the registry.
    pub(crate) fn reference(&self) -> String {
        format!("{}/stage:v1", self.registry.name())
    }

    /// What the program says of something that does not change, as JSON.
    pub(crate) fn inspect(&self, source: &str) -> Value {
        let say = || json(&self.program.succeed(["inspect", "--json", "--top", "50", source]));
        self.said.borrow_mut().entry(source.to_owned()).or_insert_with(say).clone()
    }
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// Everything beneath a folder, itself not among it, without following links.
pub(crate) fn walk(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut next) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            if entry.file_type().expect("its type").is_dir() {
                next.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}
