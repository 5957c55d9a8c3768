//! The command line as a user meets it: what each command prints, where, and with which exit status.

mod build;
mod doctor;
mod help;
mod lock;
mod terminal;

use std::fs;
use std::sync::OnceLock;

use testkit::Program;

const RECIPE: &str = "format = 1
kind = \"rootfs\"
description = \"a small root for tests\"
architectures = [\"ARCH\"]
output = \"{arch}-small.tar\"
variant = \"essential\"
distro = \"debian\"
";

/// The program in a folder of its own.
fn program() -> Program<'static> {
    Program::new(env!("CARGO_BIN_EXE_ovmlayer-rootfs")).env("COLUMNS", "100")
}

/// The architecture that needs no emulator.
fn native() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn recipe() -> String {
    RECIPE.replace("ARCH", native())
}

/// The program with a recipe `small.toml` that is locked, and everything that a build of it needs in the cache.
fn locked() -> Program<'static> {
    static LOCK: OnceLock<String> = OnceLock::new();
    let program = program().shared_cache();
    program.write("small.toml", recipe());
    let lock = LOCK.get_or_init(|| {
        program.succeed(["build", "small.toml", "--update", "--out", "first"]);
        fs::read_to_string(program.folder().join("small.lock")).expect("a lock")
    });
    program.write("small.lock", lock);
    program
}

/// Options of a build that needs no network.
const OFFLINE: [&str; 4] = ["build", "small.toml", "--locked", "--offline"];
