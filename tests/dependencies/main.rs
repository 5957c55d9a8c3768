//! Python and Node.js dependencies of layers, by the whole program: locks of every kind, what is refused, and a corpus of
//! packages beside what pip, npm and pnpm make of them.
//!
//! Needs root, a Debian mirror, and registries of Python and npm packages.

mod corpus;
mod facts;
mod locks;
mod refused;

use std::path::{Path, PathBuf};

use testkit::Program;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");

/// Where the packages are in a layer.
const MODULES: &str = "usr/local/lib/python3.13/dist-packages";
const NODE_MODULES: &str = "usr/local/lib/node_modules";

/// What a recipe of a layer begins with.
const HEAD: &str = "format = 1\nkind = \"layer\"\ndescription = \"d\"\narchitectures = [\"amd64\", \"arm64\"]\n\
                    output = \"{arch}.tar\"\n[layer]\nparent = \"server-foundation\"\n";

/// The folder with the files of these tests.
fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dependencies")
}

/// Puts copies of files into the program's folder.
fn give(program: &Program<'_>, folder: &str, names: &[&str]) {
    for name in names {
        let path = files().join(folder).join(name);
        program.write(name, std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")));
    }
}
