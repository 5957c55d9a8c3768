//! Builds a recipe: lock, downloads, root, artifact.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache::{Cache, Digest};
use image::Remote;
pub use rootfs::Interrupt;
use rootfs::Normalise;
use sandbox::IdMap;
use serde::Serialize;
use tree::{EntryPath, Links, Root};

use crate::about::{Documents, Made};
use crate::concerns::{Concerns, PACKAGES};
use crate::distro::machine_architecture;
use crate::events::{Event, Events, Phase};
use crate::find::Found;
use crate::foreign::Emulation;
use crate::format::Kind;
use crate::image::ImageOutput;
use crate::image_base::ImageBase;
use crate::image_lock::ImageLock;
use crate::kept_root::{Kept, KeptRoot};
use crate::layer::LayerLock;
use crate::lock::{Lock, Package};
use crate::output::{self, Pending, Shape};
use crate::place::Place;
use crate::plan::{Origin, Plan};
use crate::resolve::Resolver;
use crate::shipment::Shipment;
use crate::space::explain;
use crate::steps::{Slim, Stage};
use crate::{Error, apt, epoch, layer, on_image};

/// How many bytes of a root come of one byte of its packages: about 4 for real roots, with room for what scripts make.
const GROWTH: u64 = 8;

/// What a lock beside the recipe means for a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pin {
    /// Use it when it is there.
    #[default]
    IfThere,
    /// It must be there.
    Locked,
    /// Ignore it, and write a new one.
    Update,
}

/// How a recipe is built.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where packages come from.
    pub origin: Origin,
    /// The image to take in place of the one that the recipe names.
    pub from: Option<String>,
    /// The folder that artifacts are written to.
    pub out: PathBuf,
    /// Where roots are built; in memory when they fit, else in `build` in the cache, when none.
    pub build_dir: Option<PathBuf>,
    /// What a lock beside the recipe means.
    pub pin: Pin,
    /// How many packages are unpacked at the same time; the number of processors when none.
    pub jobs: Option<usize>,
    /// What images are called; `latest` when nothing is said.
    pub tags: Vec<String>,
    /// What is put beside images and layers.
    pub documents: Documents,
    /// Where components of images come from, in place of what recipes say; paths start from the current folder.
    pub components: BTreeMap<String, String>,
    /// Whether layers become an image as well.
    pub oci: bool,
}

impl Options {
    /// How many threads work at the same time.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

/// A file or folder that a build made.
#[derive(Debug, Clone, Serialize)]
pub struct Artifact {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes; of an image layout that of all files in it; none for another folder.
    pub size: Option<u64>,
    /// Its SHA-256; of an image layout that of the image's index, by which registries know it; none for another folder.
    pub sha256: Option<Digest>,
}

/// What becomes of the roots that are built.
enum Artifacts<'a> {
    /// A file or folder for each.
    Roots(Vec<Pending>),
    /// One image of all of them.
    Image(Box<ImageOutput<'a>>),
}

impl<'a> Artifacts<'a> {
    fn begin(found: &'a Found, options: &'a Options) -> Result<Self, Error> {
        Ok(match found.recipe.kind {
            Kind::Rootfs | Kind::Layer => Self::Roots(Vec::new()),
            Kind::Image => Self::Image(Box::new(ImageOutput::begin(found, options)?)),
        })
    }

    fn finish(self, lock: &Lock, interrupted: &AtomicBool) -> Result<Vec<Pending>, Error> {
        match self {
            Self::Roots(pending) => Ok(pending),
            Self::Image(image) => image.finish(Made::of_packages(lock)?, interrupted),
        }
    }
}

/// What builds of one program run share.
pub struct Session {
    pub(crate) cache: Cache,
    pub(crate) interrupt: Interrupt,
    pub(crate) events: Arc<dyn Events>,
    /// Opens images in registries.
    pub(crate) remote: Option<Arc<Remote<'static>>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("cache", &self.cache.root()).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens the cache at `cache_dir`, or the user's own.
    ///
    /// # Errors
    /// [`Error::Cache`] when it cannot be used.
    pub fn open(
        cache_dir: Option<&Path>,
        interrupt: Interrupt,
        events: Arc<dyn Events>,
    ) -> Result<Self, Error> {
        let cache = match cache_dir {
            Some(path) => Cache::open(path)?,
            None => Cache::open(&Cache::default_path()?)?,
        };
        Ok(Self { cache, interrupt, events, remote: None })
    }

