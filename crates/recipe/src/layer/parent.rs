//! What a layer is put on: which Python and Node.js are there, and what exactly it is.

use std::path::Path;

use cache::{Digest, Hasher, Scratch};
use layers::{Interpreters, installed};
use tree::{EntryPath, Links, Root};

use super::lock::Parent;
use crate::build::{Options, Session};
use crate::distro::machine_architecture;
use crate::events::Event;
use crate::find::Found;
use crate::format::Step;
use crate::image_base::ImageBase;
use crate::lock::{Lock, Package};
use crate::plan::Plan;
use crate::resolve::Resolver;
use crate::{Error, find};

/// The recipe that stands in for an image that cannot be reached, and whose programs resolve and fetch dependencies.
pub(super) const FOUNDATION: &str = "server-foundation";

/// The size in bytes above which dpkg's database is not read.
const MAX_STATUS: u64 = 64 << 20;

/// What a layer is put on, for each architecture.
#[derive(Debug, Default)]
pub(super) struct Below {
    pub(super) parents: Vec<Parent>,
    /// The packages of the parents' roots; none where no root is needed, or it is that of an image.
    pub(super) packages: Vec<Package>,
    /// Those that the layer adds.
    pub(super) added: Vec<Package>,
    /// Those that run programs of foreign architectures.
    pub(super) tools: Vec<Package>,
}

/// Who asks for parents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) session: &'a Session,
    pub(super) found: &'a Found,
    /// With the architectures that are asked for.
    pub(super) options: &'a Options,
    /// Whether programs will run in the parents' roots.
    pub(super) runs_programs: bool,
}

impl Asked<'_> {
    /// What the layer is put on.
    pub(super) fn below(&self) -> Result<Below, Error> {
        let Asked { session, found, options, .. } = *self;
        let below = found.parent.as_deref().unwrap_or(found);
        if below.recipe.from.is_none() {
            return self.of_packages(below);
        }
        let is_default = found.recipe.layer.as_ref().is_none_or(|layer| layer.parent.is_none());
        let stands_in = is_default && found.recipe.from.is_none() && options.from.is_none();
        if stands_in && options.origin.distro.is_some() {
            return self.stand_in(&below.name, "`--distro` asks for packages");
        }
        match self.of_image(below) {
            Err(Error::Image(error))
                if stands_in && !session.interrupt.is_set() && is_unreachable(&error) =>
            {
                self.stand_in(&below.name, &crate::files::chain(error))
            }
            other => other,
        }
    }

    fn stand_in(&self, name: &str, why: &str) -> Result<Below, Error> {
        let message = format!("the layer is put on `{FOUNDATION}` in place of `{name}`: {why}");
        self.session.events.event(Event::Warning { message });
        self.of_packages(&find(FOUNDATION)?)
    }

    /// Of a recipe that is made of packages, nothing has to be built to know them.
    fn of_packages(&self, below: &Found) -> Result<Below, Error> {
        let origin = &self.options.origin;
        let plan = Plan::new(below, origin)?;
        let lock = Resolver::new(self.session, &plan, origin)?.lock()?;
        let parent = |architecture: &String| {
            let packages = lock.root(architecture);
            let mut hasher = Hasher::new();
            hasher.update(lock.request.to_string().as_bytes());
            packages.iter().for_each(|package| hasher.update(package.sha256.to_string().as_bytes()));
            let versions = packages.iter().map(|package| (package.name.as_str(), package.version.as_str()));
            let mut parent = describe(architecture, &below.name, hasher.finish(), versions);
            parent.distro = Some(format!("{} {}", plan.distro, plan.suite));
            parent
        };
        let parents = plan.architectures.iter().map(parent).collect();
        if !self.runs_programs {
            return Ok(Below { parents, ..Below::default() });
        }
        let added = self.added(below, &lock)?;
        let Lock { mut packages, tools, .. } = lock;
        packages.sort_by(|a, b| (&a.root, a.order).cmp(&(&b.root, b.order)));
        Ok(Below { parents, packages, added, tools })
    }

    /// The packages that the layer adds to those of its parent, which have to stay what they are.
    fn added(&self, below: &Found, lock: &Lock) -> Result<Vec<Package>, Error> {
        if !self.found.recipe.steps.iter().any(|step| matches!(step, Step::Packages(_))) {
            return Ok(Vec::new());
        }
        let both = with_packages(below, self.found)?;
        let plan = Plan::new(&both, &self.options.origin)?;
        let mut whole = Resolver::new(self.session, &plan, &self.options.origin)?.lock()?.packages;
        for package in &lock.packages {
            let is_this = |other: &Package| (&other.root, &other.name) == (&package.root, &package.name);
            let found = whole.iter().position(is_this).map(|place| whole.swap_remove(place));
            if found.is_none_or(|found| found.sha256 != package.sha256) {
                let (package, version) = (package.name.clone(), package.version.clone());
                return Err(Error::ParentPackage { package, version, parent: below.name.clone() });
            }
        }
        whole.sort_by(|a, b| (&a.root, a.order).cmp(&(&b.root, b.order)));
        Ok(whole)
    }

    fn of_image(&self, below: &Found) -> Result<Below, Error> {
        let Asked { session, found, options, .. } = *self;
        let name = options.from.clone().or_else(|| below.recipe.from.clone()).unwrap_or_default();
        if found.recipe.steps.iter().any(|step| matches!(step, Step::Packages(_))) {
            return Err(Error::PackagesOnImage { parent: name });
        }
        let Some(base) = ImageBase::of(session, below, options)? else { return Ok(Below::default()) };
        let mut parents = Vec::new();
        base.each(|architecture, _, image, mut flattened| {
            let folder = Scratch::new(&session.cache.root().join("build"), architecture)?;
            let root = Root::open(folder.path(), Links::Refuse)?;
            flattened.unpack(&root, session.interrupt.flag())?;
            let status = EntryPath::parse(b"var/lib/dpkg/status").map_err(tree::Error::from)?;
            let status = root.read(&status, MAX_STATUS)?.unwrap_or_default();
            let status = String::from_utf8_lossy(&status).into_owned();
            parents.push(describe(architecture, &name, image.descriptor.digest, installed(&status)));
            drop(root);
            Ok(folder.close()?)
        })?;
        let tools = if self.runs_programs { self.tools(&parents)? } else { Vec::new() };
        Ok(Below { parents, tools, ..Below::default() })
    }

    /// The packages that run programs of foreign architectures on this machine.
    fn tools(&self, parents: &[Parent]) -> Result<Vec<Package>, Error> {
        if parents.iter().all(|parent| parent.architecture == machine_architecture()) {
            return Ok(Vec::new());
        }
        let plan = Plan::new(self.found, &self.options.origin)?;
        Resolver::new(self.session, &plan, &self.options.origin)?.tools()
    }
}

