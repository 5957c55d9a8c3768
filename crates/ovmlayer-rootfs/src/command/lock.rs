//! `lock`: puts a lock beside a recipe.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use recipe::build::{Interrupt, Session};
use recipe::format::Kind;
use recipe::{Found, ImageLock, LayerLock};

use super::registries;
use crate::cli::{Cli, Lock};
use crate::progress::Shown;
use crate::{printer, signals};

pub(crate) fn run(cli: &Cli, lock: &Lock) -> Result<ExitCode, Box<dyn Error>> {
    let found = recipe::find(&lock.recipe)?;
    if found.recipe.kind == Kind::Layer {
        return run_for_layer(cli, lock, &found);
    }
    let interrupt = Interrupt::new()?;
    signals::watch(&interrupt)?;
    if found.recipe.from.is_some() {
        return run_for_image(cli, lock, &found, interrupt);
    }
    let path = found.lock_path();
    let before = recipe::Lock::load(&path)?;
    if before.is_some() && !lock.update {
        return Err(there_already(&path));
    }
    let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
    let session = Session::open(lock.network.cache_dir.as_deref(), interrupt, Arc::clone(&shown) as _)?;
    let resolved = session.lock(&found, &super::origin(&lock.from, &lock.network));
    shown.finish();
    let resolved = resolved?;
    let path = session.write_lock(&resolved, &path)?;
    match before {
        Some(before) => print_changes(&before.changes(&resolved)),
        None => printer::result(&format!("{}  {} packages", path.display(), resolved.packages.len())),
    }
    Ok(ExitCode::SUCCESS)
}

/// The same for a recipe that is made from an image.
fn run_for_image(
    cli: &Cli,
    lock: &Lock,
    found: &Found,
    interrupt: Interrupt,
) -> Result<ExitCode, Box<dyn Error>> {
    let path = found.lock_path();
    let before = ImageLock::load(&path)?;
    if before.is_some() && !lock.update {
        return Err(there_already(&path));
    }
    let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
    let images = found.recipe.from.iter();
    let remote = registries::for_builds(&lock.registries, &lock.network, images, &interrupt, &shown)?;
    let session = Session::open(lock.network.cache_dir.as_deref(), interrupt, Arc::clone(&shown) as _)?
        .with_remote(remote);
    let resolved = session.lock_image(found, &super::origin(&lock.from, &lock.network));
    shown.finish();
    let resolved = resolved?;
    let path = session.write_image_lock(&resolved, &path)?;
    match before {
        Some(before) => print_changes(&before.changes(&resolved)),
        None => printer::result(&format!("{}  sha256:{}", path.display(), resolved.sha256)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The same for a layer, whose packages are resolved by tools in a sandbox.
fn run_for_layer(cli: &Cli, lock: &Lock, found: &Found) -> Result<ExitCode, Box<dyn Error>> {
    // First of all: entering a user namespace takes a program with one thread.
    let entered = sandbox::enter_user_namespace()?;
    let interrupt = Interrupt::new()?;
    signals::watch(&interrupt)?;
    let path = found.lock_path();
    if LayerLock::load(&path)?.is_some() && !lock.update {
        return Err(there_already(&path));
    }
    let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
    let images = found.image().into_iter();
    let remote = registries::for_builds(&lock.registries, &lock.network, images, &interrupt, &shown)?;
    let session = Session::open(lock.network.cache_dir.as_deref(), interrupt, Arc::clone(&shown) as _)?
        .with_remote(remote);
    let resolved = session.lock_layer(found, &super::origin(&lock.from, &lock.network), &entered);
    shown.finish();
    let resolved = resolved?;
    let path = session.write_layer_lock(&resolved, &path)?;
    let (wheels, npm) = (resolved.wheels.len(), resolved.npm.len());
    printer::result(&format!("{}  {wheels} wheels, {npm} npm packages", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn there_already(path: &Path) -> Box<dyn Error> {
    format!("{} is there already: add `--update` to refresh it", path.display()).into()
}

fn print_changes(changes: &[String]) {
    if changes.is_empty() {
        printer::result("nothing changed");
    }
    changes.iter().for_each(|line| printer::result(line));
}
