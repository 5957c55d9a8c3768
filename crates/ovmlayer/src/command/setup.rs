//! stub
use std::process::ExitCode;
use layers::{Config, Environment};
use super::{Outcome, engine};
use crate::cli::Setup;
pub(crate) fn setup(setup: &Setup, _json: bool) -> Outcome {
    let env = Environment::of_process()?;
    let runtime = setup.runtime.clone().unwrap();
    let rootfs = setup.rootfs_path.clone().unwrap();
    for d in [&runtime, &rootfs, setup.external.as_ref().unwrap()] { std::fs::create_dir_all(d)?; }
    let mut config = Config::new(runtime, rootfs.clone());
    config.external = setup.external.clone();
    config.write(&env)?;
    let engine = engine()?;
    engine.enter()?;
    std::process::Command::new("tar").args(["-x","-p","--numeric-owner","-C"]).arg(&rootfs).arg("-f").arg(setup.rootfs_tar.as_ref().unwrap()).status()?;
    Ok(ExitCode::SUCCESS)
}
pub(crate) fn test_system() -> Outcome { engine()?; Ok(ExitCode::SUCCESS) }
