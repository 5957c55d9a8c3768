//! `pull`, `push`, `copy`: images from one place to another.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use http::Cancel;
use image::build::{DockerTar, OciTar};
use image::copy::{Copied, Options as CopyOptions, copy};
use image::registry::{Access, Options, Repository, open_repository};
use image::{Layout, Location, Reference, Source, Target};
use recipe::build::Interrupt;
use serde_json::json;

use super::registries::{self, Opened};
use crate::cli::{Cli, Copy, Network, Parts, Pull, Push, Registries};
use crate::progress::{Shown, Transfer};
use crate::{printer, signals};

/// The name of an image that was given none.
const LATEST: &str = "latest";

pub(crate) fn pull(cli: &Cli, pull: &Pull) -> Result<ExitCode, Box<dyn Error>> {
    let source = Location::Registry(pull.source.clone());
    let work = Work {
        cli,
        parts: &pull.parts,
        jobs: pull.jobs.jobs,
        registries: &pull.registries,
        network: &pull.network,
    };
    work.run(&source, std::slice::from_ref(&pull.target))
}

pub(crate) fn push(cli: &Cli, push: &Push) -> Result<ExitCode, Box<dyn Error>> {
    let targets: Vec<Location> = push.targets.iter().cloned().map(Location::Registry).collect();
    let work = Work {
        cli,
        parts: &push.parts,
        jobs: push.jobs.jobs,
        registries: &push.registries,
        network: &push.network,
    };
    work.run(&push.source, &targets)
}

pub(crate) fn copy_image(cli: &Cli, copy: &Copy) -> Result<ExitCode, Box<dyn Error>> {
    let work = Work {
        cli,
        parts: &copy.parts,
        jobs: copy.jobs.jobs,
        registries: &copy.registries,
        network: &copy.network,
    };
    work.run(&copy.source, std::slice::from_ref(&copy.target))
}

struct Work<'a> {
    cli: &'a Cli,
    parts: &'a Parts,
    jobs: u16,
    registries: &'a Registries,
    network: &'a Network,
}

/// One place that is written to, and the tags that the image gets there.
struct Place {
    location: Location,
    tags: Vec<String>,
}

impl Work<'_> {
    fn run(&self, source: &Location, targets: &[Location]) -> Result<ExitCode, Box<dyn Error>> {
        let interrupt = Interrupt::new()?;
        signals::watch(&interrupt)?;
        let cancel = Cancel::from_flag(Arc::clone(interrupt.flag()));
        let places = places(source, targets)?;
        let shown = Arc::new(Shown::new(self.cli.progress, self.cli.verbose));
        let events = Arc::new(Transfer::new(Arc::clone(&shown)));
        let locations: Vec<&Location> = targets.iter().chain([source]).collect();
        let options =
            registries::options(self.registries, self.network, &locations, Arc::clone(&events) as _, cancel)?;
        let copied = self.copy_all(source, &places, &options, &events);
        shown.finish();
        print(&places, &copied?, self.cli.json)?;
        Ok(ExitCode::SUCCESS)
    }

    fn copy_all(
        &self,
        source: &Location,
        places: &[Place],
        options: &Options,
        events: &Transfer,
    ) -> Result<Vec<Copied>, Box<dyn Error>> {
        let opened = Opened::open(source, options)?;
        if self.parts.referrers && opened.referrers().is_none() {
            return Err(
                format!("`{source}` cannot say what is about its image: leave out `--referrers`").into()
            );
        }
        let mut written: Vec<Repository> = Vec::new();
        let mut done = Vec::new();
        for place in places {
            let chosen = CopyOptions {
                platforms: self.parts.platform.clone(),
                tags: place.tags.clone(),
                jobs: self.jobs.into(),
                referrers: opened.referrers().filter(|_| self.parts.referrers),
                cancel: options.cancel.clone(),
            };
            let send = |target: &dyn Target| copy(&opened, opened.root(), target, &chosen, events);
            done.push(match &place.location {
                Location::Registry(reference) => {
                    let mut target = open_repository(reference, Access::Push, options)?;
                    for near in written.iter().chain(opened.repository()) {
                        target.mount_from(near);
                    }
                    let copied = send(&target)?;
                    written.push(target);
                    copied
                }
                Location::Layout { path, .. } => send(&Layout::create(path)?)?,
                Location::LayoutTar { path, .. } => {
                    let target = OciTar::create(path)?;
                    let copied = send(&target)?;
                    target.finish()?;
                    copied
                }
                Location::DockerArchive { path, tag } => {
                    let target = DockerTar::create(path, tag.iter().cloned().collect())?;
                    let copied = send(&target)?;
                    target.finish()?;
                    copied
                }
            });
        }
        Ok(done)
    }
}

