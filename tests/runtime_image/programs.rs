//! Where the programs of an image come from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::{Package, Program, SigningKey, TinySite, machine_architecture, run, tool, toolbox};

use crate::stage::Unpacked;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ovmlayer-rootfs");

#[test]
fn what_is_no_program_is_refused() {
    let key = SigningKey::generate();
    let site = TinySite::new([Package::from_deb(toolbox().build())], &key);
    let program = Program::new(PROGRAM);
    let recipe =
        TinySite::recipe(&[]).replace("\"rootfs\"", "\"image\"").replace("output = \"out.tar\"\n", "");
    program.write("r.toml", recipe.replacen("\n\n", "\ncomponent.hello = \"hello\"\n\n", 1));
    let options = site.options();
    for (component, message) in [
        ("hello=./nothing", "is neither a program nor a folder with a Cargo workspace"),
        ("hello=github:a/b@v1", "the release `a/b@v1` is not fetched by a build"),
        ("other=./hello", "recipe `./r.toml` has no such component"),
    ] {
        let words = ["build", "./r.toml", "--component", component];
        let errors = program.fail(words.into_iter().chain(options.iter().map(String::as_str)));
        assert!(errors.contains(message), "{component}: {errors}");
        assert!(!program.dist().join("r").exists(), "{component}");
    }
}

/// By the cargo of this machine, in an image of the tiny site.
#[test]
fn a_workspace_is_built() {
    let key = SigningKey::generate();
    let site = TinySite::new([Package::from_deb(toolbox().build())], &key);
    let program = Program::new(PROGRAM).env("CARGO_HOME", cargo_home()).env("RUSTUP_HOME", rustup_home());
    workspace(&program.folder().join("hello"));
    program.write("r.toml", tiny_recipe());
    let options = site.options();
    program.succeed(["build", "./r.toml"].into_iter().chain(options.iter().map(String::as_str)));
    assert_eq!(version(&program, machine_architecture()), "1.2.3");
    let unpacked = Unpacked::new(&program.dist().join("r"));
    let printed = run(&mut Command::new(unpacked.path("/usr/bin/hello")));
    assert_eq!(String::from_utf8_lossy(&printed), format!("hello from {}\n", std::env::consts::ARCH));
}

/// For the other architecture it is built by a compiler in a root that is made for it, which takes minutes.
pub(crate) fn a_workspace_is_built_for_the_other_architecture() {
    let program = Program::new(PROGRAM).shared_cache().env("CARGO_HOME", cargo_home());
    workspace(&program.folder().join("hello"));
    let other = if machine_architecture() == "amd64" { "arm64" } else { "amd64" };
    let head =
        format!("format = 1\nkind = \"image\"\ndescription = \"a program\"\narchitectures = [{other:?}]\n");
    let recipe = format!("{head}distro = \"debian\"\nvariant = \"essential\"\ncomponent.hello = \"hello\"\n");
    program.write("r.toml", recipe);
    program.succeed(["build", "./r.toml"]);
    assert_eq!(version(&program, other), "1.2.3");
    let unpacked = Unpacked::new(&program.dist().join("r"));
    let bytes = fs::read(unpacked.path("/usr/bin/hello")).expect("the program");
    // `e_machine` of an ELF header (elf(5)).
    let machine = u16::from_le_bytes([bytes[18], bytes[19]]);
    assert_eq!(machine, if other == "arm64" { 183 } else { 62 });
}

/// What the image's labels say.
fn version(program: &Program<'_>, architecture: &str) -> String {
    let image = format!("oci:{}:latest", program.dist().join("r").display());
    let mut skopeo = Command::new(tool("skopeo"));
    let config = run(skopeo.args(["--override-arch", architecture, "inspect", "--config", &image]));
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    config["config"]["Labels"]["io.oomol.hello.version"].as_str().unwrap_or_default().to_owned()
}

/// An image of the tiny site with a program.
fn tiny_recipe() -> String {
    let recipe =
        TinySite::recipe(&[]).replace("\"rootfs\"", "\"image\"").replace("output = \"out.tar\"\n", "");
    recipe.replacen("\n\n", "\ncomponent.hello = \"hello\"\n\n", 1)
}

/// Where this machine's cargo and rustup have what they need: the home of a [`Program`] is another one.
fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}

fn rustup_home() -> PathBuf {
    std::env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from)
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map(PathBuf::from).expect("HOME")
}

/// A workspace of one package without dependencies, whose programs are static.
fn workspace(folder: &Path) {
    fs::create_dir_all(folder.join("src")).expect("a folder");
    fs::create_dir(folder.join(".cargo")).expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    write(
        "Cargo.toml",
        "[package]\nname = \"hello\"\nversion = \"1.2.3\"\nedition = \"2024\"\n[workspace]\n",
    );
    write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"hello\"\nversion = \"1.2.3\"\n");
    write("src/main.rs", "fn main() { println!(\"hello from {}\", std::env::consts::ARCH); }\n");
    let target =
        |triple: &str| format!("[target.{triple}]\nrustflags = [\"-C\", \"target-feature=+crt-static\"]\n");
    write(
        ".cargo/config.toml",
        &["x86_64", "aarch64"].map(|machine| target(&format!("{machine}-unknown-linux-gnu"))).concat(),
    );
}
