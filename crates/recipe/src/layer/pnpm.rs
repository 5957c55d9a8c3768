//! pnpm: asked where it puts the packages of a `pnpm-lock.yaml` for a target.
//!
//! Only pnpm knows that, so it installs them once, in the sandbox, without running anything of theirs. What comes into the
//! layer is installed by us from the archives, like all packages.

use cache::{Cache, Digest};
use deps::npm::{Integrity, Manifest, Places, Selected, Target};
use deps::{Files, npm};
use tree::{Links, Root};

use super::fetch;
use super::inputs::{Inputs, Node, NodeLock};
use super::lock::LayerLock;
use super::tools::{EXCHANGE, Tools};
use crate::Error;

/// The version of pnpm, the newest that runs on Debian's Node.js, and the digests of its archive.
const PNPM: &str = "10.34.9";
const PNPM_INTEGRITY: &str =
    "sha512-9JtajqD97bRLs8DB1ldQkqU8KVDZW3rRXfEfF5dId6LeOgHAfpNOmyjOcW5RwJqUlixzBtCb4uHksYqMh2L9Mg==";
const PNPM_SHA256: &str = "7e8a946108e7baab119e51d27c24d6178b46545422643dbc91e34e2f1ee32e0f";

/// Where pnpm is put in the root.
const PNPM_FOLDER: &str = "opt/pnpm";
const PNPM_PROGRAM: &str = "/opt/pnpm/node_modules/pnpm/bin/pnpm.cjs";

/// The size in bytes above which pnpm's note is not read.
const MAX_NOTE: u64 = 64 << 20;

/// Where pnpm puts the packages of `node`, the step of number `step`, for `target`.
pub(super) fn places(
    step: usize,
    node: &Node<'_>,
    settings: Option<&str>,
    target: &Target,
    tools: &Tools<'_>,
) -> Result<Places, Error> {
    install_pnpm(tools)?;
    let folder = format!("pnpm-{step}-{}", target.architecture);
    for (name, text) in [
        ("package.json", Some(node.manifest.as_str())),
        ("pnpm-lock.yaml", Some(&node.text)),
        (".npmrc", node.npmrc.as_deref()),
        ("pnpm-workspace.yaml", settings),
    ] {
        if let Some(text) = text {
            tools.give(&format!("{folder}/{name}"), text)?;
        }
    }
    let (inside, cpu) = (format!("{EXCHANGE}/{folder}"), format!("--cpu={}", target.cpu()));
    let argv = [
        "node",
        PNPM_PROGRAM,
        "install",
        "--dir",
        &inside,
        "--frozen-lockfile",
        "--prod",
        "--ignore-scripts",
        "--ignore-pnpmfile",
        "--node-linker=hoisted",
        "--store-dir=/exchange/pnpm-store",
        "--config.manage-package-manager-versions=false",
        "--config.package-manager-strict=false",
        "--config.engine-strict=false",
        "--reporter=append-only",
        "--os=linux",
        "--libc=glibc",
        &cpu,
    ];
    tools.run("ask pnpm where packages go", &argv, &[("CI", "1")])?;
    let name = "node_modules/.modules.yaml";
    let path = tools.outside(&folder).join(name);
    // Nothing to install leaves no note.
    let note = crate::output::read_text(&path, MAX_NOTE)?.unwrap_or_else(|| "{}".to_owned());
    Ok(Places::parse(name, &note)?)
}

/// Fetches pnpm and puts it into the root, once.
fn install_pnpm(tools: &Tools<'_>) -> Result<(), Error> {
    if tools.root().join(PNPM_PROGRAM.trim_start_matches('/')).exists() {
        return Ok(());
    }
    let what = format!("pnpm@{PNPM}");
    let wrong = || deps::Error::Integrity { package: what.clone(), expected: PNPM_INTEGRITY.to_owned() };
    let integrity = Integrity::parse(PNPM_INTEGRITY).ok_or_else(wrong)?;
    let sha256: Digest = PNPM_SHA256.parse().map_err(|_| wrong())?;
    let cache = &tools.session().cache;
    if !cache.contains(&sha256)? {
        tools.npm_cache_add(EXCHANGE, &[&what])?;
        fetch::take(tools, &what, &integrity, Some(sha256))?;
    }
    let contents = cache.file(&sha256)?.ok_or_else(|| Error::NotFetched { what: what.clone() })?;
    let package = Selected {
        place: "node_modules/pnpm".to_owned(),
        name: "pnpm".to_owned(),
        version: PNPM.to_owned(),
        integrity: Some(integrity),
        is_native: false,
        direct: true,
        programs: [].into(),
    };
    let root = Root::open(tools.root(), Links::Refuse)?;
    Ok(npm::install(&package, contents, PNPM_FOLDER, &mut Files::new(&root, 0))?)
}

/// Adds to `lock` what only the archives say of packages that pnpm locked, which are in `cache`: their programs. Packages that
/// run scripts must be among those that do without.
pub(super) fn complete(lock: &mut LayerLock, inputs: &Inputs<'_>, cache: &Cache) -> Result<(), Error> {
    for npm in &mut lock.npm {
        let node = &inputs.node[npm.step];
        let (NodeLock::Pnpm { .. }, Some(sha256)) = (&node.lock, &npm.sha256) else { continue };
        let package = &mut npm.package;
        let what = || format!("{}@{}", package.name, package.version);
        let contents = cache.file(sha256)?.ok_or_else(|| Error::NotFetched { what: what() })?;
        let manifest = Manifest::of_archive(package, contents)?;
        if manifest.runs_scripts && !node.step.allowed().contains(&package.name) {
            let (package, version) = (package.name.clone(), package.version.clone());
            return Err(deps::Error::NpmScript { package, version }.into());
        }
        package.programs = manifest.programs;
    }
    Ok(())
}