    /// The same with a way to registries, for recipes that are made from images there.
    #[must_use]
    pub fn with_remote(self, remote: Arc<Remote<'static>>) -> Self {
        Self { remote: Some(remote), ..self }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Resolves `found`, which is made from an image, to a lock.
    ///
    /// # Errors
    /// [`Error::NotFromImage`]; when the image cannot be read.
    pub fn lock_image(&self, found: &Found, origin: &Origin) -> Result<ImageLock, Error> {
        let options = Options { origin: origin.clone(), pin: Pin::Update, ..Options::default() };
        self.interruptible(|| match ImageBase::of(self, found, &options)? {
            Some(base) => base.lock(),
            None => Err(Error::NotFromImage { recipe: found.name.clone() }),
        })
    }

    /// Resolves `found` to a lock.
    ///
    /// # Errors
    /// When the archives cannot be read, or no set of packages fits.
    pub fn lock(&self, found: &Found, origin: &Origin) -> Result<Lock, Error> {
        self.interruptible(|| Resolver::new(self, &Plan::new(found, origin)?, origin)?.lock())
    }

    /// Writes a lock to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_lock(&self, lock: &Lock, path: &Path) -> Result<PathBuf, Error> {
        Self::write_lock_text(&lock.to_text()?, path)
    }

    /// The same for the lock of a recipe that is made from an image.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_image_lock(&self, lock: &ImageLock, path: &Path) -> Result<PathBuf, Error> {
        Self::write_lock_text(&lock.to_text()?, path)
    }

    /// Resolves `found`, which is a layer, to a lock. `ids` is proof that the program has entered its user namespace.
    ///
    /// # Errors
    /// When its packages cannot be had, or do not fit.
    pub fn lock_layer(&self, found: &Found, origin: &Origin, ids: &IdMap) -> Result<LayerLock, Error> {
        let options = Options { origin: origin.clone(), ..Options::default() };
        self.interruptible(|| layer::lock(self, found, &options, ids))
    }

