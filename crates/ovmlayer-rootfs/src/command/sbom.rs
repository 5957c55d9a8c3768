//! `sbom`: the bill of materials of a tree or an image.

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use image::inventory::Digests;
use image::sbom::{Form, Subject};

use super::look::{Look, Looked};
use crate::cli::{Cli, Sbom};
use crate::{output, printer};

pub(crate) fn run(cli: &Cli, sbom: &Sbom) -> Result<ExitCode, Box<dyn Error>> {
    let digests = match sbom.format {
        Form::Spdx => Digests::WithSha1,
        Form::CycloneDx => Digests::Sha256,
    };
    let how = (&sbom.choice, &sbom.registries, &sbom.network);
    let look = Look::new(cli, how, &[&sbom.source], digests)?;
    let looked = look.at(&sbom.source)?;
    let subject = Subject {
        name: short_name(&looked.origin.name),
        digest: looked.origin.digest,
        is_image: looked.origin.image.is_some(),
        created: created(looked.inventory.newest)?,
        tool: format!("ovmlayer-rootfs-{}", env!("CARGO_PKG_VERSION")),
    };
    let document = sbom.format.document(&subject, &looked.inventory);
    match &sbom.output {
        _ if sbom.attach => attach(sbom, &look, &looked, &document)?,
        Some(path) => output::write(path, &document)?,
        None => printer::result(String::from_utf8_lossy(&document).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the document beside the image that it is about.
fn attach(sbom: &Sbom, look: &Look<'_>, looked: &Looked, document: &[u8]) -> Result<(), Box<dyn Error>> {
    let (Some((image, _)), Some(location)) = (&looked.origin.image, &looked.location) else {
        return Err(format!("cannot attach to {}: it is not an image", sbom.source).into());
    };
    let target = look.target(location)?;
    let kind = sbom.format.media_type();
    let attached = image::attach(&*target, &image.descriptor, kind, document, BTreeMap::new())?;
    printer::result(&attached.digest_text());
    Ok(())
}

/// The time that the document counts as made at.
fn created(newest: i64) -> Result<i64, Box<dyn Error>> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(newest) };
    let text = value.to_string_lossy();
    let epoch = text.parse().ok().filter(|epoch: &i64| *epoch >= 0);
    epoch.ok_or_else(|| format!("SOURCE_DATE_EPOCH is `{text}`: it must be a number of seconds").into())
}

/// The name without the folders before it, so that the document is the same wherever the image lies.
fn short_name(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}
