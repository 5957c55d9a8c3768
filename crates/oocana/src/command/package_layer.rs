//! `package-layer`. The last lines of what is printed are what launchers look for.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use packages::{Bind, Imported, Interrupt, Layers, Ovmlayer, Package, Status, Stdout, Surroundings};
use serde_json::json;

use crate::cli::{Inside, PackageLayer, Script};
use crate::config::{Config, expand};
use crate::printer;

use super::{Failed, cwd, write};

pub(super) fn run(action: PackageLayer, config: &Config) -> Result<u8, Failed> {
    let layers = layers(config)?;
    layers.sweep();
    act(action, config, &layers)?;
    Ok(0)
}

/// The package layers of this machine.
pub(super) fn layers(config: &Config) -> Result<Layers, Failed> {
    Ok(Layers::new(Ovmlayer::find().map_err(failed)?, config.places()))
}

/// What cannot be done about package layers.
#[expect(clippy::needless_pass_by_value, reason = "it is for `map_err`")]
pub(super) fn failed(error: packages::Error) -> Failed {
    Failed::new(error.to_string())
}

fn act(action: PackageLayer, config: &Config, layers: &Layers) -> Result<(), Failed> {
    match action {
        PackageLayer::Create { package, script } => {
            let (layers, with) = for_script(config, &script)?;
            layers.create(&read(&package)?, &with, &mut printer::warning).map_err(failed)?;
        }
        PackageLayer::CreateExternal { name, version, package, script } => {
            let (layers, with) = for_script(config, &script)?;
            let package = read(&package)?;
            layers
                .create_external(&name, &version, &package, &with, &mut printer::warning)
                .map_err(failed)?;
        }
        PackageLayer::Delete { package } => {
            tell_absent(layers.delete(&absolute(&package)?).map_err(failed)?, &package.display());
        }
        PackageLayer::DeleteExternal { name, version } => {
            let was_there = layers.delete_external(&name, &version).map_err(failed)?;
            tell_absent(was_there, &format_args!("{name}@{version}"));
        }
        PackageLayer::Get { package, package_name, package_version } => {
            let (name, version) = (package_name.as_deref(), package_version.as_deref());
            let status = layers.status(&absolute(&package)?, name, version).map_err(failed)?;
            printer::result(&status.to_string());
        }
        PackageLayer::GetExternal { name, version } => {
            printer::result(&layers.external_status(&name, &version).map_err(failed)?.to_string());
        }
        PackageLayer::Scan { search_paths, output } => scan(layers, &search_paths, output.as_ref())?,
        PackageLayer::Export { package, dest } => {
            layers.export(&read(&package)?, &dest).map_err(failed)?;
        }
        PackageLayer::Import { export, package } => {
            match layers.import(&export, &absolute(&package)?).map_err(failed)? {
                Imported::Done(_) => {}
                Imported::AlreadyThere => printer::result("Package layer already exists, skipping import."),
            }
        }
        PackageLayer::Mv { package } => layers.move_out(&read(&package)?).map_err(failed)?,
        PackageLayer::List => list(layers)?,
        PackageLayer::DeleteAll => layers.delete_all().map_err(failed)?,
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf, Failed> {
    let path = cwd()?.join(expand(&path.to_string_lossy()));
    // Without `.` and `..`, as packages are noted.
    Ok(flow::clean(&path))
}

fn read(path: &Path) -> Result<Package, Failed> {
    Package::read(&absolute(path)?).map_err(failed)
}

fn tell_absent(was_there: bool, what: &dyn std::fmt::Display) {
    if !was_there {
        printer::warning(&format!("there is no package layer of {what}"));
    }
}

/// The layers and what a script sees; signals end the script in order from now on.
fn for_script(config: &Config, script: &Script) -> Result<(Layers, Surroundings), Failed> {
    let watch =
        Interrupt::watch().map_err(|error| Failed::new(format!("cannot watch for signals: {error}")))?;
    let ovmlayer = Ovmlayer::find().map_err(failed)?.interrupted_by(watch);
    let with = surroundings(&script.inside, script.env_file.as_deref(), config)?;
    Ok((Layers::new(ovmlayer, config.places()), with))
}

/// What is seen in layers, by the command line and the configuration.
pub(super) fn surroundings(
    inside: &Inside,
    env_file: Option<&Path>,
    config: &Config,
) -> Result<Surroundings, Failed> {
    let cwd = cwd()?;
    let mut binds = parse_binds(&inside.bind_paths)?;
    let configured = || config.global.bind_path_file.as_deref().map(expand);
    if let Some(path) = inside.bind_path_file.clone().or_else(configured) {
        binds.extend(Bind::read_file(&path).map_err(failed)?);
    }
    for bind in &mut binds {
        bind.source = cwd.join(&bind.source);
    }
    let env_file = env_file.map(Path::to_owned).or_else(|| config.global.env_file.as_deref().map(expand));
    Ok(Surroundings {
        binds,
        env_file: env_file.map(|path| cwd.join(path)),
        retain: inside.retain_env_keys.clone(),
        stdout: Stdout::Same,
    })
}

/// Binds of the command line.
pub(super) fn parse_binds(texts: &[String]) -> Result<Vec<Bind>, Failed> {
    texts.iter().map(|text| Bind::parse(text).map_err(|error| Failed::usage(error.to_string()))).collect()
}

/// A map as launchers parse it, and as the debug form of a map in Rust looks.
fn scan(layers: &Layers, search: &[PathBuf], output: Option<&PathBuf>) -> Result<(), Failed> {
    let search = search.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
    let found: Vec<(PathBuf, Status)> = layers.scan(&search).map_err(failed)?;
    let mut text = String::from("{");
    for (index, (path, status)) in found.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{}: \"{status}\"", json!(path.to_string_lossy()));
    }
    text.push_str("}\n");
    write(output, &text)
}

fn list(layers: &Layers) -> Result<(), Failed> {
    for (path, layer) in layers.stored().map_err(failed)?.packages {
        printer::result(&format!("Package: {path:?}, Version: {:?}", layer.version));
    }
    for (key, layer) in layers.external().map_err(failed)?.packages {
        printer::result(&format!("External: {key}, Path: {:?}", layer.package_path));
    }
    Ok(())
}
