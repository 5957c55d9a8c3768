//! Images on top of another image: its layers stay what they are, and what the steps change comes in layers above them. And
//! images on nothing, which are the same without the layers below.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use image::Image;
use image::build::changes_between;
use image::flatten::Flattened;
use rootfs::Scripts;
use sandbox::IdMap;
use tree::layer::Change;
use tree::{Entry, EntryPath, Kind, Links, Root};

use crate::about::Made;
use crate::build::{Artifact, Forward, Options, Session};
use crate::distro::machine_architecture;
use crate::events::Phase;
use crate::find::Found;
use crate::foreign::Emulation;
use crate::format::Step;
use crate::image::{ImageOutput, Packed};
use crate::image_base::ImageBase;
use crate::layering::Part;
use crate::lock::Package;
use crate::output::{Shape, folder_size};
use crate::place::Place;
use crate::plan::{Plan, architectures};
use crate::resolve::Resolver;
use crate::space::explain;
use crate::steps::{Slim, Stage};
use crate::{Error, epoch};

/// What an image for one architecture is put on.
struct Below {
    architecture: String,
    /// The image and its layers as one tree, unless it is nothing.
    parent: Option<(Image, Flattened)>,
}

impl Below {
    /// What the clock stands at for the image on it: nothing in there is later.
    fn newest(&self) -> i64 {
        self.parent.as_ref().map_or(0, |(_, tree)| tree.newest())
    }
}

/// Builds the image of a recipe that has a parent.
pub(crate) fn build(base: &ImageBase<'_>, ids: &IdMap) -> Result<Vec<Artifact>, Error> {
    let work = Work { session: base.session, found: base.found, options: base.options, ids };
    let in_out = explain(&base.options.out, "`--out`");
    let mut output = ImageOutput::begin(base.found, base.options).map_err(&in_out)?;
    let mut all = Vec::new();
    let lock = base.each(|architecture, source, image, tree| {
        output.take(source, &image).map_err(&in_out)?;
        all.push(Below { architecture: architecture.to_owned(), parent: Some((image, tree)) });
        Ok(())
    })?;
    work.build(all, &mut output)?;
    let pending = output.finish(Made::of_image(&lock)?, base.session.interrupt.flag()).map_err(&in_out)?;
    base.conclude(&lock, pending)
}

/// Builds the image of a recipe that has nothing below it.
pub(crate) fn build_from_nothing(
    session: &Session,
    found: &Found,
    options: &Options,
    ids: &IdMap,
) -> Result<Vec<Artifact>, Error> {
    let in_out = explain(&options.out, "`--out`");
    let mut output = ImageOutput::begin(found, options).map_err(&in_out)?;
    let architectures = architectures(found, &options.origin)?;
    let nothing = |architecture: &String| Below { architecture: architecture.clone(), parent: None };
    let all = architectures.iter().map(nothing).collect();
    Work { session, found, options, ids }.build(all, &mut output)?;
    let made = Made::of(&found.name, &architectures)?;
    let pending = output.finish(made, session.interrupt.flag()).map_err(in_out)?;
    session.publish(pending, || Ok(()))
}

/// What the images of all architectures share.
struct Work<'a> {
    session: &'a Session,
    found: &'a Found,
    options: &'a Options,
    ids: &'a IdMap,
}

