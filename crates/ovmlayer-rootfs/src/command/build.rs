//! `build`: recipes into artifacts.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use image::Location;
use recipe::Found;
use recipe::about::Documents;
use recipe::build::{Artifact, Interrupt, Options, Pin, Session};
use recipe::format::{Form, Kind};

use super::registries;
use super::transfer::{self, Sent, Work};
use crate::cli::{Build, Cli, Parts};
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
    let images = recipes.iter().filter_map(|found| build.image.as_ref().or(found.image()));
    let remote = registries::for_builds(&build.registries, &build.network, images, &interrupt, &shown)?;
    let session =
        Session::open(build.network.cache_dir.as_deref(), interrupt.clone(), Arc::clone(&shown) as _)?
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
        tags: build.publish.tag.clone(),
        components: build.component.iter().cloned().collect(),
        documents: Documents { sbom: build.publish.sbom.clone(), provenance: build.publish.provenance },
        oci: build.publish.oci,
    };
    let image = to_push(build, &recipes)?;
    let mut artifacts = Vec::new();
    for found in &recipes {
        let built = session.build(found, &options, &entered);
        shown.finish();
        artifacts.extend(built?);
    }
    print(&artifacts, cli.json)?;
    if let Some(image) = image {
        let sent = push(build, &image, &interrupt, &shown);
        shown.finish();
        transfer::print(&sent?, false)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the image will be that is to be pushed, if one is.
fn to_push(build: &Build, recipes: &[Found]) -> Result<Option<Location>, Box<dyn Error>> {
    if build.publish.push.is_empty() {
        if build.publish.signing.sign.is_some() {
            return Err("`--sign` signs what is in a registry: say where with `--push`".into());
        }
        return Ok(None);
    }
    let [found] = recipes else {
        return Err("`--push` sends one image: name one recipe".into());
    };
    let tag = Some(build.publish.tag.first().map_or("latest", String::as_str).to_owned());
    if found.recipe.kind == Kind::Layer && build.publish.oci {
        return Ok(Some(Location::Layout { path: build.out.join(&found.name), tag }));
    }
    let path = build.out.join(found.artifact());
    match found.image_form() {
        Some(Form::Layout) => Ok(Some(Location::Layout { path, tag })),
        Some(Form::OciTar) => Ok(Some(Location::LayoutTar { path, tag })),
        Some(Form::DockerTar) | None => {
            Err(format!("`--push` sends images: `{}` makes no image layout and no OCI tar", found.called())
                .into())
        }
    }
}

fn push(
    build: &Build,
    image: &Location,
    interrupt: &Interrupt,
    shown: &Arc<Shown>,
) -> Result<Vec<Sent>, Box<dyn Error>> {
    let publish = &build.publish;
    let work = Work {
        parts: &Parts { platform: Vec::new(), referrers: matches!(image, Location::Layout { .. }) },
        signing: Some(&publish.signing),
        jobs: 4,
        registries: &build.registries,
        network: &build.network,
    };
    let targets: Vec<Location> = publish.push.iter().cloned().map(Location::Registry).collect();
    work.send(image, &targets, interrupt, shown)
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
