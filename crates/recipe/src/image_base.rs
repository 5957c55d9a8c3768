//! Root filesystems that are made from an image: found, flattened, written, locked. Nothing runs in them.

use std::path::Path;
use std::sync::Arc;

use cache::Scratch;
use image::flatten::{Flattened, Limits, Options as FlattenOptions, Shape, flatten};
use image::{Error as ImageError, Image, Kept, Location, Opener, Platform, Reference, Source, open_source};
use tree::EntryPath;
use tree::codec::Format;

use crate::build::{Artifact, Options, Pin, Session};
use crate::events::{Event, Phase};
use crate::files::{self, Contents, chain};
use crate::find::Found;
use crate::format::{FileStep, Kind, Step};
use crate::image_lock::ImageLock;
use crate::output::{self, Pending};
use crate::plan::architectures;
use crate::space::explain;
use crate::steps::Slim;
use crate::{Error, epoch};

/// A recipe that is made from an image, joined with the command line.
pub(crate) struct ImageBase<'a> {
    pub(crate) session: &'a Session,
    pub(crate) found: &'a Found,
    pub(crate) options: &'a Options,
    /// The image, as the recipe or the command line names it.
    from: String,
    location: Location,
    architectures: Vec<String>,
}

impl<'a> ImageBase<'a> {
    /// None for a recipe that is made of packages.
    pub(crate) fn of(
        session: &'a Session,
        found: &'a Found,
        options: &'a Options,
    ) -> Result<Option<Self>, Error> {
        let (from, location) = match (&options.from, &found.recipe.from) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(Error::NotFromImage { recipe: found.called() }),
            (Some(from), Some(_)) => (from, Location::guess(from)?),
            (None, Some(from)) => (from, located(from, &found.folder())?),
        };
        let architectures = architectures(found, &options.origin)?;
        Ok(Some(Self { session, found, options, from: from.clone(), location, architectures }))
    }

    /// The lock of what the image is now.
    pub(crate) fn lock(&self) -> Result<ImageLock, Error> {
        let scratch = self.scratch()?;
        let source = self.open(None, scratch.path())?;
        let mut lock = ImageLock::new(&self.found.name, &self.from, source.root());
        for architecture in &self.architectures {
            lock.add(architecture, &Image::find(&*source, source.root(), &Platform::linux(architecture))?);
        }
        Ok(lock)
    }

    /// Builds the root filesystems.
    pub(crate) fn build(&self) -> Result<Vec<Artifact>, Error> {
        let in_out = explain(&self.options.out, "`--out`");
        let mut pending = Vec::new();
        let lock = self.each(|architecture, _, image, flattened| {
            let flattened = self.finish(flattened, &image)?;
            self.session.phase(Some(architecture), Phase::Write);
            pending.push(self.write(flattened, architecture).map_err(&in_out)?);
            Ok(())
        })?;
        self.conclude(&lock, pending)
    }

    /// Gives `take` the image of every architecture, where it is, and its layers as one tree. Returns the lock of them all;
    /// what reads the image, and its threads, is gone by then.
    pub(crate) fn each(
        &self,
        mut take: impl FnMut(&str, &dyn Source, Image, Flattened) -> Result<(), Error>,
    ) -> Result<ImageLock, Error> {
        let lock_path = self.found.lock_path();
        let before = self.lock_beside(&lock_path)?;
        self.session.phase(None, Phase::Resolve);
        let scratch = self.scratch()?;
        let in_scratch = explain(scratch.path(), "`--build-dir`");
        let source = self.open(before.as_ref(), scratch.path()).map_err(&in_scratch)?;
        let mut lock = ImageLock::new(&self.found.name, &self.from, source.root());
        for architecture in &self.architectures {
            let image = Image::find(&*source, source.root(), &Platform::linux(architecture))?;
            if let Some(locked) = before.as_ref().and_then(|lock| lock.image(architecture)) {
                self.check(&lock_path, locked.manifest, image.descriptor.digest)?;
            }
            lock.add(architecture, &image);
            self.session.phase(Some(architecture), Phase::Layers);
            let options = FlattenOptions {
                scratch: scratch.path(),
                threads: self.options.jobs().min(4),
                limits: Limits::default(),
                interrupted: self.session.interrupt.flag(),
            };
            let flattened = flatten(&*source, &image, &options).map_err(Error::from).map_err(&in_scratch)?;
            take(architecture, &*source, image, flattened)?;
        }
        drop(source);
        scratch.close()?;
        Ok(lock)
    }

    /// Gives artifacts and the lock of what they were made from their final names.
    pub(crate) fn conclude(
        &self,
        lock: &ImageLock,
        mut pending: Vec<Pending>,
    ) -> Result<Vec<Artifact>, Error> {
        let in_out = explain(&self.options.out, "`--out`");
        let path = self.options.out.join(format!("{}.lock", self.found.name));
        pending.push(output::write_text(&path, &lock.to_text()?).map_err(in_out)?);
        self.session.publish(pending, || match self.options.pin {
            Pin::Update => self.refresh(lock, &self.found.lock_path()),
            Pin::IfThere | Pin::Locked => Ok(()),
        })
    }

    /// The lock to build from, if there is one.
    fn lock_beside(&self, path: &Path) -> Result<Option<ImageLock>, Error> {
        if self.found.recipe.kind == Kind::Layer {
            // Its lock is another one, and says what its image is.
            return Ok(None);
        }
        let pin = self.options.pin;
        let lock = if pin == Pin::Update { None } else { ImageLock::load(path)? };
        let called = || self.found.called();
        let stale = |what: String| Error::StaleLock { path: path.to_owned(), recipe: called(), what };
        match lock {
            None if pin == Pin::Locked => Err(Error::NoLock { path: path.to_owned(), recipe: called() }),
            None => Ok(None),
            Some(lock) if lock.from == self.from => {
                match self.architectures.iter().find(|name| lock.image(name).is_none()) {
                    Some(missing) => Err(stale(format!("it has nothing for {missing}"))),
                    None => Ok(Some(lock)),
                }
            }
            // It pins what the recipe says, and the command line says something else.
            Some(_) if self.options.from.is_some() && pin == Pin::IfThere => Ok(None),
            Some(lock) => Err(stale(format!("its image is {}", lock.from))),
        }
    }

    fn open(&self, lock: Option<&ImageLock>, scratch: &Path) -> Result<Box<dyn Source + '_>, Error> {
        let source: Box<dyn Source + '_> = match &self.location {
            Location::Registry(reference) => Box::new(self.open_kept(reference, lock)?),
            location => open_source(location, scratch, None)?,
        };
        if let Some(lock) = lock {
            self.check(&self.found.lock_path(), lock.sha256, source.root().digest)?;
        }
        Ok(source)
    }

    fn open_kept(&self, reference: &Reference, lock: Option<&ImageLock>) -> Result<Kept<'_>, Error> {
        let cache = &self.session.cache;
        let offline = self.options.origin.offline;
        Ok(match lock {
            Some(lock) => {
                let pinned = reference.with_digest(lock.sha256);
                let open = (!offline).then(|| self.opener(&pinned));
                Kept::locked(cache, &pinned, lock.root(), open)
            }
            None if offline => Kept::offline(cache, reference)?,
            None => Kept::newest(cache, reference, self.opener(reference))?,
        })
    }

    fn opener(&self, reference: &Reference) -> Opener<'_> {
        let (remote, reference) = (self.session.remote.as_ref().map(Arc::clone), reference.clone());
        Box::new(move || match &remote {
            Some(remote) => remote(&reference),
            None => Err(ImageError::NoRegistry { reference: reference.clone() }),
        })
    }

    /// What is read must be what the lock says.
    fn check(&self, path: &Path, locked: cache::Digest, found: cache::Digest) -> Result<(), Error> {
        if locked == found {
            return Ok(());
        }
        Err(Error::OtherImage { from: self.from.clone(), path: path.to_owned(), locked, found })
    }

    /// Puts on top what the recipe's steps and the image say.
    pub(crate) fn finish(&self, mut flattened: Flattened, image: &Image) -> Result<Flattened, Error> {
        let epoch = epoch::of_environment()?;
        let time = epoch.unwrap_or_else(|| flattened.newest());
        for (index, step) in self.found.recipe.steps.iter().enumerate() {
            let Step::Files(files) = step else { continue };
            for file in files {
                add(&mut flattened, file, &self.found.folder(), time).map_err(|message| Error::Step {
                    recipe: self.found.name.clone(),
                    number: index + 1,
                    kind: "files",
                    message: format!("{}: {message}", file.path),
                })?;
            }
        }
        flattened.describe(image, epoch)?;
        Ok(flattened)
    }

    fn write(&self, mut flattened: Flattened, architecture: &str) -> Result<Pending, Error> {
        let slim = Slim::new(&self.found.name, &self.found.recipe.steps)?;
        let interrupted = self.session.interrupt.flag();
        let shape = Shape {
            leave_out: &|path: &EntryPath| slim.leaves_out(path),
            empty_dev: true,
            latest: epoch::of_environment()?,
            interrupted,
        };
        let name = self.found.recipe.output.replace("{arch}", architecture);
        let (path, format) = (self.options.out.join(&name), Format::from_file_name(&name));
        output::write_archive(&path, format, self.options.jobs(), interrupted, |tar| {
            flattened.write(tar, &shape)?;
            Ok(())
        })
    }

    /// Puts `lock` to `path` and tells what is new in it.
    fn refresh(&self, lock: &ImageLock, path: &Path) -> Result<(), Error> {
        // One that cannot be read is what a refresh is good for.
        if let Ok(Some(before)) = ImageLock::load(path) {
            for change in before.changes(lock) {
                self.session.events.event(Event::LockChanged { change });
            }
        }
        self.session.write_image_lock(lock, path).map(drop)
    }

    /// A folder for working files.
    fn scratch(&self) -> Result<Scratch, Error> {
        let in_cache = || self.session.cache.root().join("build");
        let folder = self.options.build_dir.clone().unwrap_or_else(in_cache);
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(Scratch::new(&folder, &self.found.name)?)
    }
}

