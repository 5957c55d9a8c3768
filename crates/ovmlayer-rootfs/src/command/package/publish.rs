//! `package publish`: exported layers into registries.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use http::{Cancel, Http};
use image::registry::{Access, Options, open_repository};
use image::{Location, Reference};
use publishing::{ARCHITECTURES, Event, Exported, PackageId, PackageRegistry, Part, Tokens, zip_name};
use recipe::build::Interrupt;
use serde_json::json;

use crate::cli::{Cli, Exports, PublishPackage};
use crate::command::registries;
use crate::progress::{Shown, Transfer};
use crate::{printer, signals};

/// The tag of an artifact that was given none.
const LATEST: &str = "latest";

pub(super) fn run(cli: &Cli, publish: &PublishPackage) -> Result<ExitCode, Box<dyn Error>> {
    if publish.network.offline {
        return Err("`--offline`: nothing can be published without a network".into());
    }
    let parts = open(&publish.exports)?;
    let package = package(&parts, publish.package.as_ref())?;
    let interrupt = Interrupt::new()?;
    signals::watch(&interrupt)?;
    let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
    let sent = send(publish, &parts, &package, &interrupt, &shown);
    shown.finish();
    print(&package, &parts, publish.registry.as_deref(), &sent?, cli.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads all exports through.
fn open(exports: &Exports) -> publishing::Result<Vec<Part>> {
    let named = [&exports.amd64, &exports.arm64];
    let part = |(architecture, named): (&'static str, &Option<PathBuf>)| {
        let folder = exports.folder.clone().unwrap_or_default();
        let path = named.clone().unwrap_or_else(|| folder.join(zip_name(architecture)));
        Ok(Part { architecture, export: Exported::open(&path)? })
    };
    ARCHITECTURES.into_iter().zip(named).map(part).collect()
}

/// The package that all exports are of.
fn package(parts: &[Part], asked: Option<&PackageId>) -> Result<PackageId, Box<dyn Error>> {
    let mut package = asked.cloned();
    for part in parts {
        package = Some(part.export.package(package.as_ref())?);
    }
    package.ok_or_else(|| "there is nothing to publish".into())
}

/// An artifact in an OCI registry, and its digest.
struct Artifact {
    name: String,
    digest: String,
}

fn send(
    publish: &PublishPackage,
    parts: &[Part],
    package: &PackageId,
    interrupt: &Interrupt,
    shown: &Arc<Shown>,
) -> Result<Vec<Artifact>, Box<dyn Error>> {
    let locations: Vec<Location> = publish.oci.iter().cloned().map(Location::Registry).collect();
    let locations: Vec<&Location> = locations.iter().collect();
    let events = Arc::new(Transfer::troubles(Arc::clone(shown)));
    let cancel = Cancel::from_flag(Arc::clone(interrupt.flag()));
    let options = registries::options(&publish.registries, &publish.network, &locations, events, cancel)?;
    let mut artifacts = Vec::new();
    for reference in &publish.oci {
        artifacts.push(store(reference, parts, package, &options)?);
    }
    if let Some(address) = &publish.registry {
        let tokens = Tokens::of_environment(|name| std::env::var(name).ok());
        let http = Http::new(options.http.clone(), options.cancel.clone())?;
        let registry = PackageRegistry::new(address, tokens, http)?;
        publishing::publish(&registry, package, parts, &options.cache, &|event| tell(shown, event))?;
    }
    Ok(artifacts)
}

fn store(
    reference: &Reference,
    parts: &[Part],
    package: &PackageId,
    options: &Options,
) -> Result<Artifact, Box<dyn Error>> {
    if reference.digest.is_some() {
        let message = "names a digest, which follows from what is written: name a tag";
        return Err(format!("`{reference}` {message}").into());
    }
    let tag = reference.tag.clone().unwrap_or_else(|| LATEST.to_owned());
    let name = reference.with_tag(&tag).to_string();
    let repository = open_repository(reference, Access::Push, options)?;
    let root = publishing::store(&repository, package, parts, &[tag])?;
    Ok(Artifact { name, digest: root.digest_text() })
}

fn tell(shown: &Shown, event: Event<'_>) {
    match event {
        Event::Sending { name, size } => {
            let json = json!({"event": "sending", "file": name, "bytes": size});
            shown.tell(&format!("sending {name}, {size} bytes"), &json);
        }
        Event::WasSent { name } => {
            let json = json!({"event": "was-sent", "file": name});
            shown.tell(&format!("{name} was sent by an earlier run"), &json);
        }
        Event::NewAddress { name } => {
            let json = json!({"event": "new-address", "file": name});
            shown.tell(&format!("the address for {name} was not good: asking for another one"), &json);
        }
        _ => {}
    }
}

fn print(
    package: &PackageId,
    parts: &[Part],
    registry: Option<&str>,
    artifacts: &[Artifact],
    json: bool,
) -> Result<(), serde_json::Error> {
    if json {
        let files: Vec<_> = parts
            .iter()
            .map(|Part { architecture, export }| {
                json!({
                    "architecture": architecture,
                    "name": zip_name(architecture),
                    "size": export.size(),
                    "sha256": export.digest().to_string(),
                })
            })
            .collect();
        let artifacts: Vec<_> = artifacts
            .iter()
            .map(|Artifact { name, digest }| json!({"name": name, "digest": digest}))
            .collect();
        let document = json!({
            "package": package.name(),
            "version": package.version(),
            "files": files,
            "registry": registry.map(http::without_password),
            "artifacts": artifacts,
        });
        printer::result(&serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    for Artifact { name, digest } in artifacts {
        printer::result(&format!("{name}  {digest}"));
    }
    if let Some(registry) = registry {
        printer::result(&format!("{package}  {}", http::without_password(registry)));
    }
    Ok(())
}