    /// As [`Session::write_lock`] for the lock of a layer.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_layer_lock(&self, lock: &LayerLock, path: &Path) -> Result<PathBuf, Error> {
        Self::write_lock_text(&lock.to_text()?, path)
    }

    fn write_lock_text(text: &str, path: &Path) -> Result<PathBuf, Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        output::write_text(path, text)?.publish()
    }

    /// Builds `found`: its artifacts and the lock that says what is in them. `ids` is proof that the program has entered
    /// its user namespace.
    ///
    /// # Errors
    /// Whatever stands in the way; nothing is then under a final name.
    pub fn build(&self, found: &Found, options: &Options, ids: &IdMap) -> Result<Vec<Artifact>, Error> {
        self.interruptible(|| self.build_all(found, options, ids))
    }

    /// What fails because of an interruption says so, and nothing else.
    fn interruptible<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        work().map_err(|error| if self.interrupt.is_set() { Error::Interrupted } else { error })
    }

    fn build_all(&self, found: &Found, options: &Options, ids: &IdMap) -> Result<Vec<Artifact>, Error> {
        let in_out = explain(&options.out, "`--out`");
        let has_place = match found.recipe.kind {
            Kind::Image => true,
            // Bills of materials are files beside it; a statement takes an image.
            Kind::Layer => options.oci || !options.documents.provenance,
            Kind::Rootfs => options.documents.is_empty(),
        };
        if !has_place {
            return Err(Error::NoPlaceForDocuments { recipe: found.called() });
        }
        std::fs::create_dir_all(&options.out).map_err(Error::io("create", &options.out))?;
        if found.recipe.kind == Kind::Layer {
            return layer::build(self, found, options, ids);
        }
        if options.from.is_none() && found.recipe.is_from_nothing() {
            return on_image::build_from_nothing(self, found, options, ids);
        }
        if let Some(base) = ImageBase::of(self, found, options)? {
            return match found.recipe.kind {
                Kind::Rootfs | Kind::Layer => base.build(),
                Kind::Image => on_image::build(&base, ids),
            };
        }
        let plan = Plan::new(found, &options.origin)?;
        let resolver = Resolver::new(self, &plan, &options.origin)?;
        let lock = self.lock_for(found, &plan, &resolver, options)?;
        let tools = tools(&plan, &lock, ids)?;
        self.phase(None, Phase::Fetch);
        let roots = plan.architectures.iter().flat_map(|architecture| lock.root(architecture));
        resolver.download(&roots.chain(tools.iter().copied()).collect::<Vec<_>>())?;
        drop(resolver);
        let shipment = match found.recipe.kind {
            Kind::Image => Some(Shipment::prepare(self, found, options, &plan.architectures, ids)?),
            Kind::Rootfs | Kind::Layer => None,
        };
        let shipment = shipment.as_ref();
        let mut artifacts = Artifacts::begin(found, options).map_err(&in_out)?;
        for architecture in &plan.architectures {
            let work = Work { session: self, found, plan: &plan, options, ids, architecture, shipment };
            work.build(&lock.root(architecture), &tools, &mut artifacts)?;
        }
        let mut pending = artifacts.finish(&lock, self.interrupt.flag()).map_err(&in_out)?;
        let path = options.out.join(format!("{}.lock", found.name));
        pending.push(output::write_text(&path, &lock.to_text()?).map_err(in_out)?);
        self.publish(pending, || match options.pin {
            Pin::Update => self.refresh(&lock, &found.lock_path()),
            Pin::IfThere | Pin::Locked => Ok(()),
        })
    }

    /// Gives artifacts their final names, does `then`, and tells of them.
    pub(crate) fn publish(
        &self,
        pending: Vec<Pending>,
        then: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Vec<Artifact>, Error> {
        if self.interrupt.is_set() {
            return Err(Error::Interrupted);
        }
        let artifacts = pending.into_iter().map(publish).collect::<Result<Vec<_>, _>>()?;
        then()?;
        for artifact in &artifacts {
            let Artifact { path, size, sha256 } = artifact.clone();
            self.events.event(Event::Artifact { path, size, sha256 });
        }
        Ok(artifacts)
    }

    /// The lock to build from: the one beside the recipe, or a new one.
    fn lock_for(
        &self,
        found: &Found,
        plan: &Plan,
        resolver: &Resolver<'_>,
        options: &Options,
    ) -> Result<Lock, Error> {
        let path = found.lock_path();
        let beside = match options.pin {
            Pin::Update => None,
            Pin::IfThere | Pin::Locked => Lock::load(&path)?,
        };
        if let Some(lock) = beside {
            let stale = |what: &str| Error::StaleLock {
                path: path.clone(),
                recipe: found.called(),
                what: what.to_owned(),
            };
            if lock.request != plan.request() {
                return Err(stale("its packages, suite or archives are other ones"));
            }
            if let Some(missing) = plan.architectures.iter().find(|name| !lock.architectures.contains(name)) {
                return Err(stale(&format!("it has nothing for {missing}")));
            }
            return Ok(lock);
        }
        if options.pin == Pin::Locked {
            return Err(Error::NoLock { path, recipe: found.called() });
        }
        self.phase(None, Phase::Resolve);
        resolver.lock()
    }

    /// Puts `lock` to `path` and tells what is new in it.
    fn refresh(&self, lock: &Lock, path: &Path) -> Result<(), Error> {
        // One that cannot be read is what a refresh is good for.
        if let Ok(Some(before)) = Lock::load(path) {
            for change in before.changes(lock) {
                self.events.event(Event::LockChanged { change });
            }
        }
        self.write_lock(lock, path).map(drop)
    }

    /// Makes the root of `found`, which is made of packages, for this machine; it is gone when `work` is done with it.
    pub(crate) fn with_native_root<T>(
        &self,
        found: &Found,
        options: &Options,
        ids: &IdMap,
        work: impl FnOnce(&Path) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let machine = machine_architecture();
        let origin = Origin { architectures: vec![machine.to_owned()], ..options.origin.clone() };
        let plan = Plan::new(found, &origin)?;
        let resolver = Resolver::new(self, &plan, &origin)?;
        let lock = resolver.lock()?;
        let kept_root = KeptRoot::of(&self.cache, found, &lock.request, &lock.root(machine))?;
        if let Some(kept) = kept_root.open()? {
            let build_dir = options.build_dir.as_deref();
            let place = Place::new(self.cache.root(), build_dir, machine, kept.room(), ids)?;
            kept.unpack(&Root::open(place.root(), Links::Refuse)?, options.jobs())?;
            let done = work(place.root())?;
            place.close()?;
            return Ok(done);
        }
        resolver.download(&lock.root(machine))?;
        drop(resolver);
        let build =
            Work { session: self, found, plan: &plan, options, ids, architecture: machine, shipment: None };
        build.with_root(&lock.root(machine), &[], |folder, root, _, _| {
            kept_root.keep(root, options.jobs())?;
            work(folder)
        })
    }

    /// The root of `architecture` that `found`, joined with the command line to `plan`, comes to with `packages`: out of the
    /// cache, into which it is put first if need be. `tools` run its programs where they are foreign.
    pub(crate) fn kept_root(
        &self,
        found: &Found,
        plan: &Plan,
        options: &Options,
        ids: &IdMap,
        packages: &[&Package],
        tools: &[&Package],
    ) -> Result<Kept, Error> {
        let kept_root = KeptRoot::of(&self.cache, found, &plan.request(), packages)?;
        if let Some(kept) = kept_root.open()? {
            return Ok(kept);
        }
        let resolver = Resolver::new(self, plan, &options.origin)?;
        resolver.download(&packages.iter().chain(tools).copied().collect::<Vec<_>>())?;
        drop(resolver);
        let architecture = packages.first().map_or(machine_architecture(), |package| &package.root);
        let build = Work { session: self, found, plan, options, ids, architecture, shipment: None };
        build.with_root(packages, tools, |_, root, _, _| kept_root.keep(root, options.jobs()))?;
        kept_root.open()?.ok_or_else(|| Error::NotFetched { what: format!("the root of `{}`", found.name) })
    }

    pub(crate) fn phase(&self, architecture: Option<&str>, phase: Phase) {
        self.events.event(Event::Phase { architecture: architecture.map(str::to_owned), phase });
    }
}

