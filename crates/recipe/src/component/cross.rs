//! Programs for another architecture, built by Debian's Rust in a root that this program makes.
//!
//! The root has the compiler of this machine's architecture and a C compiler for the other one. What the standard library of
//! the other architecture is, is in a package of that architecture; it is taken out of the archive like any package and its
//! files are put into the root, without its dependencies: the C library for cross-compiling is there already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sandbox::{IdMap, Network, Sandbox, Stdio};

use super::{Program, cargo};
use crate::Error;
use crate::build::{Options, Session};
use crate::distro::{Distro, machine_architecture};
use crate::find::Found;
use crate::format::{Kind, PackageName, Recipe, Step, Variant};
use crate::plan::{Origin, Plan};
use crate::resolve::Resolver;

/// The package with the standard library.
const LIBRARY: &str = "libstd-rust-web-dev";

/// Where the workspace, cargo's home and the results are in the root.
const SOURCE: &str = "/source";
const CARGO_HOME: &str = "/cargo";
const TARGET: &str = "/target";

/// Where the package with the standard library is shown.
const DEB: &str = "/library.deb";

/// Builds the package `name` of the workspace in `folder` for `architecture`.
pub(super) fn build(
    session: &Session,
    options: &Options,
    folder: &Path,
    name: &str,
    architecture: &str,
    ids: &IdMap,
) -> Result<Program, Error> {
    let failed = |message: String| Error::Component { name: name.to_owned(), message };
    let (triple, gnu) = triple(architecture)
        .ok_or_else(|| failed(format!("there is no cross-compiler for {architecture}")))?;
    let mut options = options.clone();
    options.origin.distro = Some(Distro::Debian);
    let library = library(session, &options.origin, architecture)?;
    let target = session.cache().root().join("cross");
    std::fs::create_dir_all(&target).map_err(Error::io("create", &target))?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.ok_or_else(|| failed("set CARGO_HOME or HOME".to_owned()))?;
    let folder = std::fs::canonicalize(folder).map_err(Error::io("open", folder))?;
    let network = if options.origin.offline { Network::None } else { Network::Host };
    session.with_native_root(&builder(gnu, architecture), &options, ids, |root| {
        let sandbox = Sandbox::new(root)
            .network(network)
            .resolver(true)
            .create_targets(true)
            .deferred_fsync(true)
            .cancel(session.interrupt.cancel())
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/root")
            .env("CARGO_HOME", CARGO_HOME)
            .env("CARGO_TARGET_DIR", TARGET)
            .env(format!("CC_{}", triple.replace('-', "_")), format!("{gnu}-gcc"))
            .env(linker(triple), format!("{gnu}-gcc"))
            .bind_read_only(&folder, SOURCE)
            .bind(&home, CARGO_HOME)
            .bind(&target, TARGET)
            .bind_read_only(&library, DEB)
            .work_in(SOURCE);
        let run = |argv: &[&str]| {
            let mut printed = String::new();
            let mut on_line = |line: &[u8]| {
                printed.push_str(&String::from_utf8_lossy(line));
                printed.push('\n');
            };
            let status = sandbox.run(argv, Stdio::lines(&mut on_line))?;
            if session.interrupt.is_set() {
                return Err(Error::Interrupted);
            }
            if status.success() { Ok(printed) } else { Err(failed(format!("{status}\n{printed}"))) }
        };
        run(&["/usr/bin/dpkg-deb", "--extract", DEB, "/"])?;
        let printed = run(&[&["/usr/bin/cargo"], cargo::ARGUMENTS, &[name, "--target", triple]].concat())?;
        let mut program = cargo::built(&printed, name)
            .ok_or_else(|| failed("cargo built no program of that name".to_owned()))?;
        if let Ok(inner) = program.path.strip_prefix(TARGET) {
            program.path = target.join(inner);
        }
        Ok(program)
    })
}

/// What Rust and GNU call an architecture.
fn triple(architecture: &str) -> Option<(&'static str, &'static str)> {
    match architecture {
        "amd64" => Some(("x86_64-unknown-linux-gnu", "x86_64-linux-gnu")),
        "arm64" => Some(("aarch64-unknown-linux-gnu", "aarch64-linux-gnu")),
        _ => None,
    }
}

/// The variable that names cargo's linker for a target.
fn linker(triple: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", triple.replace('-', "_").to_uppercase())
}

/// The recipe of the root with the compilers.
fn builder(gnu: &str, architecture: &str) -> Found {
    let packages = ["cargo-web", "rustc-web", "gcc", "libc6-dev"].map(str::to_owned);
    let foreign = [format!("gcc-{}", gnu.replace('_', "-")), format!("libc6-dev-{architecture}-cross")];
    recipe("rust-builder", machine_architecture(), packages.into_iter().chain(foreign))
}

fn recipe(name: &str, architecture: &str, packages: impl Iterator<Item = String>) -> Found {
    let recipe = Recipe {
        format: crate::format::FORMAT,
        kind: Kind::Rootfs,
        description: String::new(),
        architectures: vec![architecture.to_owned()],
        output: format!("{name}.tar"),
        from: None,
        variant: Variant::Minbase,
        image: None,
        layer: None,
        distro: Distro::Debian,
        distros: BTreeMap::new(),
        component: BTreeMap::new(),
        steps: vec![Step::Packages(packages.map(PackageName::Same).collect())],
    };
    Found { name: name.to_owned(), path: None, recipe, parent: None }
}

/// The package with the standard library of `architecture`, in the cache.
fn library(session: &Session, origin: &Origin, architecture: &str) -> Result<PathBuf, Error> {
    let origin = Origin { architectures: vec![architecture.to_owned()], ..origin.clone() };
    let found = recipe("rust-library", architecture, [LIBRARY.to_owned()].into_iter());
    let plan = Plan::new(&found, &origin)?;
    let resolver = Resolver::new(session, &plan, &origin)?;
    let lock = resolver.lock()?;
    let package = lock.packages.iter().find(|package| package.name == LIBRARY);
    let package = package.ok_or_else(|| Error::NotFetched { what: LIBRARY.to_owned() })?;
    resolver.download(&[package])?;
    Ok(session.cache().path(&package.sha256))
}
