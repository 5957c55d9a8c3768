//! Makes the layer of one architecture: what is installed, what the steps do, and the files that it becomes.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use rootfs::{Normalise, Scripts};
use sandbox::IdMap;
use tree::{EntryPath, Kind, Links, Metadata, Root};

use super::below::ParentRoot;
use super::inputs::Inputs;
use super::install::Installer;
use super::lock::{LayerLock, Parent, Program};
use super::merged::Merged;
use super::outputs::{Made, Outputs};
use super::{exact, record};
use crate::build::{Forward, Options, Session, to_install};
use crate::distro::machine_architecture;
use crate::events::Phase;
use crate::find::Found;
use crate::foreign::Emulation;
use crate::lock::Package;
use crate::place::Place;
use crate::space::explain;
use crate::steps::{Slim, Stage};
use crate::{Error, epoch};

/// The time of everything in a layer, unless `SOURCE_DATE_EPOCH` says another or Debian packages are in it: the one that npm
/// gives to files in archives, in seconds. Earlier than 1980 would be no time for a zip archive, and what is installed is put
/// into some.
const TIME: i64 = 499_162_500;

/// How many bytes of a layer come of one byte of its archives.
const GROWTH: u64 = 6;

/// What programs in a layer are told: files of Python's own cache would have the time of this build in them.
const ENV: &[(&str, &str)] = &[("PYTHONDONTWRITEBYTECODE", "1")];

/// What the layers of all architectures share.
pub(super) struct Work<'a> {
    pub(super) session: &'a Session,
    pub(super) found: &'a Found,
    pub(super) options: &'a Options,
    pub(super) ids: &'a IdMap,
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) lock: &'a LayerLock,
}