/// The packages that are needed to run programs of foreign architectures.
fn tools<'l>(plan: &Plan, lock: &'l Lock, ids: &IdMap) -> Result<Vec<&'l Package>, Error> {
    let machine = machine_architecture();
    let mut tools = Vec::new();
    for architecture in plan.architectures.iter().filter(|architecture| *architecture != machine) {
        if Emulation::needs_package(architecture, ids)? {
            tools.extend(lock.tools.iter().filter(|tool| tool.root == machine));
        }
    }
    tools.dedup();
    Ok(tools)
}

fn publish(pending: Pending) -> Result<Artifact, Error> {
    let sum = pending.sum;
    let path = pending.publish()?;
    Ok(Artifact { path, size: sum.map(|(size, _)| size), sha256: sum.map(|(_, digest)| digest) })
}

/// The build of one architecture.
struct Work<'a> {
    session: &'a Session,
    found: &'a Found,
    plan: &'a Plan,
    options: &'a Options,
    ids: &'a IdMap,
    architecture: &'a str,
    /// What an image carries beside its root.
    shipment: Option<&'a Shipment>,
}

impl Work<'_> {
    fn build(
        &self,
        locked: &[&Package],
        tools: &[&Package],
        artifacts: &mut Artifacts<'_>,
    ) -> Result<(), Error> {
        self.with_root(locked, tools, |_, root, epoch, concerns| {
            self.session.phase(Some(self.architecture), Phase::Write);
            self.write(root, epoch, concerns, locked, artifacts)
                .map_err(explain(&self.options.out, "`--out`"))
        })
    }

    /// Makes the root for as long as `take` looks at it: at its folder, what is in it, its time, and which kind of step each
    /// entry is from.
    fn with_root<T>(
        &self,
        locked: &[&Package],
        tools: &[&Package],
        take: impl FnOnce(&Path, &tree::Root, i64, Concerns) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.session;
        let build_dir = self.options.build_dir.as_deref();
        let needed = locked.iter().map(|package| package.size).sum::<u64>().saturating_mul(GROWTH);
        let place = Place::new(session.cache.root(), build_dir, self.architecture, needed, self.ids)?;
        let folder = place.root().to_owned();
        let in_build = explain(&folder, "`--build-dir`");
        let epoch = epoch::of(&session.cache, locked)?;
        let _emulation = Emulation::start(&session.cache, self.architecture, tools, self.ids)?;
        let packages: Vec<rootfs::Package> = locked.iter().map(|package| to_install(package)).collect();
        let progress = Arc::new(Forward::new(session, self.architecture));
        let options = rootfs::Options {
            root: place.root(),
            staging: place.staging(),
            architecture: self.architecture,
            cache: &session.cache,
            jobs: self.jobs(),
            epoch,
            interrupt: session.interrupt.clone(),
            progress,
        };
        session.phase(Some(self.architecture), Phase::Unpack);
        let build = rootfs::Build::install(options, &packages)
            .map_err(|source| self.failed(source))
            .map_err(&in_build)?;
        let concerns = self.finish(&build, locked, epoch).map_err(&in_build)?;
        let taken = take(&folder, build.root(), epoch, concerns)?;
        drop(build);
        place.close()?;
        Ok(taken)
    }

    /// Carries out the recipe's steps and takes away what differs from one build to the next. For an image it is noted which
    /// kind of step each entry is from.
    fn finish(&self, build: &rootfs::Build<'_>, locked: &[&Package], epoch: i64) -> Result<Concerns, Error> {
        let stage = Stage {
            recipe: &self.found.name,
            folder: &self.found.folder(),
            root: build.root(),
            scripts: build.scripts(),
            epoch,
            interrupted: self.session.interrupt.flag(),
            env: &[],
            put: RefCell::default(),
        };
        self.session.phase(Some(self.architecture), Phase::Steps);
        apt::write(self.plan, build.root(), epoch, self.architecture, locked)?;
        let mut concerns = Concerns::default();
        let mut note = |kind| match self.found.recipe.kind {
            Kind::Rootfs | Kind::Layer => Ok(()),
            Kind::Image => concerns.after(build.root(), kind),
        };
        note(PACKAGES)?;
        stage.carry_out(&self.found.recipe.steps, note)?;
        Normalise { root: build.root(), epoch }.run().map_err(|source| self.failed(source))?;
        Ok(concerns)
    }

    fn write(
        &self,
        root: &tree::Root,
        epoch: i64,
        mut concerns: Concerns,
        locked: &[&Package],
        artifacts: &mut Artifacts<'_>,
    ) -> Result<(), Error> {
        let slim = Slim::new(&self.found.name, &self.found.recipe.steps)?;
        let leave_out = |path: &EntryPath| slim.leaves_out(path);
        let shape = Shape {
            epoch,
            leave_out: &leave_out,
            threads: self.jobs(),
            interrupted: self.session.interrupt.flag(),
        };
        match artifacts {
            Artifacts::Image(image) => {
                let mut labels = BTreeMap::new();
                if let Some(shipment) = self.shipment {
                    shipment.put(self.architecture, root, &mut concerns, &shape)?;
                    labels = shipment.labels(self.architecture, locked);
                }
                image.add(self.architecture, root, &concerns, &shape, labels)
            }
            Artifacts::Roots(pending) => {
                let name = self.found.recipe.output.replace("{arch}", self.architecture);
                pending.push(output::write_tree(root, &self.options.out.join(name), &shape)?);
                Ok(())
            }
        }
    }

    fn jobs(&self) -> usize {
        self.options.jobs()
    }

    fn failed(&self, source: rootfs::Error) -> Error {
        Error::Rootfs { architecture: self.architecture.to_owned(), source }
    }
}

