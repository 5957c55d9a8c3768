//! Preparing the stores, and whether they can be used.

use std::path::PathBuf;
use std::process::ExitCode;

use layers::{Engine, Environment};
use serde_json::json;

use super::{Outcome, done};
use crate::cli::{Folder, Mode, Setup};
use crate::printer;

pub(crate) fn setup(setup: &Setup, json: bool) -> Outcome {
    let made = Engine::setup(&Environment::of_process()?, &wanted(setup)?)?;
    for note in &made.notes {
        printer::note(note);
    }
    if json {
        printer::json(&json!({
            "config": made.config_path.to_string_lossy(),
            "runtime": made.config.runtime.to_string_lossy(),
            "external": made.config.external.as_ref().map(|path| path.to_string_lossy()),
            "read_only": made.config.read_only.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "rootfs": made.config.rootfs.to_string_lossy(),
            "notes": made.notes,
        }));
    }
    done(&format!("set up `{}`", made.config.runtime.display()))
}

/// What the flags mean; the parser has seen to it that flags of different dialects do not mix.
fn wanted(setup: &Setup) -> Result<layers::Setup, &'static str> {
    let missing_tar = "--base-rootfs=TAR is missing: a tar of the root filesystem";
    match setup.mode {
        Some(Mode::Dev) => Ok(layers::Setup::Dev {
            base_rootfs: setup.base_rootfs.clone().ok_or(missing_tar)?,
            layer_disk: setup
                .layer_disk
                .clone()
                .ok_or("--layer-disk=IMG is missing: a disk image for layers")?,
        }),
        Some(Mode::Production) => {
            Ok(layers::Setup::Production { base_rootfs: setup.base_rootfs.clone().ok_or(missing_tar)? })
        }
        None => {
            let (runtime, read_only) = stores(setup.runtime.as_ref(), &setup.dir)?;
            Ok(layers::Setup::Stores {
                runtime,
                external: setup.external.clone(),
                read_only,
                rootfs_path: setup
                    .rootfs_path
                    .clone()
                    .ok_or("--rootfs-path DIR is missing: the root filesystem")?,
                rootfs_tar: setup.rootfs_tar.clone(),
            })
        }
    }
}

/// The writable store and those that are only read.
pub(super) fn stores(
    runtime: Option<&PathBuf>,
    folders: &[Folder],
) -> Result<(PathBuf, Vec<PathBuf>), &'static str> {
    let mut writable: Vec<PathBuf> = runtime.into_iter().cloned().collect();
    let mut read_only = Vec::new();
    for folder in folders {
        if folder.writable { &mut writable } else { &mut read_only }.push(folder.path.clone());
    }
    match writable.pop() {
        Some(runtime) if writable.is_empty() => Ok((runtime, read_only)),
        _ => Err("one writable store is needed: --runtime DIR, or -d DIR,rw"),
    }
}

pub(crate) fn test_system() -> Outcome {
    Engine::test_system(&Environment::of_process()?)?;
    Ok(ExitCode::SUCCESS)
}
