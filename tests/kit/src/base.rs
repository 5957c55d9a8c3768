//! The base root filesystem of this machine's own architecture, that layers are put on.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::program::{Program, shared_folder};
use crate::rootfs::unpack;
use crate::tiny::machine_architecture;
use crate::tool::run;

/// A root filesystem of Debian with zsh, as a tar and unpacked with its owners. Neither may be changed: every test of the
/// machine uses the same.
#[derive(Debug)]
pub struct BaseRootfs {
    /// The tar.
    pub tar: PathBuf,
    /// The folder it is unpacked in.
    pub folder: PathBuf,
}

/// Builds the base root filesystem with our own program, once for as long as the mirror offers the same packages.
///
/// # Panics
/// When this process is not root, or the root cannot be built.
#[must_use]
pub fn base_rootfs() -> &'static BaseRootfs {
    static BASE: OnceLock<BaseRootfs> = OnceLock::new();
    BASE.get_or_init(|| {
        let program = Program::new(our_program("ovmlayer-rootfs")).shared_cache();
        kept(&program, "base-rootfs", "base", "recipes/base-rootfs.lock")
    })
}

/// Builds the root filesystem of `recipe`, a text, likewise; `name` tells it from others. Its `output` is `{arch}-rootfs.tar`.
///
/// # Panics
/// As [`base_rootfs`].
#[must_use]
pub fn kept_rootfs(name: &str, recipe: &str) -> BaseRootfs {
    let program = Program::new(our_program("ovmlayer-rootfs")).shared_cache();
    let file = format!("{name}.toml");
    program.write(&file, recipe);
    kept(&program, &file, name, &format!("{name}.lock"))
}

/// The root that `recipe` makes, in a folder called `name` of all tests of the machine.
fn kept(program: &Program<'_>, recipe: &str, name: &str, lock_file: &str) -> BaseRootfs {
    let options = ["--distro", "debian", "--arch", machine_architecture()];
    program.succeed(["lock", recipe].iter().chain(&options));
    let folder = shared_folder().join(name);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot create {folder:?}: {error}"));
    let lock = File::create(folder.join("lock")).expect("a lock file");
    lock.lock().expect("the lock of the shared root filesystem");
    let packages = fs::read(program.folder().join(lock_file)).expect("the new lock");
    let mut hasher = DefaultHasher::new();
    packages.hash(&mut hasher);
    fs::read(program.folder().join(recipe)).unwrap_or_default().hash(&mut hasher);
    let current = folder.join(format!("{:016x}", hasher.finish()));
    if !current.exists() {
        remove_older(&folder);
        program.succeed(["build", recipe, "--locked"].iter().chain(&options));
        let tar = program.dist().join(format!("{}-rootfs.tar", machine_architecture()));
        let unfinished = folder.join("unfinished");
        fs::create_dir_all(unfinished.join("rootfs")).expect("a folder for the root");
        fs::copy(&tar, unfinished.join("rootfs.tar")).expect("a copy of the tar");
        unpack(&tar, &unfinished.join("rootfs"));
        fs::rename(&unfinished, &current).expect("the finished root under its name");
    }
    BaseRootfs { tar: current.join("rootfs.tar"), folder: current.join("rootfs") }
}

/// Our program of this name, which is that of its crate too. `cargo test --workspace` has put it beside the tests; where the
/// tests of one crate alone are run, cargo makes it.
///
/// # Panics
/// When cargo does not make it.
#[must_use]
pub fn our_program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(Path::parent).expect("the folder of a profile");
    // The outermost one: the folder of a named target is marked too.
    let target = profile
        .ancestors()
        .filter(|folder| folder.join("CACHEDIR.TAG").exists())
        .last()
        .expect("cargo's target folder");
    let release = profile.ends_with("release");
    // Where cargo puts it depends on whether a target was named on the command line or in a configuration.
    let places = [profile.to_owned(), target.join(if release { "release" } else { "debug" })];
    let find = || places.iter().map(|folder| folder.join(name)).find(|program| program.exists());
    find().unwrap_or_else(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--locked", "--package", name, "--target-dir"]).arg(target);
        cargo.args(release.then_some("--release")).current_dir(env!("CARGO_MANIFEST_DIR"));
        run(&mut cargo);
        find().unwrap_or_else(|| panic!("cargo left no {name} in {places:?}"))
    })
}

fn remove_older(folder: &Path) {
    for entry in fs::read_dir(folder).expect("the folder of shared roots").flatten() {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).expect("an old root");
        }
    }
}