/// The recipe `below` with the packages and archives of `found` as well.
pub(super) fn with_packages(below: &Found, found: &Found) -> Result<Found, Error> {
    let mut recipe = found.recipe.clone();
    // The folder of a recipe beside us has no name.
    let folder = Path::new(".").join(found.folder());
    recipe.start_from(&std::path::absolute(&folder).map_err(Error::io("find", &folder))?);
    let mut both = below.clone();
    let packages = recipe.steps.into_iter().filter(|step| matches!(step, Step::Packages(_)));
    both.recipe.steps.extend(packages);
    both.recipe.distros.extend(recipe.distros);
    Ok(both)
}

impl Parent {
    /// Whether it is what the command line asks for.
    pub(super) fn is_meant(&self, options: &Options) -> bool {
        let words = self.distro.as_deref().and_then(|words| words.split_once(' '));
        let fits = |wanted: Option<String>, word: fn((&str, &str)) -> String| {
            wanted.is_none_or(|wanted| words.map(word) == Some(wanted))
        };
        let is_image = options.from.as_ref().is_none_or(|from| *from == self.name);
        is_image
            && fits(options.origin.distro.map(|distro| distro.to_string()), |(distro, _)| distro.to_owned())
            && fits(options.origin.suite.clone(), |(_, suite)| suite.to_owned())
    }
}

/// Whether the image may well be all right, and only cannot be had from here.
fn is_unreachable(error: &image::Error) -> bool {
    matches!(
        error,
        image::Error::NoRegistry { .. } | image::Error::NotKept { .. } | image::Error::Registry(_)
    )
}

fn describe<'p>(
    architecture: &str,
    name: &str,
    digest: Digest,
    packages: impl Iterator<Item = (&'p str, &'p str)>,
) -> Parent {
    let Interpreters { python, glibc, node, node_abi } = Interpreters::of_packages(packages);
    Parent {
        architecture: architecture.to_owned(),
        name: name.to_owned(),
        distro: None,
        digest,
        python,
        glibc,
        node,
        node_abi,
    }
}
