//! `package`: the layers of one package of blocks.

mod publish;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use packages::{Bind, Interrupt, Layers, Ovmlayer, Places, Stdout, Surroundings, zip_folder};
use serde_json::json;

use crate::cli::{Cli, CreatePackage, ExportPackage, Package};
use crate::printer;

pub(crate) fn run(cli: &Cli, command: &Package) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Package::Create(options) => create(cli, options)?,
        Package::Export(options) => export(cli, options)?,
        Package::Publish(options) => return publish::run(cli, options),
    }
    Ok(ExitCode::SUCCESS)
}

fn create(cli: &Cli, options: &CreatePackage) -> Result<(), Box<dyn Error>> {
    let package = read(&options.package)?;
    let layers = layers()?;
    if layers.below()?.is_empty() {
        printer::warning(
            "layer.json names no executor layer: the script runs over the root filesystem alone",
        );
    }
    let made = layers.create(&package, &surroundings(options)?, &mut printer::warning)?;
    let layer = made.layer;
    if cli.json {
        printer::result(&serde_json::to_string(&json!({ "layer": layer, "reused": made.reused }))?);
    } else {
        let how = if made.reused { "found" } else { "made" };
        printer::result(&format!("{how} {}", layer.layers().join(", ")));
    }
    Ok(())
}

fn export(cli: &Cli, options: &ExportPackage) -> Result<(), Box<dyn Error>> {
    let package = read(&options.package)?;
    let name = format!("{}-layer", architecture());
    let (folder, zip) = (options.out.join(&name), options.out.join(format!("{name}.zip")));
    fs::create_dir_all(&options.out)
        .map_err(|error| format!("cannot make the folder {}: {error}", options.out.display()))?;
    layers()?.export(&package, &folder)?;
    zip_folder(&folder, &zip)?;
    if cli.json {
        printer::result(&serde_json::to_string(&json!({ "folder": folder, "zip": zip }))?);
    } else {
        printer::result(&folder.display().to_string());
        printer::result(&zip.display().to_string());
    }
    Ok(())
}

/// A package that could be published.
fn read(path: &Path) -> Result<packages::Package, Box<dyn Error>> {
    let package = packages::Package::read(&std::path::absolute(path)?)?;
    package.identity()?;
    Ok(package)
}

/// The package layers of this machine. Signals end scripts in order from now on.
fn layers() -> Result<Layers, Box<dyn Error>> {
    let watch = Interrupt::watch()?;
    let own = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("ovmlayer")));
    let ovmlayer = match own.filter(|path| path.is_file()) {
        Some(path) => Ovmlayer::at(&path)?,
        None => Ovmlayer::find()?,
    };
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    let places = Places::in_home(&home, |name| std::env::var_os(name));
    let layers = Layers::new(ovmlayer.interrupted_by(watch), places);
    layers.sweep();
    Ok(layers)
}

fn surroundings(options: &CreatePackage) -> Result<Surroundings, Box<dyn Error>> {
    let mut binds = options.bind_paths.iter().map(|text| Bind::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &options.bind_path_file {
        binds.extend(Bind::read_file(path)?);
    }
    for bind in &mut binds {
        bind.source = std::path::absolute(&bind.source)?;
    }
    let env_file = options.env_file.as_deref().map(std::path::absolute).transpose()?;
    Ok(Surroundings { binds, env_file, retain: options.retain_env_keys.clone(), stdout: Stdout::Stderr })
}

/// This machine's architecture, by Debian's name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
