//! Layers: Python and Node.js dependencies and files, on a root filesystem, for `ovmlayer`.
//!
//! Nothing of a layer is run to make it. The field's tools resolve and fetch, in a root of the machine's own architecture that
//! is only made when they are needed; what they fetched is installed by the `deps` room into an empty folder, and that folder
//! is the layer. So foreign architectures take no longer than the machine's own, and a locked build needs the cache alone.

mod fetch;
mod inputs;
mod install;
mod lock;
mod parent;
mod pnpm;
mod record;
mod requirements;
mod resolve;
mod settings;
mod tools;

use std::cell::RefCell;
use std::sync::Arc;

use cache::Scratch;
use deps::python::Target;
use layers::LayerName;
use layers::archive::{self, Source};
use rootfs::Scripts;
use sandbox::IdMap;
use tree::codec::{Encoder, Format};
use tree::layer::Marks;
use tree::{Links, Metadata, Root};

use crate::build::{Artifact, Forward, Options, Pin, Session};
use crate::events::Phase;
use crate::find::Found;
use crate::output::{self, Pending};
use crate::place::Place;
use crate::plan::architectures;
use crate::space::explain;
use crate::steps::{Slim, Stage};
use crate::{Error, epoch, find};
use inputs::Inputs;
pub use lock::{LayerLock, Npm, Parent, Program, Wheel};
use tools::Tools;

/// The time of everything in a layer, unless `SOURCE_DATE_EPOCH` says another: the one that npm gives to files in archives, in
/// seconds. Earlier than 1980 would be no time for a zip archive, and what is installed is put into some.
const TIME: i64 = 499_162_500;

/// How many bytes of a layer come of one byte of its archives.
const GROWTH: u64 = 6;

/// Builds the layers of `found`.
pub(crate) fn build(
    session: &Session,
    found: &Found,
    options: &Options,
    ids: &IdMap,
) -> Result<Vec<Artifact>, Error> {
    let in_out = explain(&options.out, "`--out`");
    let inputs = Inputs::read(found)?;
    let architectures = architectures(found, &options.origin)?;
    let mut lock = lock_for(session, found, options, &inputs, &architectures, ids)?;
    let work = Work { session, found, options, ids, inputs: &inputs, lock: &lock };
    let mut pending = Vec::new();
    let mut programs = Vec::new();
    for architecture in &architectures {
        let (layer, others) = work.build(architecture)?;
        pending.push(layer);
        programs.extend(others);
    }
    programs.sort();
    programs.dedup();
    lock.programs = programs;
    let versions = record::versions(&lock, &architectures);
    pending.push(output::write_text(&options.out.join(record::FILE), &versions).map_err(&in_out)?);
    let path = options.out.join(format!("{}.lock", found.name));
    pending.push(output::write_text(&path, &lock.to_text()?).map_err(in_out)?);
    session.publish(pending, || match options.pin {
        Pin::Update => session.write_layer_lock(&lock, &found.lock_path()).map(drop),
        Pin::IfThere | Pin::Locked => Ok(()),
    })
}

/// Resolves `found` to a lock; its archives are in the cache then.
pub(crate) fn lock(
    session: &Session,
    found: &Found,
    options: &Options,
    ids: &IdMap,
) -> Result<LayerLock, Error> {
    let options = Options { pin: Pin::Update, ..options.clone() };
    let inputs = Inputs::read(found)?;
    lock_for(session, found, &options, &inputs, &architectures(found, &options.origin)?, ids)
}