pub(crate) fn to_install(package: &Package) -> rootfs::Package {
    rootfs::Package {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        digest: package.sha256,
        size: package.size,
        essential: package.essential,
    }
}

/// Passes on what the rootfs room tells.
pub(crate) struct Forward {
    events: Arc<dyn Events>,
    architecture: String,
    /// Whether dpkg has begun to configure packages.
    configuring: AtomicBool,
}

impl Forward {
    pub(crate) fn new(session: &Session, architecture: &str) -> Self {
        let events = Arc::clone(&session.events);
        Self { events, architecture: architecture.to_owned(), configuring: AtomicBool::new(false) }
    }
}

impl rootfs::Progress for Forward {
    fn unpacked(&self, done: usize, total: usize) {
        self.events.event(Event::Unpacked { architecture: self.architecture.clone(), done, total });
    }

    fn configuring(&self, package: &str, done: usize, total: usize) {
        if !self.configuring.swap(true, Ordering::Relaxed) {
            let architecture = Some(self.architecture.clone());
            self.events.event(Event::Phase { architecture, phase: Phase::Configure });
        }
        let (architecture, package) = (self.architecture.clone(), package.to_owned());
        self.events.event(Event::Configuring { architecture, package, done, total });
    }

    fn output(&self, line: &str) {
        self.events.event(Event::Output { architecture: self.architecture.clone(), line: line.to_owned() });
    }
}
