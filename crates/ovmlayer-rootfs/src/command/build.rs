//! `build`: recipes into artifacts.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use recipe::build::{Artifact, Interrupt, Options, Pin, Session};

use super::registries;
use crate::cli::{Build, Cli};
use crate::progress::Shown;
use crate::{printer, signals};

pub(crate) fn run(cli: &Cli, build: &Build) -> Result<ExitCode, Box<dyn Error>> {
    // First of all: entering a user namespace takes a program with one thread.
    let entered = sandbox::enter_user_namespace()?;
    let interrupt = Interrupt::new()?;
    signals::watch(&interrupt)?;
    let recipes = match build.recipes.as_slice() {
        [] => recipe::list()?,
        names => names.iter().map(|name| recipe::find(name)).collect::<Result<_, _>>()?,
    };
    let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
    let images = recipes.iter().filter_map(|found| build.image.as_ref().or(found.recipe.from.as_ref()));
    let remote = registries::for_builds(&build.registries, &build.network, images, &interrupt, &shown)?;
    let session = Session::open(build.network.cache_dir.as_deref(), interrupt, Arc::clone(&shown) as _)?
        .with_remote(remote);
    let options = Options {
        origin: super::origin(&build.from, &build.network),
        from: build.image.clone(),
        out: build.out.clone(),
        build_dir: build.build_dir.clone(),
        pin: match (build.locked, build.update) {
            (true, _) => Pin::Locked,
            (_, true) => Pin::Update,
            _ => Pin::IfThere,
        },
        jobs: build.jobs.map(usize::from),
    };
    let mut artifacts = Vec::new();
    for found in &recipes {
        let built = session.build(found, &options, &entered);
        shown.finish();
        artifacts.extend(built?);
    }
    print(&artifacts, cli.json)?;
    Ok(ExitCode::SUCCESS)
}

fn print(artifacts: &[Artifact], json: bool) -> Result<(), serde_json::Error> {
    if json {
        printer::result(&serde_json::to_string_pretty(artifacts)?);
        return Ok(());
    }
    for artifact in artifacts {
        let path = artifact.path.display();
        match (artifact.size, &artifact.sha256) {
            (Some(size), Some(sha256)) => printer::result(&format!("{path}  {size} bytes  sha256:{sha256}")),
            _ => printer::result(&format!("{path}/")),
        }
    }
    Ok(())
}