/// The lock to build from, with everything it names in the cache: the one beside the recipe, or a new one.
fn lock_for(
    session: &Session,
    found: &Found,
    options: &Options,
    inputs: &Inputs<'_>,
    architectures: &[String],
    ids: &IdMap,
) -> Result<LayerLock, Error> {
    let path = found.lock_path();
    let beside = if options.pin == Pin::Update { None } else { LayerLock::load(&path)? };
    let stale = |what: String| Error::StaleLock { path: path.clone(), recipe: found.called(), what };
    let Some(mut lock) = beside else {
        if options.pin == Pin::Locked {
            return Err(Error::NoLock { path, recipe: found.called() });
        }
        session.phase(None, Phase::Resolve);
        let parents = parent::parents(session, found, options, architectures)?;
        if inputs.python.is_empty() && inputs.node.is_empty() {
            return Ok(LayerLock::empty(&found.name, inputs.request(&parents), parents));
        }
        return with_tools(session, options, ids, |tools| {
            resolve::resolve(&found.name, inputs, parents, tools)
        });
    };
    if lock.request != inputs.request(&lock.parents) {
        return Err(stale("its Python or Node.js packages are other ones".to_owned()));
    }
    if let Some(parent) = lock.parents.iter().find(|parent| !parent.is_meant(options)) {
        return Err(stale(format!("it is for {}", parent.distro.as_deref().unwrap_or(&parent.name))));
    }
    if let Some(missing) = architectures.iter().find(|name| lock.parent(name).is_none()) {
        return Err(stale(format!("it has nothing for {missing}")));
    }
    if !fetch::is_complete(&lock, session)? {
        session.phase(None, Phase::Fetch);
        let options = options_of_tools(options, &lock.parents)?;
        with_tools(session, &options, ids, |tools| {
            fetch::wheels(&lock, tools)?;
            fetch::npm(&mut lock, inputs, tools)
        })?;
    }
    Ok(lock)
}

/// The tools come from the distribution that the layer is for, unless the command line says another.
fn options_of_tools(options: &Options, parents: &[Parent]) -> Result<Options, Error> {
    let mut options = options.clone();
    let words = parents.iter().find_map(|parent| parent.distro.as_deref());
    if options.origin.distro.is_none()
        && let Some((distro, _)) = words.and_then(|words| words.split_once(' '))
    {
        options.origin.distro = Some(distro.parse().map_err(|message| Error::Layer { message })?);
    }
    Ok(options)
}

