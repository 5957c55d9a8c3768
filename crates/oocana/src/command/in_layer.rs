//! The two processes of an executor in layers: one makes the layers and becomes the executor, the other watches over it and removes
//! the stack when it is gone.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use packages::{Package, Runtime, Stdout, Surroundings};

use crate::cli::InLayer;
use crate::config::Config;
use crate::printer;

use super::Failed;
use super::package_layer::{failed, layers, parse_binds};

/// Variables that the runner sets for executors.
const VARIABLES: [&str; 3] = ["IS_FORKED", "OOCANA_PKG_DIR", "OVMLAYER_LOG"];

/// Becomes a program in the layers of a package, which are made when they are not there.
pub(super) fn run(options: InLayer, config: &Config) -> Result<u8, Failed> {
    let layers = layers(config)?;
    layers.sweep();
    let with = Surroundings {
        binds: parse_binds(&options.bind_paths)?,
        env_file: options.env_file,
        retain: options.retain_env_keys,
        stdout: Stdout::Same,
    };
    if layers.below().map_err(failed)?.is_empty() {
        printer::warning(
            "layer.json names no executor layer: the executor must be in the root filesystem itself",
        );
    }
    let package = Package::read(&options.package).map_err(failed)?;
    let layer = layers.create(&package, &with, &mut printer::warning).map_err(failed)?.layer;
    let runtime = Runtime::named(&options.runtime).map_err(failed)?;
    let injected = match &options.inject_flow {
        Some(flow) => layers
            .inject(flow, &layer, &options.inject_script, &with, &mut printer::warning)
            .map_err(failed)?,
        None => None,
    };
    layers.merge_runtime(&runtime, &layer, injected.as_deref()).map_err(failed)?;
    let variables: Vec<(OsString, OsString)> =
        VARIABLES.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect();
    printer::result(runner::LAYER_READY);
    let inside = packages::Inside { runtime: &runtime, package: &layer, data: &options.data_dir };
    let error = layers.command_in(&inside, &options.command, &variables, &with, &mut printer::warning).exec();
    Err(Failed::new(format!("`ovmlayer` cannot be started: {error}")))
}

/// Watches over an executor in layers. Its stack goes when it has ended, or when this process is gone and another one comes.
pub(super) fn supervise(
    runtime: &str,
    config: &Config,
    watch: impl FnOnce() -> ExitCode,
) -> Result<u8, Failed> {
    let layers = layers(config)?;
    let claim = layers.claim_runtime(&Runtime::named(runtime).map_err(failed)?).map_err(failed)?;
    let is_fine = watch() == ExitCode::SUCCESS;
    drop(claim);
    // What the executor was killed over, such as layers that were being made.
    layers.sweep();
    Ok(u8::from(!is_fine))
}
