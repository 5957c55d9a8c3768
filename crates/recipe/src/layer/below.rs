//! The root of what a layer is put on, for layers in which programs run.

use std::sync::atomic::AtomicBool;

use image::flatten::Flattened;
use tree::Root;

use super::lock::Parent;
use super::parent::with_packages;
use super::work::Work;
use crate::build::{Options, Pin};
use crate::find::Found;
use crate::foreign::Emulation;
use crate::image_base::ImageBase;
use crate::kept_root::Kept;
use crate::lock::Package;
use crate::plan::{Origin, Plan};
use crate::resolve::Resolver;
use crate::steps::Slim;
use crate::{Error, find};

/// A root that is ready to be unpacked.
pub(super) enum ParentRoot {
    /// Made of packages.
    Packages(Kept),
    /// Of an image, with what the parent's recipe leaves out of it.
    Image(Box<Flattened>, Slim),
}

impl ParentRoot {
    /// The root of `parent`, with everything in the cache that it takes to change it.
    pub(super) fn of(work: &Work<'_>, parent: &Parent) -> Result<Self, Error> {
        let below = recipe_of(work.found, parent)?;
        // What the parent is, the lock of the layer says.
        let (origin, pin) = (origin_of(&work.options.origin, parent), Pin::IfThere);
        let options = Options { origin, pin, ..work.options.clone() };
        let tools = tools(work, &options, &parent.architecture)?;
        if parent.distro.is_some() {
            return Ok(Self::Packages(packages(work, &below, &options, parent, &tools)?));
        }
        // That of a layer on an image says what is left out of the layer.
        let steps = work.found.parent.as_ref().map_or(&[][..], |below| &below.recipe.steps);
        let slim = Slim::new(&below.name, steps)?;
        Ok(Self::Image(Box::new(image(work, &below, &options, parent)?), slim))
    }

    /// About how many bytes it takes.
    pub(super) fn room(&self) -> u64 {
        match self {
            Self::Packages(kept) => kept.room(),
            Self::Image(flattened, _) => flattened.size(),
        }
    }

    /// Puts it into the empty folder `root`.
    pub(super) fn unpack(self, root: &Root, interrupted: &AtomicBool, threads: usize) -> Result<(), Error> {
        match self {
            Self::Packages(kept) => kept.unpack(root, threads),
            Self::Image(mut flattened, slim) => {
                flattened.unpack(root, interrupted)?;
                slim.take_away(root)
            }
        }
    }
}

/// The recipe of the parent, which may be the one that stands in for it.
fn recipe_of(found: &Found, parent: &Parent) -> Result<Found, Error> {
    match found.parent.as_deref() {
        None => Ok(found.clone()),
        Some(below) if parent.distro.is_none() || below.name == parent.name => Ok(below.clone()),
        Some(_) => find(&parent.name),
    }
}

/// Where the parent's packages come from: what the lock says holds where the command line says nothing.
fn origin_of(origin: &Origin, parent: &Parent) -> Origin {
    let mut origin = Origin { architectures: vec![parent.architecture.clone()], ..origin.clone() };
    if let Some((distro, suite)) = parent.distro.as_deref().and_then(|words| words.split_once(' ')) {
        origin.distro = origin.distro.or_else(|| distro.parse().ok());
        origin.suite = origin.suite.or_else(|| Some(suite.to_owned()));
    }
    origin
}

/// What runs programs of `architecture` here, fetched.
fn tools<'w>(work: &'w Work<'_>, options: &Options, architecture: &str) -> Result<Vec<&'w Package>, Error> {
    if !Emulation::needs_package(architecture, work.ids)? {
        return Ok(Vec::new());
    }
    let tools = work.tools();
    let plan = Plan::new(work.found, &options.origin)?;
    Resolver::new(work.session, &plan, &options.origin)?.download(&tools)?;
    Ok(tools)
}

fn packages(
    work: &Work<'_>,
    below: &Found,
    options: &Options,
    parent: &Parent,
    tools: &[&Package],
) -> Result<Kept, Error> {
    let of = |packages: &'_ [Package]| -> Vec<Package> {
        packages.iter().filter(|package| package.root == parent.architecture).cloned().collect()
    };
    let added = of(&work.lock.packages);
    if !added.is_empty() {
        let plan = Plan::new(&with_packages(below, work.found)?, &options.origin)?;
        let resolver = Resolver::new(work.session, &plan, &options.origin)?;
        resolver.download(&added.iter().collect::<Vec<_>>())?;
    }
    let plan = Plan::new(below, &options.origin)?;
    let locked = of(&work.lock.below);
    work.session.kept_root(below, &plan, options, work.ids, &locked.iter().collect::<Vec<_>>(), tools)
}

fn image(work: &Work<'_>, below: &Found, options: &Options, parent: &Parent) -> Result<Flattened, Error> {
    let missing = || Error::NotFromImage { recipe: below.called() };
    let base = ImageBase::of(work.session, below, options)?.ok_or_else(missing)?;
    let mut root = None;
    base.each(|_, _, image, flattened| {
        let found = image.descriptor.digest;
        if found != parent.digest {
            let (path, locked) = (work.found.lock_path(), parent.digest);
            return Err(Error::OtherImage { from: parent.name.clone(), path, locked, found });
        }
        // Of a layer on an image the recipe is its own.
        let is_parent = work.found.parent.is_some();
        root = Some(if is_parent { base.finish(flattened, &image)? } else { flattened });
        Ok(())
    })?;
    root.ok_or_else(missing)
}