/// The places to write to. Several references into one repository are one place with several tags.
fn places(source: &Location, targets: &[Location]) -> Result<Vec<Place>, Box<dyn Error>> {
    let mut places: Vec<Place> = Vec::new();
    for location in targets {
        let tag = match location {
            Location::Registry(Reference { digest: Some(_), .. }) => {
                return Err(format!(
                    "`{location}` names a digest, which follows from what is written: name a tag"
                )
                .into());
            }
            Location::Registry(reference) => reference.tag.clone(),
            Location::Layout { tag, .. } | Location::LayoutTar { tag, .. } => {
                tag.clone().or_else(|| tag_of(source))
            }
            // Its name is a whole reference, and it need not have one.
            Location::DockerArchive { .. } => None,
        };
        let tag = tag.unwrap_or_else(|| LATEST.to_owned());
        let same = |place: &&mut Place| match (&place.location, location) {
            (Location::Registry(one), Location::Registry(other)) => {
                one.registry == other.registry && one.repository == other.repository
            }
            _ => false,
        };
        match places.iter_mut().find(same) {
            Some(place) => place.tags.push(tag),
            None => places.push(Place { location: location.clone(), tags: vec![tag] }),
        }
    }
    Ok(places)
}

fn tag_of(location: &Location) -> Option<String> {
    match location {
        Location::Registry(reference) => reference.tag.clone(),
        Location::Layout { tag, .. } | Location::LayoutTar { tag, .. } => tag.clone(),
        Location::DockerArchive { .. } => None,
    }
}

impl Place {
    /// All names that the image has now.
    fn names(&self) -> Vec<String> {
        let name = |tag: &String| match &self.location {
            Location::Registry(reference) => reference.with_tag(tag).to_string(),
            Location::Layout { path, .. } => {
                Location::Layout { path: path.clone(), tag: Some(tag.clone()) }.to_string()
            }
            Location::LayoutTar { path, .. } => {
                Location::LayoutTar { path: path.clone(), tag: Some(tag.clone()) }.to_string()
            }
            other => other.to_string(),
        };
        self.tags.iter().map(name).collect()
    }
}

fn print(places: &[Place], done: &[Copied], json: bool) -> Result<(), serde_json::Error> {
    if json {
        let list: Vec<_> = places
            .iter()
            .zip(done)
            .map(|(place, copied)| {
                json!({
                    "names": place.names(),
                    "digest": copied.root.digest_text(),
                    "mediaType": copied.root.media_type,
                    "size": copied.root.size,
                    "sent": copied.sent,
                    "skipped": copied.skipped,
                    "mounted": copied.mounted,
                    "manifests": copied.manifests,
                    "referrers": copied.referrers,
                })
            })
            .collect();
        printer::result(&serde_json::to_string_pretty(&list)?);
        return Ok(());
    }
    for (place, copied) in places.iter().zip(done) {
        for name in place.names() {
            printer::result(&format!("{name}  {}", copied.root.digest_text()));
        }
        let Copied { sent, skipped, mounted, .. } = copied;
        printer::note(&format!(
            "sent {} contents with {} bytes; {} were there, {} were taken over from another repository",
            sent.blobs, sent.bytes, skipped.blobs, mounted.blobs
        ));
    }
    Ok(())
}