/// Makes a root of the machine's own architecture with pip and npm, for as long as `work` takes.
fn with_tools<T>(
    session: &Session,
    options: &Options,
    ids: &IdMap,
    work: impl FnOnce(&Tools<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let foundation = find(parent::FOUNDATION)?;
    let folder = options.build_dir.clone().unwrap_or_else(|| session.cache.root().join("build"));
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let exchange = Scratch::new(&folder, "exchange")?;
    let done = session.with_native_root(&foundation, options, ids, |root| {
        work(&Tools::new(session, root, exchange.path(), options.origin.offline))
    })?;
    exchange.close()?;
    Ok(done)
}

/// What Python packages of a layer run on.
fn target_of(parent: &Parent) -> Result<Target, Error> {
    let numbers = |text: &Option<String>| {
        let (major, minor) = text.as_deref()?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let missing = |what| Error::NoInterpreter { parent: parent.name.clone(), what };
    Ok(Target {
        architecture: parent.architecture.clone(),
        python: numbers(&parent.python).ok_or_else(|| missing("Python"))?,
        glibc: numbers(&parent.glibc).ok_or_else(|| missing("glibc"))?,
    })
}

/// What the layers of all architectures share.
struct Work<'a> {
    session: &'a Session,
    found: &'a Found,
    options: &'a Options,
    ids: &'a IdMap,
    inputs: &'a Inputs<'a>,
    lock: &'a LayerLock,
}

impl Work<'_> {
    /// Builds one layer. The answer has the programs for other machines that are in it.
    fn build(&self, architecture: &str) -> Result<(Pending, Vec<Program>), Error> {
        let (session, found) = (self.session, self.found);
        let parent = self.lock.parent(architecture).ok_or_else(|| Error::UnknownArchitecture {
            name: architecture.to_owned(),
            known: "those in the lock".to_owned(),
        })?;
        let build_dir = self.options.build_dir.as_deref();
        let place = Place::new(session.cache.root(), build_dir, architecture, self.room()?, self.ids)?;
        let folder = place.root().to_owned();
        let in_build = explain(&folder, "`--build-dir`");
        let epoch = epoch::of_environment()?.unwrap_or(TIME);
        session.phase(Some(architecture), Phase::Unpack);
        let root = Root::open(&folder, Links::Refuse)?;
        root.set_metadata(&tree::EntryPath::ROOT, &Metadata::new(0o755, epoch))?;
        let programs = install::install(self.lock, parent, self.inputs, &session.cache, &root, epoch)
            .map_err(&in_build)?;
        session.phase(Some(architecture), Phase::Steps);
        self.steps(&root, &folder, architecture, epoch).map_err(&in_build)?;
        record::put(&found.name, parent, &root, epoch)?;
        settle(&root, epoch)?;
        session.phase(Some(architecture), Phase::Write);
        let name = found.recipe.output.replace("{arch}", architecture);
        let pending = self.write(root, &name).map_err(explain(&self.options.out, "`--out`"))?;
        place.close()?;
        Ok((pending, programs))
    }

    /// About how many bytes a layer takes.
    fn room(&self) -> Result<u64, Error> {
        let npm = self.lock.npm.iter().filter_map(|npm| npm.sha256.as_ref());
        let mut bytes = 0;
        for sha256 in self.lock.wheels.iter().map(|wheel| &wheel.sha256).chain(npm) {
            let file = self.session.cache.file(sha256)?;
            let size = file.map(|file| file.metadata().map(|metadata| metadata.len()));
            bytes += size.and_then(Result::ok).unwrap_or(0);
        }
        Ok(bytes.saturating_mul(GROWTH))
    }

    /// Puts files there, and takes away what is to be left out.
    fn steps(
        &self,
        root: &Root,
        folder: &std::path::Path,
        architecture: &str,
        epoch: i64,
    ) -> Result<(), Error> {
        let (found, interrupt) = (self.found, &self.session.interrupt);
        let progress = Arc::new(Forward::new(self.session, architecture));
        let scripts = Scripts::new(folder, epoch, interrupt.clone(), progress);
        let stage = Stage {
            recipe: &found.name,
            folder: &found.folder(),
            root,
            scripts: &scripts,
            epoch,
            interrupted: interrupt.flag(),
            put: RefCell::default(),
        };
        stage.carry_out(&found.recipe.steps, |_| Ok(()))?;
        let slim = Slim::new(&found.name, &found.recipe.steps)?;
        let mut left_out = Vec::new();
        let mut scan = root.scan();
        while let Some(entry) = scan.next() {
            let path = entry?.path;
            if slim.leaves_out(&path) {
                scan.leave_out();
                left_out.push(path);
            }
        }
        drop(scan);
        for path in left_out {
            root.remove_all(&path)?;
        }
        Ok(())
    }

    fn write(&self, root: Root, name: &str) -> Result<Pending, Error> {
        let settings = self.found.recipe.layer.as_ref();
        let layer = settings.and_then(|layer| layer.name.clone()).unwrap_or_else(|| self.found.name.clone());
        let layer = LayerName::new(layer).map_err(|error| Error::Layer { message: error.to_string() })?;
        let format = Format::from_file_name(name);
        output::write_file(&self.options.out.join(name), self.session.interrupt.flag(), |sink| {
            let sources = [Source { name: &layer, root, marks: Marks::User }];
            let failed = |message: String| Error::Layer { message };
            let encoder =
                Encoder::new(format, sink, self.options.jobs()).map_err(|error| failed(error.to_string()))?;
            let (encoder, _) =
                archive::write(&sources, encoder).map_err(|problem| failed(crate::files::chain(problem)))?;
            encoder.finish().map_err(|error| failed(error.to_string()))?;
            Ok(())
        })
    }
}

/// Gives every folder the one time; what is put into them changes it.
fn settle(root: &Root, epoch: i64) -> Result<(), Error> {
    let mut folders = vec![tree::EntryPath::ROOT];
    for entry in root.scan() {
        let entry = entry?;
        if entry.kind == tree::Kind::Directory {
            folders.push(entry.path);
        }
    }
    for folder in folders.iter().rev() {
        root.set_mtime(folder, epoch)?;
    }
    Ok(())
}
