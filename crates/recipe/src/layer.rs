//! Layers: Python and Node.js dependencies and files, on a root filesystem, for `ovmlayer`.
//!
//! Nothing of a layer is run to make it, unless a step asks for that. The field's tools resolve and fetch, in a root of the
//! machine's own architecture that is only made when they are needed; what they fetched is installed by the `deps` room into
//! an empty folder, and that folder is the layer. So foreign architectures take no longer than the machine's own, and a locked
//! build needs the cache alone.
//!
//! Where a step installs Debian packages or runs programs, the folder is mounted over the root of the layer's parent, which is
//! made for that: [`work`] fills the layer, [`below`] brings the root, [`merged`] mounts, [`exact`] leaves what is different.

mod below;
mod building;
mod exact;
mod fetch;
mod inputs;
mod install;
mod lock;
mod merged;
mod outputs;
mod pack;
mod parent;
mod pnpm;
mod record;
mod requirements;
mod resolve;
mod settings;
mod tools;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;

use cache::Scratch;
use deps::python::Target;
use sandbox::IdMap;

use crate::about::{Documents, Made};
use crate::build::{Artifact, Options, Pin, Session};
use crate::events::Phase;
use crate::find::Found;
use crate::output::{self, Pending};
use crate::plan::architectures;
use crate::space::explain;
use crate::{Error, find};
use inputs::Inputs;
pub use lock::{LayerLock, Npm, Parent, Program, Wheel};
use outputs::Outputs;
use parent::Asked;
use tools::Tools;
use work::Work;

/// Builds the layers of `found`.
pub(crate) fn build(
    session: &Session,
    found: &Found,
    options: &Options,
    ids: &IdMap,
) -> Result<Vec<Artifact>, Error> {
    let (layers, mut pending, lock) = make(session, found, options, ids)?;
    pending.splice(0..0, layers.into_iter().map(|(_, layer)| layer));
    session.publish(pending, || match options.pin {
        Pin::Update => session.write_layer_lock(&lock, &found.lock_path()).map(drop),
        Pin::IfThere | Pin::Locked => Ok(()),
    })
}

/// Makes the layers of `found` for something that takes them in, and gives where each is and its SHA-256, by architecture.
/// No lock is written.
pub(crate) fn archives(
    session: &Session,
    found: &Found,
    options: &Options,
    ids: &IdMap,
) -> Result<BTreeMap<String, (PathBuf, String)>, Error> {
    let options = Options { documents: Documents::default(), oci: false, ..options.clone() };
    let (layers, _, _) = make(session, found, &options, ids)?;
    let archive = |(architecture, layer): (String, Pending)| {
        let digest = layer.sum.map(|(_, digest)| digest.to_string()).unwrap_or_default();
        Ok((architecture, (layer.publish()?, digest)))
    };
    layers.into_iter().map(archive).collect()
}

/// Layers by their architectures, what goes beside them, and their lock.
type Layers = (Vec<(String, Pending)>, Vec<Pending>, LayerLock);

fn make(session: &Session, found: &Found, options: &Options, ids: &IdMap) -> Result<Layers, Error> {
    let in_out = explain(&options.out, "`--out`");
    let inputs = Inputs::read(found)?;
    let architectures = architectures(found, &options.origin)?;
    let mut lock = lock_for(session, found, options, &inputs, &architectures, ids)?;
    let work = Work { session, found, options, ids, inputs: &inputs, lock: &lock };
    let mut outputs = Outputs::begin(session, found, options).map_err(&in_out)?;
    let (mut layers, mut beside, mut programs) = (Vec::new(), Vec::new(), Vec::new());
    for architecture in &architectures {
        let made = work.build(architecture, &mut outputs)?;
        layers.push((architecture.clone(), made.archive));
        beside.extend(made.documents);
        programs.extend(made.programs);
    }
    beside.extend(outputs.finish(Made::of_layer(&lock, &architectures)?).map_err(&in_out)?);
    programs.sort();
    programs.dedup();
    lock.programs = programs;
    let versions = record::versions(&lock, &architectures);
    beside.push(output::write_text(&options.out.join(record::FILE), &versions).map_err(&in_out)?);
    let path = options.out.join(format!("{}.lock", found.name));
    beside.push(output::write_text(&path, &lock.to_text()?).map_err(in_out)?);
    Ok((layers, beside, lock))
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
        let mut asked = options.clone();
        asked.origin.architectures = architectures.to_vec();
        let asked = Asked { session, found, options: &asked, runs_programs: inputs.runs_programs };
        let below = asked.below()?;
        let lock = LayerLock::on(&found.name, inputs.request(&below.parents), below);
        if inputs.python.is_empty() && inputs.node.is_empty() {
            return Ok(lock);
        }
        return with_tools(session, options, ids, |tools| resolve::resolve(inputs, lock, tools));
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