impl Work<'_> {
    fn build(&self, all: Vec<Below>, output: &mut ImageOutput<'_>) -> Result<(), Error> {
        let tools = self.tools(&all)?;
        let tools: Vec<&Package> = tools.iter().collect();
        all.into_iter().try_for_each(|below| self.build_one(below, &tools, output))
    }

    fn runs_programs(&self) -> bool {
        self.found.recipe.steps.iter().any(|step| matches!(step, Step::Run(_) | Step::Users(_)))
    }

    /// The packages that are needed to run programs of foreign architectures.
    fn tools(&self, all: &[Below]) -> Result<Vec<Package>, Error> {
        let mut needed = false;
        for below in all.iter().filter(|below| below.architecture != machine_architecture()) {
            needed |= self.runs_programs() && Emulation::needs_package(&below.architecture, self.ids)?;
        }
        if !needed {
            return Ok(Vec::new());
        }
        let plan = Plan::new(self.found, &self.options.origin)?;
        let resolver = Resolver::new(self.session, &plan, &self.options.origin)?;
        let tools = resolver.tools()?;
        resolver.download(&tools.iter().collect::<Vec<_>>())?;
        Ok(tools)
    }

    fn build_one(
        &self,
        mut below: Below,
        tools: &[&Package],
        output: &mut ImageOutput<'_>,
    ) -> Result<(), Error> {
        let Session { cache, interrupt, .. } = self.session;
        let (build_dir, architecture) = (self.options.build_dir.as_deref(), below.architecture.clone());
        let place = Place::new(cache.root(), build_dir, &architecture, self.room(&below)?, self.ids)?;
        let folder = place.root().to_owned();
        let in_build = explain(&folder, "`--build-dir`");
        if let Some((_, tree)) = &mut below.parent {
            let root = Root::open(&folder, Links::Refuse)?;
            tree.unpack(&root, interrupt.flag()).map_err(Error::from).map_err(&in_build)?;
        }
        let epoch = epoch::of_environment()?.unwrap_or_else(|| below.newest());
        let emulation = self.runs_programs().then(|| Emulation::start(cache, &architecture, tools, self.ids));
        let _emulation = emulation.transpose()?;
        self.session.phase(Some(&architecture), Phase::Steps);
        let layers = self.layers(&folder, &architecture, epoch, output).map_err(&in_build)?;
        let parent = below.parent.as_ref().map(|(image, _)| image);
        output.add_on(&architecture, parent, layers, epoch)?;
        place.close()
    }

    /// About how many bytes the root takes: what is below, with as much again for what scripts make, and what is copied.
    fn room(&self, below: &Below) -> Result<u64, Error> {
        let mut bytes = 2 * below.parent.as_ref().map_or(0, |(_, tree)| tree.size());
        let files = self.found.recipe.steps.iter().flat_map(|step| match step {
            Step::Files(files) => files.as_slice(),
            _ => &[],
        });
        for source in files.filter_map(|file| file.source.as_ref()) {
            let source = self.found.folder().join(source);
            if source.is_dir() {
                bytes += folder_size(&source)?;
            }
        }
        Ok(bytes)
    }

    /// Carries out the recipe's steps in the root in `folder`; a layer for each kind of step that changed something.
    fn layers(
        &self,
        folder: &Path,
        architecture: &str,
        epoch: i64,
        output: &ImageOutput<'_>,
    ) -> Result<Vec<Packed>, Error> {
        let (found, interrupt) = (self.found, &self.session.interrupt);
        let root = Root::open(folder, Links::WithinRoot)?;
        let progress = Arc::new(Forward::new(self.session, architecture));
        let scripts = Scripts::new(folder, epoch, interrupt.clone(), progress);
        let stage = Stage {
            recipe: &found.name,
            folder: &found.folder(),
            root: &root,
            scripts: &scripts,
            epoch,
            interrupted: interrupt.flag(),
            env: &[],
            put: RefCell::default(),
        };
        let slim = Slim::new(&found.name, &found.recipe.steps)?;
        let shape = Shape {
            epoch,
            leave_out: &|path: &EntryPath| slim.leaves_out(path),
            threads: self.options.jobs(),
            interrupted: interrupt.flag(),
        };
        let mut below = Looked::at(&root, &|_| false)?;
        let mut layers = Vec::new();
        let mut note = |kind: &'static str| {
            let now = Looked::at(&root, shape.leave_out)?;
            let put = stage.put.take();
            let same =
                |before: &Entry, after: &Entry| !put.contains(&after.path) && below.same(&now, before, after);
            let mut changes = changes_between(&below.entries, &now.entries, same);
            below = now;
            if changes.is_empty() {
                return Ok(());
            }
            changes.iter_mut().for_each(|change| clamp(change, epoch));
            layers.push(output.pack(&root, Part { origin: kind.to_owned(), changes }, &shape)?);
            Ok::<_, Error>(())
        };
        stage.carry_out(&found.recipe.steps, &mut note)?;
        // What no step after it has noticed.
        note("slim")?;
        Ok(layers)
    }
}

/// What is in a root at one time.
struct Looked {
    entries: Vec<Entry>,
    /// When the status of each file was changed last.
    changed: HashMap<EntryPath, (i64, u32)>,
}

impl Looked {
    fn at(root: &Root, leave_out: &dyn Fn(&EntryPath) -> bool) -> Result<Self, Error> {
        let mut looked = Self { entries: Vec::new(), changed: HashMap::new() };
        let mut scan = root.scan();
        while let Some(entry) = scan.next() {
            let entry = entry?;
            if leave_out(&entry.path) {
                scan.leave_out();
                continue;
            }
            // That of a directory changes with every file in it.
            if entry.kind != Kind::Directory {
                looked.changed.insert(entry.path.clone(), scan.status_changed());
            }
            looked.entries.push(entry);
        }
        Ok(looked)
    }

    /// Whether nobody touched an entry that looks like `before` here and like `after` later.
    fn same(&self, later: &Self, before: &Entry, after: &Entry) -> bool {
        let (a, b) = (&before.metadata, &after.metadata);
        before.kind == after.kind
            && (a.mode, a.uid, a.gid, &a.xattrs) == (b.mode, b.uid, b.gid, &b.xattrs)
            && self.changed.get(&before.path) == later.changed.get(&after.path)
    }
}

fn clamp(change: &mut Change, epoch: i64) {
    match change {
        Change::Added(entry) | Change::Opaque(entry) => entry.metadata.clamp_mtime(epoch),
        Change::Whiteout(_) => {}
    }
}
