//! `lock`: puts a lock beside a recipe.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use recipe::build::{Interrupt, Session};

use crate::cli::{Cli, Lock};
use crate::progress::Shown;
use crate::{printer, signals};

pub(crate) fn run(cli: &Cli, lock: &Lock) -> Result<ExitCode, Box<dyn Error>> {
    let interrupt = Interrupt::new()?;
    signals::watch(&interrupt)?;
    let found = recipe::find(&lock.recipe)?;
    let path = found.lock_path();
    let before = recipe::Lock::load(&path)?;
    if before.is_some() && !lock.update {
        return Err(format!("{} is there already: add `--update` to refresh it", path.display()).into());
    }
    let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
    let session = Session::open(lock.from.cache_dir.as_deref(), interrupt, Arc::clone(&shown) as _)?;
    let resolved = session.lock(&found, &super::origin(&lock.from));
    shown.finish();
    let resolved = resolved?;
    let path = session.write_lock(&resolved, &path)?;
    match before {
        Some(before) => {
            let changes = before.changes(&resolved);
            if changes.is_empty() {
                printer::result("nothing changed");
            }
            changes.iter().for_each(|line| printer::result(line));
        }
        None => printer::result(&format!("{}  {} packages", path.display(), resolved.packages.len())),
    }
    Ok(ExitCode::SUCCESS)
}