/// The location that a recipe in `folder` names: its path is relative to the recipe, and what begins like a path is one.
fn located(from: &str, folder: &Path) -> Result<Location, Error> {
    if is_path(from) {
        return Ok(Location::guess(&folder.join(from).display().to_string())?);
    }
    Ok(match from.parse()? {
        Location::Layout { path, tag } => Location::Layout { path: folder.join(path), tag },
        Location::LayoutTar { path, tag } => Location::LayoutTar { path: folder.join(path), tag },
        Location::DockerArchive { path, tag } => Location::DockerArchive { path: folder.join(path), tag },
        Location::Registry(reference) => Location::Registry(reference),
    })
}

/// Whether what a recipe names is a path and no location of any other kind.
pub(crate) fn is_path(from: &str) -> bool {
    from.starts_with(['.', '/'])
}

/// Puts what a `files` step names over what the image has.
fn add(flattened: &mut Flattened, file: &FileStep, folder: &Path, time: i64) -> Result<(), String> {
    files::entries(file, folder, time, |entry, contents| {
        let added = match contents {
            Contents::Text(text) => flattened.add(entry, &mut &*text),
            Contents::File(mut file) => flattened.add(entry, &mut file),
            Contents::None => flattened.add(entry, &mut std::io::empty()),
        };
        added.map_err(chain)
    })
}
