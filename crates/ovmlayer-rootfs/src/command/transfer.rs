//! `pull`, `push`, `copy`: images from one place to another.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use http::Cancel;
use image::build::{DockerTar, OciTar};
use image::copy::{Copied, Options as CopyOptions, copy};
use image::registry::{Access, Options, Repository, open_repository};
use image::{Layout, Location, Reference, Source, Target, signing};
use recipe::build::Interrupt;
use serde_json::json;

use super::registries::{self, Opened};
use crate::cli::{Cli, Copy, Network, Parts, Pull, Push, Registries, Signing};
use crate::progress::{Shown, Transfer};
use crate::{printer, signals};

/// The name of an image that was given none.
const LATEST: &str = "latest";

pub(crate) fn pull(cli: &Cli, pull: &Pull) -> Result<ExitCode, Box<dyn Error>> {
    let source = Location::Registry(pull.source.clone());
    let (jobs, registries, network) = (pull.jobs.jobs, &pull.registries, &pull.network);
    let work = Work { parts: &pull.parts, signing: None, jobs, registries, network };
    work.run(cli, &source, std::slice::from_ref(&pull.target))
}

pub(crate) fn push(cli: &Cli, push: &Push) -> Result<ExitCode, Box<dyn Error>> {
    let targets: Vec<Location> = push.targets.iter().cloned().map(Location::Registry).collect();
    let (jobs, registries, network) = (push.jobs.jobs, &push.registries, &push.network);
    let work = Work { parts: &push.parts, signing: Some(&push.signing), jobs, registries, network };
    work.run(cli, &push.source, &targets)
}

pub(crate) fn copy_image(cli: &Cli, copy: &Copy) -> Result<ExitCode, Box<dyn Error>> {
    let (jobs, registries, network) = (copy.jobs.jobs, &copy.registries, &copy.network);
    let work = Work { parts: &copy.parts, signing: None, jobs, registries, network };
    work.run(cli, &copy.source, std::slice::from_ref(&copy.target))
}

/// How images are sent.
pub(super) struct Work<'a> {
    pub(super) parts: &'a Parts,
    pub(super) signing: Option<&'a Signing>,
    pub(super) jobs: u16,
    pub(super) registries: &'a Registries,
    pub(super) network: &'a Network,
}

/// One place that is written to, and the tags that the image gets there.
struct Place {
    location: Location,
    tags: Vec<String>,
}

impl Work<'_> {
    fn run(&self, cli: &Cli, source: &Location, targets: &[Location]) -> Result<ExitCode, Box<dyn Error>> {
        let interrupt = Interrupt::new()?;
        signals::watch(&interrupt)?;
        let shown = Arc::new(Shown::new(cli.progress, cli.verbose));
        let sent = self.send(source, targets, &interrupt, &shown);
        shown.finish();
        print(&sent?, cli.json)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Sends the image at `source` to all `targets`, and signs it there.
    pub(super) fn send(
        &self,
        source: &Location,
        targets: &[Location],
        interrupt: &Interrupt,
        shown: &Arc<Shown>,
    ) -> Result<Vec<Sent>, Box<dyn Error>> {
        let signer =
            self.signing.and_then(|signing| signing.sign.as_deref()).map(Signer::find).transpose()?;
        let cancel = Cancel::from_flag(Arc::clone(interrupt.flag()));
        let places = places(source, targets)?;
        let events = Arc::new(Transfer::new(Arc::clone(shown)));
        let locations: Vec<&Location> = targets.iter().chain([source]).collect();
        let options =
            registries::options(self.registries, self.network, &locations, Arc::clone(&events) as _, cancel)?;
        let done = self.copy_all(source, &places, &options, &events)?;
        let sent: Vec<Sent> =
            places.into_iter().zip(done).map(|(place, copied)| Sent { place, copied }).collect();
        if let Some(signer) = signer {
            sent.iter().try_for_each(|sent| signer.sign(sent))?;
        }
        Ok(sent)
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

/// What was written where.
pub(super) struct Sent {
    place: Place,
    copied: Copied,
}

/// Signs what is in registries.
struct Signer<'a> {
    program: PathBuf,
    key: Option<&'a str>,
}

impl<'a> Signer<'a> {
    /// Finds the program before anything is sent. An empty `key` is none.
    fn find(key: &'a str) -> Result<Self, Box<dyn Error>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = signing::find(&path)
            .ok_or("there is no `cosign` in PATH, which signs: install it, or leave out `--sign`")?;
        Ok(Self { program, key: Some(key).filter(|key| !key.is_empty()) })
    }

    fn sign(&self, sent: &Sent) -> Result<(), Box<dyn Error>> {
        let Location::Registry(reference) = &sent.place.location else { return Ok(()) };
        Ok(signing::sign(&self.program, &reference.with_digest(sent.copied.root.digest), self.key)?)
    }
}

pub(super) fn print(sent: &[Sent], json: bool) -> Result<(), serde_json::Error> {
    if json {
        let list: Vec<_> = sent.iter().map(in_json).collect();
        printer::result(&serde_json::to_string_pretty(&list)?);
        return Ok(());
    }
    for Sent { place, copied } in sent {
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

fn in_json(Sent { place, copied }: &Sent) -> serde_json::Value {
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
}
