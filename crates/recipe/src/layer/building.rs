//! What packages do themselves when they are installed, where the recipe allows it by name: in the root that they are for, and
//! without a network.

use std::fs::File;

use deps::python::WheelName;
use rootfs::Scripts;
use sandbox::Network;
use tree::{EntryPath, Metadata, Root};

use super::lock::Wheel;
use crate::Error;

/// Where sources are, and wheels are made of them, in the root.
const FOLDER: &str = "tmp/ovmlayer-build";

/// The size in bytes above which no wheel is taken.
const MAX_WHEEL: u64 = 4 << 30;

/// A wheel that was built.
pub(super) struct Built {
    pub(super) file: String,
    pub(super) contents: File,
}

/// Builds the wheel of a package of which `contents` is the source. What it is built with must be there already, from a step
/// `packages` or in the parent.
pub(super) fn build_wheel(
    wheel: &Wheel,
    contents: &File,
    root: &Root,
    scripts: &Scripts,
) -> Result<Built, Error> {
    let failed = |message: String| Error::Building { package: wheel.name.clone(), message };
    if wheel.file.contains('/') {
        return Err(failed(format!("`{}` is no name of a file", wheel.file)));
    }
    let source = path_of(&wheel.file)?;
    root.make_parents(&source, &Metadata::new(0o755, 0))?;
    root.copy_file(&source, &Metadata::new(0o644, 0), contents)?;
    let (source, made) = (format!("/{FOLDER}/{}", wheel.file), format!("/{FOLDER}/made"));
    let argv = [
        "/usr/bin/python3",
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--wheel-dir",
        &made,
        &source,
    ];
    let run = scripts.run("pip", &argv, &[], Network::None);
    root.forget_parents();
    run.map_err(|error| failed(crate::files::chain(error)))?;
    let names = root.list(&path_of("made")?)?.into_iter();
    let is_this = |file: &String| {
        WheelName::parse(file).is_some_and(|name| deps::python::normalized(&name.project) == wheel.name)
    };
    let file = names.filter_map(|name| String::from_utf8(name).ok()).find(is_this);
    let file = file.ok_or_else(|| failed("pip made no wheel of it".to_owned()))?;
    let contents = root.open_file(&path_of(&format!("made/{file}"))?)?;
    if contents.metadata().is_ok_and(|metadata| metadata.len() > MAX_WHEEL) {
        return Err(failed(format!("its wheel has more than {MAX_WHEEL} bytes")));
    }
    // Whoever has it open can still read it.
    root.remove_all(&EntryPath::parse(FOLDER.as_bytes()).map_err(tree::Error::from)?)?;
    Ok(Built { file, contents })
}

fn path_of(name: &str) -> Result<EntryPath, Error> {
    Ok(EntryPath::parse(format!("{FOLDER}/{name}").as_bytes()).map_err(tree::Error::from)?)
}

/// Runs the scripts of npm packages called `names` beneath `into`, by the npm that is there.
pub(super) fn run_scripts(names: &[&str], into: &str, root: &Root, scripts: &Scripts) -> Result<(), Error> {
    let prefix = format!("/{into}");
    let env = [
        ("npm_config_cache", "/tmp/ovmlayer-npm"),
        ("npm_config_offline", "true"),
        ("npm_config_update_notifier", "false"),
        ("npm_config_logs_max", "0"),
        // The headers of Debian's Node.js, where node-gyp would fetch those of a release.
        ("npm_config_nodedir", "/usr"),
    ];
    let fixed = ["/usr/bin/env", "npm", "--prefix", &prefix, "rebuild", "--foreground-scripts"];
    let run = scripts.run("npm", &[&fixed, names].concat(), &env, Network::None);
    root.forget_parents();
    run.map_err(|error| Error::Building { package: names.join("`, `"), message: crate::files::chain(error) })
}