impl Work<'_> {
    /// Builds one layer.
    pub(super) fn build(&self, architecture: &str, outputs: &mut Outputs<'_>) -> Result<Made, Error> {
        let (session, found) = (self.session, self.found);
        let parent = self.lock.parent(architecture).ok_or_else(|| Error::UnknownArchitecture {
            name: architecture.to_owned(),
            known: "those in the lock".to_owned(),
        })?;
        let below = self.inputs.runs_programs.then(|| ParentRoot::of(self, parent)).transpose()?;
        let room = self.room()? + below.as_ref().map_or(0, ParentRoot::room);
        let build_dir = self.options.build_dir.as_deref();
        let place = Place::new(session.cache.root(), build_dir, architecture, room, self.ids)?;
        let in_build = explain(place.root(), "`--build-dir`");
        let epoch = self.epoch(architecture)?;
        let root = Root::open(place.root(), Links::Refuse)?;
        root.set_metadata(&EntryPath::ROOT, &Metadata::new(0o755, epoch))?;
        let programs = match below {
            None => self.fill(&root, place.root(), parent, epoch),
            Some(below) => self.fill_merged(below, &place, &root, parent, epoch),
        };
        let programs = programs.map_err(&in_build)?;
        Slim::new(&found.name, &found.recipe.steps)?.take_away(&root)?;
        record::put(outputs.name().as_str(), parent, &root, epoch)?;
        settle(&root, epoch)?;
        session.phase(Some(architecture), Phase::Write);
        let made = outputs.write(root, architecture, programs, epoch);
        let made = made.map_err(explain(&self.options.out, "`--out`"))?;
        place.close()?;
        Ok(made)
    }

    /// The time of the layer: with Debian packages that of the newest, so that none of their files is later.
    fn epoch(&self, architecture: &str) -> Result<i64, Error> {
        let packages = self.added(architecture);
        let newest = epoch::of(&self.session.cache, &packages)?;
        Ok(if packages.is_empty() { epoch::of_environment()?.unwrap_or(TIME) } else { newest })
    }

    /// The Debian packages that the layer adds, in dpkg's order.
    fn added(&self, architecture: &str) -> Vec<&Package> {
        self.lock.packages.iter().filter(|package| package.root == architecture).collect()
    }

    /// What runs programs of foreign architectures on this machine. The lock has it for other machines as well.
    pub(super) fn tools(&self) -> Vec<&Package> {
        self.lock.tools.iter().filter(|tool| tool.root == machine_architecture()).collect()
    }

    /// About how many bytes the layer takes.
    fn room(&self) -> Result<u64, Error> {
        let npm = self.lock.npm.iter().filter_map(|npm| npm.sha256.as_ref());
        let mut bytes = self.lock.packages.iter().map(|package| package.size).sum::<u64>();
        for sha256 in self.lock.wheels.iter().map(|wheel| &wheel.sha256).chain(npm) {
            let file = self.session.cache.file(sha256)?;
            let size = file.map(|file| file.metadata().map(|metadata| metadata.len()));
            bytes += size.and_then(Result::ok).unwrap_or(0);
        }
        Ok(bytes.saturating_mul(GROWTH))
    }

    /// Fills the layer where its parent's root is mounted below it, so that programs can run. What is left is what they and
    /// we have changed.
    fn fill_merged(
        &self,
        below: ParentRoot,
        place: &Place,
        layer: &Root,
        parent: &Parent,
        epoch: i64,
    ) -> Result<Vec<Program>, Error> {
        let (session, architecture) = (self.session, parent.architecture.as_str());
        let lower = place.folder("parent")?;
        let lower_root = Root::open(&lower, Links::Refuse)?;
        below.unpack(&lower_root, session.interrupt.flag(), self.options.jobs())?;
        let emulation = Emulation::start(&session.cache, architecture, &self.tools(), self.ids)?;
        let merged = Merged::mount(&lower, place.root(), place.staging(), place.folder("merged")?)?;
        let root = Root::open(merged.path(), Links::WithinRoot)?;
        let programs = self.fill(&root, merged.path(), parent, epoch)?;
        drop(root);
        merged.unmount()?;
        drop(emulation);
        // What scripts did to the folder that the kernel keeps the layer in has gone by it.
        layer.forget_parents();
        let failed = |source| Error::Rootfs { architecture: architecture.to_owned(), source };
        Normalise { root: layer, epoch }.run().map_err(failed)?;
        exact::settle(layer, &lower_root)?;
        exact::check_programs(layer, architecture, &programs)?;
        Ok(programs)
    }

    /// Installs what the lock says and carries out the steps in `root`, which is at `folder`. The answer has the programs for
    /// other machines that came with it.
    fn fill(&self, root: &Root, folder: &Path, parent: &Parent, epoch: i64) -> Result<Vec<Program>, Error> {
        let (session, architecture) = (self.session, parent.architecture.as_str());
        let interrupt = &session.interrupt;
        let progress = Arc::new(Forward::new(session, architecture));
        let scripts = Scripts::new(folder, epoch, interrupt.clone(), progress);
        session.phase(Some(architecture), Phase::Unpack);
        self.add_packages(root, &scripts, architecture)?;
        let (lock, inputs, cache) = (self.lock, self.inputs, &session.cache);
        let installer = Installer { lock, parent, inputs, cache, root, epoch, scripts: &scripts };
        let programs = installer.install()?;
        session.phase(Some(architecture), Phase::Steps);
        let stage = Stage {
            recipe: &self.found.name,
            folder: &self.found.folder(),
            root,
            scripts: &scripts,
            epoch,
            interrupted: interrupt.flag(),
            env: ENV,
            put: RefCell::default(),
        };
        stage.carry_out(&self.found.recipe.steps, |_| Ok(()))?;
        Ok(programs)
    }

    fn add_packages(&self, root: &Root, scripts: &Scripts, architecture: &str) -> Result<(), Error> {
        let added = self.added(architecture);
        if added.is_empty() {
            return Ok(());
        }
        let automatic = added.iter().filter(|package| !package.requested);
        let automatic: Vec<&str> = automatic.map(|package| package.name.as_str()).collect();
        let packages: Vec<rootfs::Package> = added.iter().map(|package| to_install(package)).collect();
        rootfs::add(root, scripts, &self.session.cache, &packages, &automatic)
            .map_err(|source| Error::Rootfs { architecture: architecture.to_owned(), source })
    }
}

/// Gives every folder the one time, for what is put into them changes it, and no file a later one.
fn settle(root: &Root, epoch: i64) -> Result<(), Error> {
    let mut later = vec![EntryPath::ROOT];
    for entry in root.scan() {
        let entry = entry?;
        let time = (entry.metadata.mtime, entry.metadata.mtime_nanos);
        if entry.kind == Kind::Directory || time > (epoch, 0) {
            later.push(entry.path);
        }
    }
    for path in later.iter().rev() {
        root.set_mtime(path, epoch)?;
    }
    Ok(())
}
